//! Sections that are not what they should be: what a broken, or a hostile, node may say in an orderly answer.

use seaworthy::failure::FailureKind;

use super::answer::Answer;
use super::case::{Case, Expected, Is, Peer, case};
use super::clean::{MARKDOWN, MARKUP, SHELL};
use super::output::MUCH;

const RUNNING: (&str, Is) = ("/facts/kubelet/unit/running", Is::Json("true"));
const FLANNEL: &str = "cni-file /etc/cni/net.d/10-flannel.conflist";
const CONTAINERD: &str = "containerd-config /etc/containerd/config.toml";
const KUBECONFIG: &str = "kubeconfig /etc/kubernetes/kubelet.conf";
const CLIENT_CERT: &str = "cert /var/lib/kubelet/pki/kubelet-client-current.pem";

pub(super) fn cases() -> Vec<Case> {
    [texts(), nested(), figures(), lists(), files()].into_iter().flatten().collect()
}

/// Puts a text behind every word that a person may come to see, and wherever a value may stand.
fn everywhere(answer: &mut Answer, payload: &[u8]) {
    for (head, text) in &mut answer.sections {
        let mut spoilt = Vec::with_capacity(text.len() * 2);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            spoilt.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            spoilt.extend_from_slice(payload);
            spoilt.push(b'\n');
        }
        *text = spoilt;
        if head.splitn(4, |byte| *byte == b' ').count() == 4 {
            head.extend_from_slice(payload);
        }
    }
    // Commands that failed with these words.
    for id in ["crictl-info", "unit", "ip-addr", "firewall"] {
        answer.add(&format!("{id} 1 5"), payload);
    }
}

/// The same, with failures that quote it: a fact that is unknown says why in the node's own words.
fn in_failures(answer: &mut Answer, payload: &str) {
    for id in ["crictl-info", "crictl-pods", "containerd-dump", "kubelet-config", "ip-addr", "ctr-plugins", "packages"]
    {
        let place = answer.sections.iter().position(|(head, _)| head.starts_with(format!("{id} ").as_bytes())).unwrap();
        answer.sections[place] = (format!("{id} 1 5").into_bytes(), payload.as_bytes().to_vec());
    }
    for (from, to) in [("kernel=", "kernel!"), ("cpus=", "cpus!"), ("hostname=node", "hostname=")] {
        answer.edit("ident", from, &format!("{to}{payload}"));
    }
    answer.edit("unit containerd", "ActiveState=active", &format!("ActiveState={payload}"));
    answer.edit("unit kubelet", "Result=success", &format!("Result={payload}"));
    answer.edit("os-release", "PRETTY_NAME=\"", &format!("PRETTY_NAME=\"{payload}"));
    answer.edit("packages", "", "");
    answer.noise = format!("{payload}\n").into_bytes();
}

