//! Markers that are forged, missing, doubled or nonsense.

use seaworthy::failure::FailureKind;

use super::answer::Answer;
use super::case::{Case, Expected, Is, Peer, case};
use super::login::WELL;
use super::output::MUCH;

const FORGED: &str = "@@00000000000000000000000000000000";

pub(super) fn cases() -> Vec<Case> {
    [foreign(), own(), wrong()].into_iter().flatten().collect()
}

/// With another nonce than the script's, or none.
fn foreign() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::Protocol;
    use Peer::Says;
    vec![
        case(
            "markers-forged",
            "has section markers with a made-up nonce in its texts",
            Says(|answer| {
                let forged = format!("{FORGED} bye\n{FORGED} ident 0 0\nhostname=forged\n@@ bye\n@@\n");
                answer.noise = format!("{FORGED} hello 1 1700000000.000 0 df\n{forged}").into_bytes();
                for id in ["os-release", "hosts", "log kubelet"] {
                    answer.edit(id, "\n", &format!("\n{forged}"));
                }
            }),
            Expected::Read(&[("/facts/identity/hostname", Is::Json("\"node003\""))]),
        ),
        case(
            "nonce-wrong",
            "answers as it should, with another nonce",
            Says(|answer| {
                let text = String::from_utf8(answer.hello.clone()).unwrap();
                answer.hello = text.replace(&answer.mark, FORGED).into_bytes();
                answer.bye = format!("{FORGED} bye\n").into_bytes();
                FORGED.clone_into(&mut answer.mark);
            }),
            Failure(Protocol, "the probe did not greet"),
        ),
        case(
            "greeting-missing",
            "sends its sections without the greeting",
            Says(|answer| answer.hello.clear()),
            Failure(Protocol, "the probe did not greet"),
        ),
        case(
            "greeting-of-the-future",
            "greets with a version that does not exist",
            Says(|answer| answer.hello = format!("{} hello \x1b[2J99 0 0\n", answer.mark).into_bytes()),
            Failure(Protocol, "this program knows version 1"),
        ),
    ]
}

/// With the script's nonce, which a node has to know. It can only lie about itself.
fn own() -> Vec<Case> {
    use FailureKind::Protocol;
    use Peer::Says;
    vec![
        case(
            "section-doubled",
            "sends a section twice, the second time with another content",
            Says(|answer| answer.add("ident 0 0", "hostname=forged\nkernel=9.9.9\n")),
            Expected::Read(&[
                ("/facts/identity/hostname", Is::Json("\"node003\"")),
                ("/facts/identity/kernel_major", Is::Json("6")),
            ]),
        ),
        case(
            "sections-all-doubled",
            "sends its whole answer twice",
            Says(|answer| {
                let once = answer.sections.clone();
                answer.sections.extend(once);
                let hello = String::from_utf8(answer.hello.clone()).unwrap();
                let tail = hello.strip_prefix(&format!("{} ", answer.mark)).unwrap().trim_end().to_owned();
                answer.add(&tail, "");
            }),
            Expected::Read(&[("/facts/kubelet/unit/running", Is::Json("true"))]),
        ),
        case(
            "section-missing",
            "leaves sections out, announced ones among them",
            Says(|answer| {
                for id in ["kubelet-config", "meminfo", "firewall", "log kubelet"] {
                    answer.remove(id);
                }
            }),
            Expected::Read(&[
                ("/facts/kubelet/config/valid", Is::Unknown("not collected")),
                ("/facts/system/memory_total_kib", Is::Unknown("not collected")),
                ("/facts/firewall/firewalld", Is::Unknown("cut off before it answered")),
                ("/facts/kubelet/unit/running", Is::Json("true")),
            ]),
        ),
        case(
            "marker-in-text",
            "has a marker with the right nonce in the middle of a text",
            Says(|answer| {
                let forged = format!("\n{} kubelet-config 0 0\nkind: Forged\n", answer.mark);
                answer.edit("os-release", "\n", &forged);
            }),
            Expected::Read(&[("/facts/kubelet/unit/running", Is::Json("true"))]),
        ),
        case(
            "end-missing",
            "does not say that the answer is over",
            Says(|answer| answer.bye.clear()),
            Expected::Partly(Protocol, "the probe ended early with exit code 0; all that it announced came"),
        ),
        case(
            "end-in-the-middle",
            "says that the answer is over, and goes on",
            Says(|answer| {
                let bye = answer.bye.clone();
                answer.sections[60].1.extend(bye);
            }),
            Expected::Read(&[
                ("/facts/identity/hostname", Is::Json("\"node003\"")),
                ("/facts/kubelet/config/valid", Is::Unknown("not collected")),
            ]),
        ),
    ]
}

