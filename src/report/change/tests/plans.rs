//! What is to be done, what the files become, and what is taken back.

use super::*;

fn plan_text(of: &Plan, style: Style) -> String {
    shown(|out| plan::write(of, &style, out))
}

#[test]
fn a_plan_says_what_is_done_why_and_how_it_is_taken_back() {
    insta::assert_snapshot!(plan_text(&joining(), NARROW), @r#"
    storagenode  refused, nothing is done there
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it
      has no drop-in
         next      apt-get -o Dpkg::Options::=--force-confmiss install --reinstall
                   kubeadm, then: seaworthy join storagenode
      time/skewed: not known: the clock could not be read
         next      read it, or go on with --accept-unknown time/skewed

    node[1-2]  to be changed
      1. kubeadm join 192.168.4.63:6443
         join      under its own name · with a token of its own, made on masternode
                   and deleted afterwards · kubeadm 1.31 · up to 3 attempts
         CA        sha256:c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0
                   ffee00
         writes    /etc/kubernetes/kubelet.conf · /var/lib/kubelet/config.yaml
         moves     /etc/kubernetes/pki/ca.crt of an earlier join out of the way
         because   asked for by name
         undo      take the node out of the cluster: stop the kubelet, put back
                   every file that the join wrote, delete the Node
      2. write /etc/cni/net.d/10-flannel.conflist
         file      mode 0644 · owner 0:0 · 59 bytes · sha256 0123456789ab
         replaces  nothing, the file is new
         verify    the runtime has loaded the network cbr0
         because   cni/config-missing: there is no CNI configuration
         only if   cni/config-missing still fails after 2m
         undo      remove /etc/cni/net.d/10-flannel.conflist, which is new
      3. wait until node/not-ready passes, at most 5m

    homelab, node[3-4]  nothing to do: it has joined

    order     in batches of 1, 1: node1 first; the first failure stops the run
    join: 6 nodes: 2 to change, 1 refused, 3 as it should be
    "#);
    insta::assert_snapshot!(plan_text(&joining(), WIDE), @r#"
    storagenode  refused, nothing is done there
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it has no drop-in
         next      apt-get -o Dpkg::Options::=--force-confmiss install --reinstall kubeadm, then: seaworthy join storagenode
      time/skewed: not known: the clock could not be read
         next      read it, or go on with --accept-unknown time/skewed

    node[1-2]  to be changed
      1. kubeadm join 192.168.4.63:6443
         join      under its own name · with a token of its own, made on masternode and deleted afterwards · kubeadm 1.31 ·
                   up to 3 attempts
         CA        sha256:c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00
         writes    /etc/kubernetes/kubelet.conf · /var/lib/kubelet/config.yaml
         moves     /etc/kubernetes/pki/ca.crt of an earlier join out of the way
         because   asked for by name
         undo      take the node out of the cluster: stop the kubelet, put back every file that the join wrote, delete the
                   Node
      2. write /etc/cni/net.d/10-flannel.conflist
         file      mode 0644 · owner 0:0 · 59 bytes · sha256 0123456789ab
         replaces  nothing, the file is new
         verify    the runtime has loaded the network cbr0
         because   cni/config-missing: there is no CNI configuration
         only if   cni/config-missing still fails after 2m
         undo      remove /etc/cni/net.d/10-flannel.conflist, which is new
      3. wait until node/not-ready passes, at most 5m

    homelab, node[3-4]  nothing to do: it has joined

    order     in batches of 1, 1: node1 first; the first failure stops the run
    join: 6 nodes: 2 to change, 1 refused, 3 as it should be
    "#);
}

#[test]
fn equal_nodes_are_folded_and_batches_counted() {
    let mut plan = pushing(&["node1", "node2", "node3", "node4", "node5", "node6", "node7", "node8"]);
    plan.strategy = Strategy {
        batches: vec![Portion::Percent(25), Portion::Percent(100)],
        max_failed: Portion::Percent(20),
        ..Strategy::default()
    };
    insta::assert_snapshot!(plan_text(&plan, NARROW), @r#"
    node[1-8]  to be changed
      1. write /etc/cni/net.d/10-flannel.conflist
         file      mode 0644 · owner 0:0 · 59 bytes · sha256 0123456789ab
         replaces  a file of 82 bytes, mode 0600, sha256 abababababab, owner 0:0
         because   cni/conf-differs: the configuration differs from the cluster's
         undo      put back /etc/cni/net.d/10-flannel.conflist, which is kept beside
                   it
      2. write /etc/sysctl.d/99-node.conf
         file      mode 0644 · owner 0:0 · 24 bytes · sha256 0123456789ab
         replaces  nothing, the file is new
         because   kernel/ip-forward-off: forwarding is off
         undo      remove /etc/sysctl.d/99-node.conf, which is new
      3. run sysctl  --load /etc/sysctl.d/99-node.conf
         because   kernel/ip-forward-off: forwarding is off
         undo      $ sysctl -w net.ipv4.ip_forward=0
      4. restart containerd
         because   cni/not-loaded: not loaded on it
         undo      IMPOSSIBLE: a restart is over

    order     in batches of 1, 2, 5: node1 first; more than 20% failed nodes stop
              the run, and so does a second failure in the same words
    ours: 8 nodes: 8 to change, 0 refused, 0 as it should be
    "#);
}

#[test]
fn nodes_that_are_equal_but_for_their_own_names_are_folded() {
    let refusal = |node: &str| Refusal {
        next: format!("look at it (seaworthy diagnose {node}), not at node10 or my-node1"),
        ..drop_in_missing()
    };
    let other = Refusal { reason: words("another reason"), ..refusal("node4") };
    let mut nodes: Vec<NodePlan> = ["node1", "node2", "node3"].map(|node| refused(node, vec![refusal(node)])).into();
    nodes.push(refused("node4", vec![other]));
    // The name of one in the words of another is not that one's own.
    nodes.extend(["node5", "node6"].map(|node| refused(node, vec![refusal("node5")])));
    insta::assert_snapshot!(plan_text(&of("join", nodes), NARROW), @r#"
    node[1-3,5]  refused, nothing is done there
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it
      has no drop-in
         next      look at it (seaworthy diagnose NODE), not at node10 or my-node1

    node4  refused, nothing is done there
      kubelet/drop-in-missing: another reason
         next      look at it (seaworthy diagnose node4), not at node10 or my-node1

    node6  refused, nothing is done there
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it
      has no drop-in
         next      look at it (seaworthy diagnose node5), not at node10 or my-node1

    join: 6 nodes: 0 to change, 6 refused, 0 as it should be
    "#);
}

#[test]
fn what_was_accepted_as_unknown_is_said() {
    let plan = Plan { accept_unknown: vec![words("time/skew"), words("join/api-unreachable")], ..joining() };
    let said = "accepts   as unknown, as you named them: time/skew · join/api-unreachable\n";
    assert!(plan_text(&plan, NARROW).contains(said), "{}", plan_text(&plan, NARROW));
}

#[test]
fn a_reset_shows_what_it_deletes_and_what_it_keeps() {
    let reset = Reset {
        deletes: vec![
            words("/etc/kubernetes/kubelet.conf"),
            words("/var/lib/kubelet"),
            words("/etc/kubernetes/pki/ca.crt"),
        ],
        mounts: vec![words("/mnt/media (/dev/sdb1)"), words("/mnt/nas (192.168.4.61:/srv)")],
    };
    let undo = Undo::Impossible { why: words("kubeadm reset deletes for good; join the node again") };
    let plan = of(
        "reset",
        vec![change("node7", vec![action(0, Change::KubeadmReset(reset), None, "asked for by name", undo)])],
    );
    insta::assert_snapshot!(plan_text(&plan, NARROW), @r#"
    node7  to be changed
      1. kubeadm reset
         deletes   /etc/kubernetes/kubelet.conf · /var/lib/kubelet ·
                   /etc/kubernetes/pki/ca.crt
         keeps     mounts, looked at before and after: /mnt/media (/dev/sdb1) ·
                   /mnt/nas (192.168.4.61:/srv)
         because   asked for by name
         undo      IMPOSSIBLE: kubeadm reset deletes for good; join the node again

    order     one node; the first failure stops the run
    reset: 1 node: 1 to change, 0 refused, 0 as it should be
    "#);
}

#[test]
fn nothing_to_do_is_said_shortly() {
    let idle = |node: &str| NodePlan { node: words(node), decision: Decision::Nothing { why: words("it has joined") } };
    insta::assert_snapshot!(plan_text(&of("join", vec![idle("node1"), idle("node2")]), NARROW), @r#"
    node[1-2]  nothing to do: it has joined

    join: 2 nodes: 0 to change, 0 refused, 2 as it should be
    "#);
}

#[test]
fn diffs_stand_once_for_equal_nodes() {
    let text = |style: Style| shown(|out| diff::write(&pushing(&["node1", "node2"]), &style, out));
    insta::assert_snapshot!(text(NARROW), @r#"
    on node[1-2]:
    --- /etc/cni/net.d/10-flannel.conflist
    +++ /etc/cni/net.d/10-flannel.conflist
    -mode 0600, owner 0:0
    +mode 0644, owner 0:0
    @@ -1,4 +1,4 @@
     {
    -  "name": "cni0",
    -  "plugins": [{ "type": "flannel" }, { "type": "portmap" }]
    +  "name": "cbr0",
    +  "plugins": [{ "type": "flannel" }]
     }

    on node[1-2]:
    --- /dev/null
    +++ /etc/sysctl.d/99-node.conf
    @@ -0,0 +1 @@
    +net.ipv4.ip_forward = 1
    "#);
    // Colour adds nothing but colour.
    let colored = text(Style { color: true, ..NARROW });
    assert_ne!(colored, text(NARROW));
    let plain = ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"];
    assert_eq!(plain.iter().fold(colored, |text, code| text.replace(code, "")), text(NARROW));
}

#[test]
fn a_file_that_cannot_be_shown_is_named_by_its_hash() {
    let Path::File(before) = file("x", 0o644) else { panic!("it is a file") };
    let before = Path::File(File { content: None, size: 300_000, ..before });
    let plan =
        of("ours", vec![change("n", vec![action(0, write("/etc/x", "a\r\nb", before), None, "r", Undo::Nothing)])]);
    insta::assert_snapshot!(shown(|out| diff::write(&plan, &NARROW, out)), @r#"
    on n:
    --- /etc/x
    +++ /etc/x
    -300000 bytes that cannot be shown, sha256 abababababababababababababababababababababababababababababababab
    @@ -0,0 +1,2 @@
    +a\r
    +b
    \ No newline at end of file
    "#);
}

#[test]
fn what_is_taken_back_is_shown_last_action_first() {
    let plan = pushing(&["node1", "node2", "node3"]);
    let left = [("node1", vec![2, 1, 0]), ("node2", vec![2, 1, 0]), ("node3", vec![0])]
        .map(|(node, places)| (words(node), places));
    insta::assert_snapshot!(shown(|out| plan::write_undo(&plan, &left, &NARROW, out)), @r#"
    node[1-2]  to be taken back
      3. run sysctl --load /etc/sysctl.d/99-node.conf
         undo      $ sysctl -w net.ipv4.ip_forward=0
      2. write /etc/sysctl.d/99-node.conf
         undo      remove /etc/sysctl.d/99-node.conf, which is new
      1. write /etc/cni/net.d/10-flannel.conflist
         undo      put back /etc/cni/net.d/10-flannel.conflist, which is kept beside
                   it

    node3  to be taken back
      1. write /etc/cni/net.d/10-flannel.conflist
         undo      put back /etc/cni/net.d/10-flannel.conflist, which is kept beside
                   it
    "#);
}