fn texts() -> Vec<Case> {
    use Expected::Read;
    use Peer::Says;
    const UNHURT: Expected = Read(&[("/facts/identity/arch", Is::Has("x86_64"))]);
    vec![
        case(
            "terminal-escapes",
            "puts terminal escapes (title, clipboard, cursor, hyperlinks, answers) into everything it says",
            Says(|answer| {
                everywhere(
                    answer,
                    b"\x1b]0;title\x07\x1b]52;c;b3duZWQ=\x07\x1b[2J\x1b[1A\x1b]8;;http://evil.invalid\x1b\\x\x1b[6n\x1bc\x08\r",
                );
            }),
            UNHURT,
        ),
        case(
            "bidi-and-zero-width",
            "puts marks of direction, characters without width, C1 controls and tags into everything it says",
            Says(|answer| {
                let payload =
                    "\u{202e}\u{2066}\u{200b}\u{200d}\u{feff}\u{ad}\u{9b}2J\u{9d}0;x\u{9c}\u{e0041}\u{2028}\u{fff9}";
                everywhere(answer, payload.as_bytes());
            }),
            UNHURT,
        ),
        case(
            "not-utf8",
            "puts bytes that are not UTF-8 into everything it says",
            Says(|answer| everywhere(answer, b"\xff\xfe\xc3\x28\xed\xa0\x80\xf5")),
            UNHURT,
        ),
        case("nul", "puts NULs into everything it says", Says(|answer| everywhere(answer, b"\0\0")), UNHURT),
        case(
            "markup",
            "puts HTML, XML and Markdown into everything it says",
            Says(|answer| everywhere(answer, format!("{MARKUP}{MARKDOWN}&#27;&lt;").as_bytes())),
            UNHURT,
        ),
        case(
            "shell",
            "puts quotes and commands of a shell into everything it says",
            Says(|answer| everywhere(answer, SHELL.as_bytes())),
            UNHURT,
        ),
        case(
            "failures-that-quote",
            "fails with messages of markup, commands and terminal escapes",
            Says(|answer| in_failures(answer, &format!("\x1b]0;x\x07\u{202e}{MARKUP}{MARKDOWN}{SHELL}"))),
            Read(&[
                ("/facts/identity/kernel", Is::Unknown("<script>")),
                ("/facts/kubelet/config/valid", Is::Unknown("<script>")),
                ("/facts/identity/arch", Is::Json("\"x86_64\"")),
            ]),
        ),
        case(
            "line-of-1-mib",
            "has a line of 1 MiB in each of five sections",
            Says(|answer| {
                for (id, key) in [
                    ("os-release", "PRETTY_NAME="),
                    ("ident", "hostname="),
                    ("log kubelet", ""),
                    ("mountinfo", ""),
                    ("hosts", ""),
                ] {
                    let mut text = String::from_utf8(
                        answer
                            .sections
                            .iter()
                            .find(|(head, _)| head.starts_with(id.split(' ').next().unwrap().as_bytes()))
                            .unwrap()
                            .1
                            .clone(),
                    )
                    .unwrap();
                    text.insert_str(0, &format!("{key}{}\n", "W".repeat(1 << 20)));
                    answer.say(id, text);
                }
            }),
            Read(&[RUNNING]),
        ),
    ]
}

