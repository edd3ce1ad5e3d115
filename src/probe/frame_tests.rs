//! Tests of the frames' parser: what a healthy node sends, and what broken and hostile ones may.

use proptest::prelude::*;

use super::*;

const HEX: &str = "00112233445566778899aabbccddeeff";

fn nonce() -> Nonce {
    Nonce::from_hex(HEX).unwrap()
}

/// `@@` stands for this run's marker.
fn bytes(text: &str) -> Vec<u8> {
    text.replace("@@ ", &format!("@@{HEX} ")).into_bytes()
}

fn read(text: &str) -> Capture {
    parse(&bytes(text), b"", &nonce(), &Limits::DEFAULT).unwrap()
}

#[test]
fn a_whole_answer() {
    let capture = read(
        "Welcome!\n@@ hello 1 1700000000.25 0 log,df\n@@ ident 0 10\nuid=0\nhostname=a\n@@ kubeconfig 66 0 /etc/a b.conf\n@@ log 124 3000 kubelet\n@@ bye\ntrailing\n",
    );
    assert!(capture.complete);
    assert_eq!(capture.uid, Some(0));
    assert_eq!(capture.noise, "Welcome!");
    assert_eq!(capture.missing, ["df"]);
    let seen: Vec<_> =
        capture.sections.iter().map(|s| (s.id.as_str(), s.arg.as_deref(), s.rc, s.ms, s.text.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("ident", None, 0, 10, "uid=0\nhostname=a"),
            ("kubeconfig", Some("/etc/a b.conf"), 66, 0, ""),
            ("log", Some("kubelet"), 124, 3000, ""),
        ]
    );
}

#[test]
fn the_greeting_is_found_as_soon_as_its_line_is_whole() {
    let answer = bytes("motd\r\n@@ hello 1 1700000000.123456789 1000 df,log\r\nmore");
    let end = answer.iter().rposition(|b| *b == b'\n').unwrap();
    for cut in 0..=end {
        assert_eq!(greeting(&answer[..cut], &nonce()), None, "at {cut}");
    }
    let wanted = Greeting {
        node_ms: Some(1_700_000_000_123),
        uid: Some(1000),
        announced: vec!["df".to_owned(), "log".to_owned()],
    };
    assert_eq!(greeting(&answer, &nonce()), Some(Ok(wanted)));
}

