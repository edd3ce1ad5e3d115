//! Small texts: times, versions, endpoints, tokens, what kubeadm says about them, and text on its way to a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy::change::join::token::{self, Token};
use seaworthy::reach::Endpoint;
use seaworthy::upgrade::version::Release;
use seaworthy::{duration, names, text};
use seaworthy_fuzz::assert_harmless;

fuzz_target!(|data: &[u8]| {
    let said = String::from_utf8_lossy(data);
    drop(duration::parse(&said));
    if let Some(release) = Release::read(&said) {
        assert_eq!(Release::read(&release.to_string()), Some(release));
    }
    if let Some(endpoint) = Endpoint::parse(&said) {
        assert_eq!(Endpoint::parse(&endpoint.written), Some(endpoint));
    }
    drop(Token::parse(&said));
    drop(token::made(&said));
    drop(token::of_this_run(&said, "20260101T000000Z-0000", Some("node1")));
    drop(token::refusal(1, &said));
    drop(names::folded(said.lines()));
    let clean = text::sanitize(&said);
    assert_harmless("a line", &clean);
    assert!(!clean.contains('\n'));
    let block = text::sanitize_block(data);
    assert_harmless("a block", &block.replace('\t', ""));
    for width in [2, 7, 40] {
        assert!(text::width(&text::truncate(&clean, width, "…")) <= width);
        assert!(text::wrap(&clean, width).iter().all(|line| text::width(line) <= width));
        assert_eq!(text::chop(&clean, width).concat(), clean);
    }
});