fn nested() -> Vec<Case> {
    use Expected::Read;
    use Peer::Says;
    vec![
        case(
            "json-deep",
            "has JSON of 10,000 levels in a CNI file and in crictl's answers",
            Says(|answer| {
                let arrays = "[".repeat(10_000) + &"]".repeat(10_000);
                let objects = "{\"plugins\":".repeat(10_000) + "1" + &"}".repeat(10_000);
                answer.say(FLANNEL, objects);
                for id in ["crictl-info", "crictl-pods", "crictl-ps", "crictl-images"] {
                    answer.say(id, arrays.clone());
                }
            }),
            Read(&[RUNNING, ("/facts/cni/valid", Is::Json("false")), ("/facts/cni/error", Is::Has("invalid JSON"))]),
        ),
        case(
            "yaml-deep",
            "has YAML of 10,000 levels, in brackets and in blocks, in the kubelet's files",
            Says(|answer| {
                answer.say("kubelet-config", "a: ".to_owned() + &"[".repeat(10_000));
                answer.say(KUBECONFIG, "- ".repeat(10_000) + "x");
            }),
            Read(&[RUNNING, ("/facts/kubelet/config/error", Is::Has("nested too deeply"))]),
        ),
        case(
            "yaml-deep-blocks",
            "has YAML of 10,000 levels in blocks in the kubelet's configuration",
            Says(|answer| {
                let mut text = String::from("kind: KubeletConfiguration\na:\n  ");
                text.push_str(&"- ".repeat(10_000));
                text.push('x');
                answer.say("kubelet-config", text);
                answer.say(KUBECONFIG, "? ".repeat(10_000) + "x");
            }),
            Read(&[RUNNING, ("/facts/kubelet/config/error", Is::Has("no valid YAML"))]),
        ),
        case(
            "yaml-bomb",
            "has aliases of aliases, a billion in the end, in the kubelet's files",
            Says(|answer| {
                let mut bomb = String::from("kind: KubeletConfiguration\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
                for level in 1..10 {
                    let below = format!("*a{},", level - 1).repeat(10);
                    bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
                }
                answer.say("kubelet-config", bomb.clone());
                answer.say(KUBECONFIG, bomb);
            }),
            Read(&[RUNNING, ("/facts/kubelet/config/error", Is::Has("its aliases make it too large"))]),
        ),
        case(
            "yaml-bomb-of-merges",
            "has merges of merges and an alias of itself in the kubelet's configuration",
            Says(|answer| {
                let mut bomb = String::from("kind: KubeletConfiguration\nb0: &b0 {k: v}\n");
                for level in 1..2000 {
                    bomb.push_str(&format!(
                        "b{level}: &b{level}\n  <<: *b{}\n  k{level}: *b{}\n",
                        level - 1,
                        level - 1
                    ));
                }
                answer.say("kubelet-config", bomb);
                answer.say(KUBECONFIG, "clusters: &c\n- *c\n");
            }),
            Read(&[RUNNING, ("/facts/kubelet/config/error", Is::Has("its aliases make it too large"))]),
        ),
        case(
            "toml-deep",
            "has TOML of 10,000 levels in containerd's configuration",
            Says(|answer| {
                answer.say(CONTAINERD, format!("a = {}{}\n", "[".repeat(10_000), "]".repeat(10_000)));
                answer.say("containerd-dump", format!("[{}a]\nb = 1\n", "a.".repeat(10_000)));
            }),
            Read(&[RUNNING]),
        ),
        case(
            "certificates-garbage",
            "has certificates of garbage, of nested lengths and without end",
            Says(|answer| {
                let pem = |der: &[u8]| {
                    use base64::Engine as _;
                    let text = base64::engine::general_purpose::STANDARD.encode(der);
                    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
                };
                answer.say(CLIENT_CERT, pem(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30]));
                // Sequences in sequences.
                let nested: Vec<u8> = (0..20_000u32).flat_map(|_| [0x30, 0x80]).collect();
                answer.say("cert /var/lib/kubelet/pki/kubelet.crt", pem(&nested));
                answer.say("cert /etc/kubernetes/pki/ca.crt", "-----BEGIN CERTIFICATE-----\n\x1b[2J=====\n");
            }),
            Read(&[RUNNING, ("/facts/certs/kubelet_client", Is::Has("unknown"))]),
        ),
    ]
}

fn figures() -> Vec<Case> {
    use Expected::Read;
    use Peer::Says;
    vec![
        case(
            "numbers-out-of-range",
            "has numbers of 40 digits for memory, processors, sizes, ports, restarts and times",
            Says(|answer| numbers(answer, "9999999999999999999999999999999999999999")),
            Read(&[
                ("/facts/identity/arch", Is::Json("\"x86_64\"")),
                ("/facts/system/cpus", Is::Unknown("not a number in range")),
            ]),
        ),
        case(
            "numbers-at-the-edge",
            "has the largest numbers of 64 bits for memory, processors, sizes, ports, restarts and times",
            Says(|answer| numbers(answer, "18446744073709551615")),
            Read(&[("/facts/identity/arch", Is::Json("\"x86_64\""))]),
        ),
        case(
            "sizes-negative",
            "has the smallest number of 64 bits for memory, processors, sizes, ports, restarts and times",
            Says(|answer| numbers(answer, "-9223372036854775808")),
            Read(&[("/facts/identity/arch", Is::Json("\"x86_64\""))]),
        ),
        case(
            "numbers-of-no-kind",
            "has NaN for memory, processors, sizes, ports, restarts and times",
            Says(|answer| numbers(answer, "NaN")),
            Read(&[
                ("/facts/identity/arch", Is::Json("\"x86_64\"")),
                ("/facts/system/cpus", Is::Unknown("not a number in range")),
            ]),
        ),
        case(
            "year-9999",
            "has its clock, its files, its log and its units in the year 9999",
            Says(|answer| {
                let far = "253402300799";
                answer.hello = format!("{} hello 1 {far}.999 0 df\n", answer.mark).into_bytes();
                for (_, text) in &mut answer.sections {
                    let Ok(kept) = String::from_utf8(text.clone()) else { continue };
                    let words = kept.split_inclusive([' ', '=', '@', '.', '\n', '\t']).map(|word| {
                        let bare = word.trim_end_matches([' ', '=', '@', '.', '\n', '\t']);
                        let epoch = bare.len() == 10 && bare.bytes().all(|byte| byte.is_ascii_digit());
                        if epoch { word.replace(bare, far) } else { word.to_owned() }
                    });
                    *text = words.collect::<String>().replace("2026-", "9999-").into_bytes();
                }
            }),
            Read(&[RUNNING, ("/facts/time/skew_ms", Is::Has("25"))]),
        ),
    ]
}