#[test]
fn clocks() {
    for (text, wanted) in [
        ("1700000000", Some(1_700_000_000_000)),
        ("1700000000.5", Some(1_700_000_000_500)),
        ("1700000000.0079", Some(1_700_000_000_007)),
        ("1700000000.%N", Some(1_700_000_000_000)),
        ("-", None),
        ("", None),
        ("-5", None),
        ("9223372036854775807", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(epoch_ms(text), wanted, "{text}");
    }
}

#[test]
fn no_greeting_is_an_error_that_quotes_the_host() {
    let none = |text: &str| parse(text.as_bytes(), b"", &nonce(), &Limits::DEFAULT).unwrap_err();
    assert_eq!(none(""), FrameError::Silent);
    assert_eq!(none(" \r\n\n"), FrameError::Silent);
    assert_eq!(
        none("\n  This account is currently not available.\r\nbye\n"),
        FrameError::NoGreeting { first_line: "This account is currently not available.".to_owned() }
    );
    // Another run's greeting is not this one's.
    let other = format!("@@{} hello 1 1 0 \n", "f".repeat(32));
    assert!(matches!(none(&other), FrameError::NoGreeting { .. }));
    let FrameError::NoGreeting { first_line } = none(&"x".repeat(10_000)) else { panic!() };
    assert_eq!(first_line.len(), 200);
    let FrameError::NoGreeting { first_line } = none("kubeadm join --token abcdef.0123456789abcdef") else { panic!() };
    assert_eq!(first_line, "kubeadm join --token [redacted]");
}

#[test]
fn a_newer_version_is_named() {
    let error = parse(&bytes("@@ hello 2 1700000000 0 \n@@ bye\n"), b"", &nonce(), &Limits::DEFAULT).unwrap_err();
    assert_eq!(error, FrameError::Version { version: "2".to_owned() });
    assert_eq!(error.to_string(), "the probe greets with version 2, this program knows version 1");
}

#[test]
fn only_a_marker_of_this_run_at_the_start_of_a_line_is_a_marker() {
    let forged = format!("@@{} bye", "0".repeat(32));
    let text = format!(
        "{forged}\nx @@ bye\n @@ bye\n@@{HEX}bye\n@@{HEX}  bye\n@@{HEX} bye now\n@@{HEX} UPPER 0 0\n@@{HEX} id x 0\n@@{HEX} id 0\n@@{HEX} ident  0 0\n@@"
    );
    let capture = read(&format!("@@ hello 1 1 0 \n@@ log 0 0\n{text}\n@@ bye\n"));
    assert!(capture.complete);
    assert_eq!(capture.sections.len(), 1, "{capture:?}");
    assert_eq!(capture.sections[0].text, text.replace("@@ ", &format!("@@{HEX} ")));
}

#[test]
fn absurd_numbers_are_clamped() {
    let capture = read("@@ hello 1 1 x \n@@ a 99999999999999999999 -5\n@@ b -99999999999 99999999999\n@@ bye\n");
    let seen: Vec<_> = capture.sections.iter().map(|s| (s.rc, s.ms)).collect();
    assert_eq!(seen, [(i32::MAX, 0), (i32::MIN, u32::MAX)]);
    assert_eq!(capture.uid, None);
}

#[test]
fn a_cut_stream_keeps_what_came() {
    let whole = bytes("@@ hello 1 1 0 df\n@@ ident 0 0\nuid=0\n@@ log 0 0\nline one\nline two\n@@ bye\n");
    for end in 0..whole.len() {
        match parse(&whole[..end], b"", &nonce(), &Limits::DEFAULT) {
            Ok(capture) => {
                assert_eq!(capture.missing, ["df"]);
                if let Some(last) = capture.sections.last() {
                    assert!(last.truncated || capture.complete, "at {end}: {capture:?}");
                }
                for section in &capture.sections[..capture.sections.len().saturating_sub(1)] {
                    assert!(!section.truncated, "at {end}");
                }
            }
            Err(error) => assert!(matches!(error, FrameError::Silent | FrameError::NoGreeting { .. }), "{error:?}"),
        }
    }
}

#[test]
fn a_terminal_in_between_takes_nothing_away() {
    let plain = "@@ hello 1 1 0 \n@@ hosts 0 0\na\r\nb\n@@ bye\n";
    assert_eq!(read(plain).sections[0].text, "a\r\nb", "the file's own CR stays");
    assert_eq!(read(&plain.replace('\n', "\r\n")).sections[0].text, "a\r\nb");
}

#[test]
fn odd_bytes() {
    let mut answer = bytes("@@ hello 1 1 0 \n@@ cni-file 0 0 /a\u{1b}[31m\nx");
    answer.extend_from_slice(b"\xff\xfe\0y\n");
    answer.extend(bytes("@@ bye\n"));
    let capture = parse(&answer, b"\xffoops", &nonce(), &Limits::DEFAULT).unwrap();
    assert_eq!(capture.sections[0].arg.as_deref(), Some("/a\u{1b}[31m"));
    assert_eq!(capture.sections[0].text, "x\u{fffd}\u{fffd}y");
    assert_eq!(capture.stderr, "\u{fffd}oops");
}

#[test]
fn duplicates_and_second_greetings_are_kept_apart() {
    let capture = read("@@ hello 1 1 0 \n@@ a 0 0\n1\n@@ hello 1 1 5 \n2\n@@ a 0 0\n3\n@@ bye\n@@ a 0 0\n");
    let texts: Vec<_> = capture.sections("a").map(|s| s.text.as_str()).collect();
    assert_eq!(texts, ["1\n2", "3"]);
    assert_eq!(capture.uid, Some(0));
}

#[test]
fn limits_hold() {
    let limits = Limits { sections: 3, section: 10, total: 15, noise: 4, stderr: 2 };
    let long = "é".repeat(100);
    let answer =
        bytes(&format!("noise\n@@ hello 1 1 0 \n@@ a 0 0\n{long}\n@@ b 0 0\n{long}\n@@ c 0 0\n@@ d 0 0\n@@ bye\n"));
    let capture = parse(&answer, b"abc", &nonce(), &limits).unwrap();
    assert_eq!((capture.noise.as_str(), capture.stderr.as_str()), ("nois", "ab"));
    let seen: Vec<_> = capture.sections.iter().map(|s| (s.text.len(), s.truncated)).collect();
    assert_eq!(seen, [(10, true), (4, true), (0, false)]);
    assert!(!capture.complete, "a dropped section is not a complete answer");
}

#[test]
fn ten_mebibytes_on_one_line() {
    let mut answer = bytes("@@ hello 1 1 0 \n@@ api-nodes 0 0\n");
    answer.resize(answer.len() + (10 << 20), b'x');
    let capture = parse(&answer, b"", &nonce(), &Limits::DEFAULT).unwrap();
    assert_eq!(capture.sections[0].text.len(), Limits::DEFAULT.section);
    assert!(capture.sections[0].truncated && !capture.complete);
}

#[test]
fn the_nodes_own_cut_is_seen() {
    let capture = read("@@ hello 1 1 0 \n@@ a 0 0\n1\n@@ cut\n@@ b 0 0\n2\n@@ bye\n");
    let seen: Vec<_> = capture.sections.iter().map(|s| s.truncated).collect();
    assert_eq!(seen, [true, false]);
}

prop_compose! {
    fn any_section()(
        id in "[a-z][a-z0-9-]{0,20}",
        arg in proptest::option::of("[^\r\n\0]{1,40}"),
        rc in any::<i32>(),
        ms in any::<u32>(),
        truncated in any::<bool>(),
        // A text of one empty line cannot be told from none.
        text in "[^\r\n\0]{1,30}(\n[^\r\n\0]{0,30}){0,5}|",
    ) -> Section {
        Section { id, arg, rc, ms, truncated, text }
    }
}

proptest! {
    #[test]
    fn parse_gives_back_what_render_wrote(
        sections in proptest::collection::vec(any_section(), 0..8),
        node_ms in proptest::option::of(0_i64..4_000_000_000_000),
        uid in proptest::option::of(any::<u32>()),
    ) {
        prop_assume!(sections.iter().all(|s| !matches!(s.id.as_str(), "bye" | "cut" | "hello")));
        let hello = Greeting { node_ms, uid, announced: vec!["never-sent".to_owned()] };
        let wire = render(&hello, &sections, &nonce());
        prop_assert_eq!(greeting(wire.as_bytes(), &nonce()), Some(Ok(hello)));
        let capture = parse(wire.as_bytes(), b"", &nonce(), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(capture.sections, sections);
        prop_assert_eq!(capture.uid, uid);
        prop_assert!(capture.complete);
        prop_assert_eq!(capture.missing, vec!["never-sent".to_owned()]);
    }

    #[test]
    fn no_bytes_are_too_odd(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..30),
                Just(format!("\n@@{HEX} ").into_bytes()),
                Just(format!("\n@@{HEX} hello 1 1.5 0 a,b\n").into_bytes()),
                Just(format!("\n@@{HEX} a 0 0 b\n").into_bytes()),
                Just(format!("\n@@{HEX} cut\n").into_bytes()),
                Just(format!("\n@@{HEX} bye\n").into_bytes()),
                Just(b"\r\n".to_vec()),
            ],
            0..20,
        ),
        limit in 0_usize..100,
    ) {
        let answer = pieces.concat();
        let limits = Limits { sections: limit / 10, section: limit, total: limit * 2, noise: limit, stderr: limit };
        let _ = greeting(&answer, &nonce());
        if let Ok(capture) = parse(&answer, &answer, &nonce(), &limits) {
            prop_assert!(capture.sections.len() <= limits.sections);
            prop_assert!(capture.sections.iter().all(|s| s.text.len() <= limits.section));
            prop_assert!(capture.sections.iter().map(|s| s.text.len()).sum::<usize>() <= limits.total);
            prop_assert!(capture.noise.len() <= limit && capture.stderr.len() <= limit);
        }
    }
}

