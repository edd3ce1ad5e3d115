//! Markdown, read back in GitHub's dialect.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use seaworthy::report::Format;
use seaworthy::report::model::Report;

use super::{fixture, render};
use crate::report::fixture as plain;

fn markdown(report: &Report) -> String {
    render(Format::Markdown, report)
}

/// All headings, each with its level.
pub(super) fn headings(text: &str) -> Vec<String> {
    let mut headings: Vec<String> = Vec::new();
    let mut inside = false;
    for event in parse(text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                inside = true;
                headings.push(format!("{} ", "#".repeat(level as usize)));
            }
            Event::End(TagEnd::Heading(_)) => inside = false,
            Event::Text(text) | Event::Code(text) if inside => headings.last_mut().unwrap().push_str(&text),
            _ => {}
        }
    }
    headings
}

pub(super) fn parse(text: &str) -> impl Iterator<Item = Event<'_>> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

#[test]
fn one_node_is_a_full_analysis() {
    let text = markdown(&fixture::one());
    let expected = [
        "# Analysis of storagenode",
        "## Executive summary",
        "## Detailed analysis",
        "### 1. Kubelet: fails",
        "### 2. Mounts: no fault found",
        "### 3. Disk: no fault found",
        "### 4. Permissions: no fault found",
        "### 5. Containerd: no fault found",
        "### 6. NFS: no fault found",
        "### 7. Kernel: no fault found",
        "### 8. Time: no fault found",
        "### 9. CNI: normal in this phase",
        "### 10. API: does not apply",
        "## Root causes",
        "### 1. the kubelet lacks kubeadm's drop-in",
        "### 2. NTP does not run",
        "## Recommendations",
        "### Now",
        "### Later",
        "## Technical details",
        "#### CNI configuration as found",
        "#### CNI configuration as expected",
        "## Conclusion",
    ];
    assert_eq!(headings(&text), expected);
    let summary = text.split("## Executive summary\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
    insta::assert_snapshot!(summary, @r"
    - **Primary issue**: the kubelet lacks kubeadm's drop-in
    - **Impact**: blocker: it stops a join, or makes the node unusable; it explains: the join failed
    - **Root cause**: the kubelet lacks kubeadm's drop-in, at length (`kubelet/drop-in-missing`, certain)
    - **Next**: Reinstall it, with `dnf` on RPM systems.
    - **Status**: join blocked
      - fails: kubelet
      - normal in this phase: CNI
      - no fault found: mounts, disk, permissions, containerd, NFS, kernel, time
      - does not apply: API
    - **Checks**: 2 failed, 1 warned, 1 could not be judged, 1 normal in this phase, 20 passed, 3 did not apply
    ");
    let problem = text.split("### 1. Kubelet: fails\n\n").nth(1).unwrap().split("### 2.").next().unwrap();
    insta::assert_snapshot!(problem.trim_end(), @r"
    **Problem**: kubeadm's drop-in is missing (blocker, `kubelet/drop-in-missing`)

    - **Evidence**:
      - drop-in: `missing`
      - process: `2214`

    **Problem**: the kubelet never contacts the API (blocker, `kubelet/standalone`)

    - **Follows from**: `kubelet/drop-in-missing`

    - version: `1.29.15`

    **Verdict**: fails (standalone)
    ");
    assert!(text.contains("holds no configuration, which is normal in this phase."), "{text}");
}

#[test]
fn many_nodes_are_a_summary_and_then_those_with_problems() {
    let text = markdown(&fixture::fleet());
    let headings = headings(&text);
    assert_eq!(headings[0], "# Fleet report: 23 nodes");
    let troubled = headings.iter().position(|heading| heading == "## Nodes with problems").unwrap();
    assert_eq!(headings[troubled + 1..], ["### storagenode", "### node[57-58]"]);
    let glance = text.split("## The fleet at a glance\n\n").nth(1).unwrap().split("\n\n##").next().unwrap();
    insta::assert_snapshot!(glance, @r"
    | nodes | phase | verdict | areas |
    |---|---|---|---|
    | `storagenode` | joining | join blocked | kubelet: standalone |
    | `node[57-58]` | · | unreachable: refused | - |

    **ok** (20): `node[01-20]`
    ");
    assert!(text.contains("3. **Reach the node** `node[57-58]`: start sshd") || text.contains("2. **Reach the node**"));
}

#[test]
fn nothing_is_claimed_of_a_sound_or_an_unread_node() {
    let sound = markdown(&plain::report(vec![plain::healthy("node1", 20)]));
    assert!(sound.contains("- **Primary issue**: none found\n"), "{sound}");
    assert!(!sound.contains("## Root causes") && !sound.contains("## Recommendations"));
    let unread = markdown(&plain::fleet_of(&["homelab"]));
    assert!(unread.contains("- **Not read to the end**: no route to 192.168.4.62 port 22"), "{unread}");
    assert!(!unread.contains("no fault") && !unread.contains("none found"));
    assert!(markdown(&plain::report(Vec::new())).contains("**Status**: no nodes"));
}

#[test]
fn the_cluster_comes_before_its_nodes() {
    let text = markdown(&fixture::fleet());
    let all = headings(&text);
    let at = |heading: &str| all.iter().position(|it| it == heading).unwrap_or_else(|| panic!("{heading}"));
    assert!(at("## The cluster") < at("## Nodes with problems"));
    let cluster = text.split("## The cluster\n\n").nth(1).unwrap().split("\n## ").next().unwrap();
    insta::assert_snapshot!(cluster.trim_end(), @r#"
    As its nodes and the API server of master (1.29.15) say.

    ### Versions

    Which version runs where:

    | component | version | nodes | which |
    |---|---|---:|---|
    | kubelet | `1.29.15` | 20 | `node[01-20]` |
    | ″ | `1.28.9 (few)` | 1 | `storagenode` |

    ### Configuration

    Which nodes are configured alike:

    | part | kinds | most alike | nodes | otherwise |
    |---|---:|---|---:|---|
    | **look**: kubelet of workers | 5 | `node[01-20]` | 20 | `storagenode` |

    kubelet of workers: lines that differ from node\[01-20\]:

    | nodes | have | most have |
    |---|---|---|
    | **look**: `storagenode (few)` | `cgroupDriver = cgroupfs` | `cgroupDriver = systemd` |
    | ″ | none | `maxPods = 110` |
    | ″ | `and 7 more lines` | none |

    and 3 more kinds

    ### Found on several nodes

    What one machine alone may have, and several do:

    | what | value | nodes | which |
    |---|---|---:|---|
    | **look**: machine-id | `0fa06b48` | 2 | `node01, storagenode` |

    ### flannel's pods

    Daemon sets of flannel's:

    | daemon set | wanted | there | ready |
    |---|---:|---:|---:|
    | **look**: `kube-flannel/kube-flannel-ds` | 5 | 4 | ? |

    flannel's pod on each node of the run:

    | pod | nodes | which |
    |---|---:|---|
    | **fails**: none: it does not tolerate the taint gpu:NoExecute | 1 | `storagenode` |
    | **look**: not ready: CrashLoopBackOff | 1 | `other` |
    | ready: Running | 20 | `node[01-20]` |

    ### Inventory and cluster

    The run's nodes against the Node objects that master has:

    | the node is | nodes | which |
    |---|---:|---|
    | **fails**: joined, and the cluster does not know it | 1 | `storagenode` |
    | **look**: in the cluster and not in this run | 1 | `gone` |

    ### Failing nodes against healthy ones

    What healthy siblings have otherwise:

    | nodes | fact | here | healthy nodes | agree |
    |---|---|---|---|---:|
    | `storagenode` | `kernel.ip_forward` | `no` | `yes` | 12 of 12 |
    | ″ | `cni.first` | none | `yes` | 12 of 12 |
    "#);
}

#[test]
fn one_node_is_compared_with_its_healthy_siblings() {
    let mut report = fixture::one();
    report.cluster = fixture::fleet().cluster;
    let text = markdown(&report);
    let differences = text.split("## Unlike its healthy siblings\n\n").nth(1).unwrap().split("\n## ").next().unwrap();
    assert!(differences.contains("| `storagenode` | `kernel.ip_forward` | `no` | `yes` | 12 of 12 |"), "{differences}");
    report.nodes[0].name = "another".to_owned();
    assert!(!markdown(&report).contains("healthy siblings"), "of others nothing is said here");
}