/// Has `number` for every word of digits in the node's figures.
fn numbers(answer: &mut Answer, number: &str) {
    const FIGURES: [&str; 22] = [
        "ident",
        "meminfo",
        "swaps",
        "sysctl",
        "inotify",
        "counts",
        "dstate",
        "df",
        "fs-errors",
        "stat",
        "unit",
        "unit-paths",
        "process",
        "cni-dir",
        "cni-bin",
        "ip-addr",
        "ip-link",
        "ports",
        "firewall",
        "time",
        "join",
        "suspend",
    ];
    for (head, text) in &mut answer.sections {
        let id = String::from_utf8_lossy(head).split(' ').next().unwrap().to_owned();
        if !FIGURES.contains(&id.as_str()) {
            continue;
        }
        let kept = String::from_utf8(text.clone()).unwrap();
        let words = kept.split_inclusive([' ', '=', ':', '/', '\n', '\t']).map(|word| {
            let bare = word.trim_end_matches([' ', '=', ':', '/', '\n', '\t']);
            let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { word.replacen(bare, number, 1) } else { word.to_owned() }
        });
        *text = words.collect::<String>().into_bytes();
    }
}

fn lists() -> Vec<Case> {
    use Expected::{Partly, Read};
    use Peer::Says;
    vec![
        case(
            "mounts-a-million",
            "has a million mounts",
            Says(|answer| answer.say("mountinfo", mounts(1_000_000))),
            Partly(FailureKind::OutputLimit, "more than 20971520 bytes"),
        )
        .memory(MUCH),
        case(
            "mounts-many",
            "has 100,000 mounts of its own, and an answer within the limits",
            Says(|answer| {
                let text = String::from_utf8(mounts(100_000)).unwrap();
                answer.say("mountinfo", text.replace("/var/lib/kubelet/pods/", "/mnt/"));
            }),
            Read(&[RUNNING]),
        )
        .memory(MUCH),
        case(
            "json-wide",
            "has four million empty lists in crictl's answers, and a million in a CNI file",
            Says(|answer| {
                let lists = |count: usize| format!("{{\"plugins\":[{}1]}}", "[],".repeat(count));
                for id in ["crictl-info", "crictl-pods", "crictl-ps", "crictl-images"] {
                    answer.say(id, lists(1_000_000));
                }
                answer.say(FLANNEL, lists(1_000_000));
            }),
            Read(&[RUNNING, ("/facts/cni/valid", Is::Unknown("too long and was cut off"))]),
        )
        .memory(MUCH),
        case(
            "json-wide-within-limits",
            "has as many empty lists in crictl's answers and a CNI file as is kept of them",
            Says(|answer| {
                let lists = |bytes: usize| format!("{{\"items\":[{}1]}}", "[],".repeat(bytes / 3 - 10));
                for id in ["crictl-info", "crictl-pods", "crictl-ps", "crictl-images"] {
                    answer.say(id, lists(1 << 20));
                }
                answer.say(FLANNEL, lists(128 << 10));
            }),
            Read(&[RUNNING, ("/facts/cni/valid", Is::Json("false"))]),
        )
        .memory(MUCH),
        case(
            "yaml-wide",
            "has as many empty lists in the kubelet's configuration as is kept of it",
            Says(|answer| answer.say("kubelet-config", format!("kind: [{}x]\n", "[],".repeat((128 << 10) / 3 - 10)))),
            Read(&[RUNNING, ("/facts/kubelet/config/valid", Is::Json("false"))]),
        )
        .memory(MUCH),
        case(
            "mounts-of-pods-many",
            "has 100,000 mounts of pods, and an answer within the limits",
            Says(|answer| answer.say("mountinfo", mounts(100_000))),
            Read(&[RUNNING]),
        ),
        case(
            "log-of-7-mib",
            "has 100,000 lines in its log and as many listening ports",
            Says(|answer| {
                let line =
                    "1795397258.201733 node003 kubelet[803]: E1123 01:27:38.1 803 x.go:1] \"Failed\" err=\"x\"\n";
                answer.say("log kubelet", format!("invocation=1\n{}", line.repeat(70_000)));
                answer.say("ports", "tcp 0.0.0.0 10250 803 kubelet\n".repeat(100_000));
            }),
            Read(&[RUNNING]),
        )
        .memory(MUCH),
    ]
}