#[test]
fn more_than_the_script_sends_is_not_kept() {
    for (id, cut_at) in [("os-release", 64 << 10), ("crictl-ps", 512 << 10), ("api-nodes", 8 << 20)] {
        let capture = read(&format!("@@ hello 1 0 0 -\n@@ {id} 0 0\n{}\n@@ bye\n", "x".repeat(9 << 20)));
        let section = &capture.sections[0];
        assert_eq!((section.text.len(), section.truncated), ((cut_at * 2).min(Limits::DEFAULT.section), true), "{id}");
        let capture = read(&format!("@@ hello 1 0 0 -\n@@ {id} 0 0\n{}\n@@ bye\n", "x".repeat(cut_at)));
        assert!(!capture.sections[0].truncated, "{id}");
    }
}

#[test]
fn the_documented_limits_are_the_ones_of_the_script() {
    let page = include_str!("../../docs/probe.md");
    let limits = page.split_once("**Limits.**").unwrap().1.split_once("Commands are killed").unwrap().0;
    let group = regex::Regex::new(r"((?:`[a-z*-]+`[ and\n]*)+)\((\d+) ([KM])iB\)").unwrap();
    let mut seen = 0;
    for found in group.captures_iter(limits) {
        let factor = if &found[3] == "M" { 1 << 20 } else { 1 << 10 };
        for id in found[1].split('`').skip(1).step_by(2) {
            assert_eq!(cut_at(&id.replace('*', "ps")), found[2].parse::<usize>().unwrap() * factor, "{id}");
            seen += 1;
        }
    }
    assert_eq!(seen, 11);
    assert!(limits.contains("cut at 64 KiB, except"));
    assert_eq!(cut_at("os-release"), 64 << 10);
}

#[test]
fn a_line_that_is_longer_than_a_path_is_no_marker() {
    let capture =
        read(&format!("@@ hello 1 0 0 -\n@@ ident 0 0\n@@ df 0 0 /{}\n@@ df 0 0 /x\n@@ bye\n", "x".repeat(9000)));
    let seen: Vec<_> = capture.sections.iter().map(|section| section.arg.as_deref()).collect();
    assert_eq!(seen, [None, Some("/x")]);
}