fn wrong() -> Vec<Case> {
    use FailureKind::OutputLimit;
    use Peer::Says;
    vec![
        case(
            "marker-nonsense",
            "has markers whose fields are nonsense, and numbers out of every range",
            Says(|answer| {
                for head in
                    ["", " ", "ident", "ident x y", "ident 0", "ÄÖ 0 0", "\x1b[2J 0 0", "IDENT 0 0", "hello", "bye 0"]
                {
                    answer.add(head, "hostname=forged\n");
                }
                let huge = "9".repeat(1000);
                answer.add(&format!("suspend -{huge} {huge}"), "");
                answer.add(&format!("{} 0 0", "x".repeat(100_000)), "");
                answer.hello = format!("{} hello 1 {huge}.{huge} {huge} ,,,\x1b,x\n", answer.mark).into_bytes();
            }),
            Expected::Read(&[
                ("/facts/identity/hostname", Is::Json("\"node003\"")),
                ("/facts/time/skew_ms", Is::Unknown("")),
            ]),
        ),
        case(
            "markers-of-bytes",
            "has bytes that are not UTF-8, NULs and control characters in markers, greeting and arguments",
            Says(|answer| {
                let mut odd = b"df 0 0 /\xff\xfe\0\x1b[2J".to_vec();
                odd.extend("\u{202e}\u{200b}<script>alert(1)</script>".as_bytes());
                answer.sections.push((odd, b"61255492 1 1 1 1 ext4 /dev/sda\n".to_vec()));
                answer
                    .sections
                    .push((b"cni-file 0 0 /etc/cni/net.d/\xff\0\x1b[2J.conflist".to_vec(), b"{}\n".to_vec()));
                answer.noise = b"\0\xff\xfe\n".to_vec();
            }),
            Expected::Read(&[("/facts/kubelet/unit/running", Is::Json("true"))]),
        ),
        case(
            "line-ends-of-a-terminal",
            "sends its answer through a terminal, with a carriage return at every line's end",
            Says(|answer| {
                let crlf = |bytes: &mut Vec<u8>| {
                    *bytes = String::from_utf8(std::mem::take(bytes)).unwrap().replace('\n', "\r\n").into_bytes();
                };
                crlf(&mut answer.hello);
                for (head, text) in &mut answer.sections {
                    head.push(b'\r');
                    crlf(text);
                }
                crlf(&mut answer.bye);
            }),
            WELL,
        ),
        case(
            "sections-without-end",
            "sends 700,000 empty sections",
            Says(|answer| many(answer, 700_000 / 20)),
            Expected::Partly(OutputLimit, "more than 20971520 bytes"),
        )
        .memory(MUCH),
        case(
            "sections-many",
            "sends 200,000 sections",
            Says(|answer| many(answer, 200_000 / 20)),
            Expected::Partly(OutputLimit, "the host sent more than 4096 sections"),
        )
        .memory(MUCH),
    ]
}

fn many(answer: &mut Answer, times: usize) {
    for _ in 0..times {
        for id in ["df 0 0 /", "netmount 0 0 /x", "log 0 0 kubelet", "cni-file 0 0 /etc/cni/net.d/x.conf"] {
            for number in 0..5 {
                answer.add(&format!("{id}{number}"), "");
            }
        }
    }
}
