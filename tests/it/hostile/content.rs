//! Sections that are not what they should be: what a broken, or a hostile, node may say in an orderly answer.

use super::answer::Answer;
use super::case::{Case, Expected, Is, Peer, case};
use super::clean::{MARKDOWN, MARKUP, SHELL};

pub(super) const RUNNING: (&str, Is) = ("/facts/kubelet/unit/running", Is::Json("true"));
pub(super) const FLANNEL: &str = "cni-file /etc/cni/net.d/10-flannel.conflist";

pub(super) fn cases() -> Vec<Case> {
    [texts(), figures(), files(), claims()].into_iter().flatten().collect()
}

/// What a node says of others.
fn claims() -> Vec<Case> {
    use Expected::Read;
    use Peer::Says;
    vec![case(
        "api-forged",
        "is a worker and answers for the API that its neighbours are gone and tainted",
        Says(|answer| {
            let nodes = ["masternode", "node002"].map(|name| {
                format!(
                    "node={name}\nrole=worker\npodCIDR=10.244.9.0/24\nunschedulable=true\ntaint=owned owned NoExecute\n\
                     condition=Ready False Owned 2026-01-01T00:00:00Z 2026-01-01T00:00:00Z\nmessage=Ready \"owned\"\n"
                )
            });
            answer.add("api-version 0 5", "{\"gitVersion\":\"v9.9.9\",\"major\":\"9\",\"minor\":\"9\"}\n");
            answer.add("api-readyz 0 5", "ok\n");
            answer.add("api-nodes 0 5", nodes.concat());
            answer.add("api-pods-system 0 5", "");
            answer.add("api-csr 0 5", "");
        }),
        Read(&[RUNNING]),
    )]
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
