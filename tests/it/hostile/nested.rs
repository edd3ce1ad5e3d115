//! Structures that are deep, wide, or grow when they are read.

use seaworthy::failure::FailureKind;

use super::case::{Case, Expected, Is, Peer, case};
use super::content::{FLANNEL, RUNNING};
use super::output::MUCH;

const CONTAINERD: &str = "containerd-config /etc/containerd/config.toml";
const KUBECONFIG: &str = "kubeconfig /etc/kubernetes/kubelet.conf";
const CLIENT_CERT: &str = "cert /var/lib/kubelet/pki/kubelet-client-current.pem";

pub(super) fn cases() -> Vec<Case> {
    [deep(), wide()].into_iter().flatten().collect()
}

fn deep() -> Vec<Case> {
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
                let levels = (1..10).map(|level| {
                    let below = format!("*a{},", level - 1).repeat(10);
                    format!("a{level}: &a{level} [{below}]\n")
                });
                let first = "kind: KubeletConfiguration\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
                let bomb: String = std::iter::once(first).chain(levels).collect();
                answer.say("kubelet-config", bomb.clone());
                answer.say(KUBECONFIG, bomb);
            }),
            Read(&[RUNNING, ("/facts/kubelet/config/error", Is::Has("its aliases make it too large"))]),
        ),
        case(
            "yaml-bomb-of-merges",
            "has merges of merges and an alias of itself in the kubelet's configuration",
            Says(|answer| {
                let levels = (1..2000).map(|level| {
                    let below = level - 1;
                    format!("b{level}: &b{level}\n  <<: *b{below}\n  k{level}: *b{below}\n")
                });
                let first = "kind: KubeletConfiguration\nb0: &b0 {k: v}\n".to_owned();
                let bomb: String = std::iter::once(first).chain(levels).collect();
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

fn wide() -> Vec<Case> {
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