fn mounts(count: usize) -> Vec<u8> {
    use std::io::Write as _;
    let mut text = b"22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n".to_vec();
    for number in 0..count {
        writeln!(text, "{number} 22 0:{number} / /var/lib/kubelet/pods/{number} rw - tmpfs t rw").unwrap();
    }
    text
}

fn files() -> Vec<Case> {
    use Expected::Read;
    use Peer::Says;
    vec![
        case(
            "symlink-loops",
            "has links that lead to themselves and to each other, under paths without end",
            Says(|answer| {
                let (far, near) = ("/etc/cni/net.d/a.conflist", "/etc/cni/net.d/b.conflist");
                let long = format!("/etc/cni/net.d{}", "/..".repeat(5000));
                answer.say(
                    "cni-dir /etc/cni/net.d",
                    format!("777 0:0 9 1 l\t{far}\t-> {near}\n777 0:0 9 1 l\t{near}\t-> {far}\n777 0:0 9 1 l\t/etc/cni/net.d/c.conf\t-> {long}\n"),
                );
                answer.edit("stat", "/etc/kubernetes\n", "/etc/kubernetes\t-> /etc/kubernetes\n");
                answer.remove(FLANNEL);
            }),
            Read(&[RUNNING]),
        ),
        case(
            "file-names",
            "has file names with line breaks, quotes, commands, markup and terminal escapes",
            Says(|answer| {
                let name = format!(
                    "/etc/cni/net.d/00-{}{}\x1b[2J\u{202e}.conflist",
                    SHELL.replace('/', ""),
                    MARKUP.replace('/', "")
                );
                answer.say(
                    "cni-dir /etc/cni/net.d",
                    format!("644 0:0 292 1 f\t{name}\n644 0:0 292 1 f\t/etc/cni/net.d/new\nline.conflist\n666 99:99 0 1 f\t\n"),
                );
                answer.add(
                    &format!("cni-file 0 0 {name}"),
                    "{\"name\": \"\x1b[2J\", \"plugins\": [{\"type\": \"'; touch /tmp/owned\"}]}\n",
                );
                answer.add(
                    &format!(
                        "unit-file 0 0 /etc/systemd/system/kubelet.service.d/{}",
                        name.replace(".conflist", ".conf")
                    ),
                    "[Service]\n",
                );
            }),
            Read(&[RUNNING, ("/facts/cni/first", Is::Has("touch tmpowned"))]),
        ),
    ]
}
