//! Every text format of the report over the same fleet, at several widths.

mod causes;
mod data;
mod documents;
mod fixture;
mod hostile;
mod outputs;
mod round;

use fixture::PLAIN;
use seaworthy::report::model::Report;
use seaworthy::report::style::Style;
use seaworthy::report::{self, Format, timings};

/// What the format prints.
fn render(format: Format, report: &Report, style: Style) -> String {
    let mut out = Vec::new();
    report::write(format, report, &style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn table(report: &Report, width: usize) -> String {
    render(Format::Table, report, Style { width, ..PLAIN })
}

/// The table itself, without what stands below it.
fn rows(text: &str) -> &str {
    text.split_once("\n\n").unwrap().0
}

#[test]
fn two_hundred_columns_hold_everything() {
    insta::assert_snapshot!(table(&fixture::fleet(), 200), @r#"
    NODE                                   PHASE    MOUNTS  DISK        PERMISSIONS  CONTAINERD  CNI             NFS       KUBELET     KERNEL  TIME  API  VERDICT
    node[100-102]                          ready    ok      30% of 58G  ok           down        flannel         ok        running     ok      ok    -    containerd is down
    storagenode                            joining  ok      2% of 456G  ok           1.6.20      none, expected  loopback  standalone  ok      ok    -    join blocked
    homelab                                ·        ·       ·           ·            ·           ·               ·         ·           ·       ·     ·    unreachable: no route to host
    nas1                                   ready    hung    61% of 58G  ok           1.7.28      flannel         hung      ?           ok      ok    -    not read to the end: NFS mount hung
    node[057-058]                          ·        ·       ·           ·            ·           ·               ·         ·           ·       ·     ·    unreachable: refused
    node[140-141]                          ready    ok      91-93%      ok           1.7.28      flannel         ok        running     ok      ok    -    disk nearly full
    node059                                ready    ok      20% of 58G  ?            1.7.28      flannel         ok        running?    ok      ok    -    permissions unknown
    masternode                             control  ok      25% of 58G  ok           1.6.20      flannel         -         running     ok      ok    ok   ok
    node[004-056,060-099,103-139,142-211]  ready    ok      11-38%      ok           1.7.28      flannel         ok        running     ok      ok    -    ok

    node[100-102]  containerd is down: exited with status 1 after 5 restarts
    storagenode    the kubelet runs standalone: it has no kubeadm drop-in and never contacts the API
                   port 10250 is taken by this kubelet, so a join cannot start its own
    homelab        no route to 192.168.4.62 port 22
                   next  check that it is powered on and in the same network: ip route get 192.168.4.62
    nas1           the probe did not end within 30s
                   next  look at it by hand: ssh nas1 'cat /proc/mounts'
    node[057-058]  port 22 refused the connection
                   next  start sshd on it, or set ansible_port
    node140        /var/lib/containerd is 91% full, the kubelet evicts at 85%
    node141        /var/lib/containerd is 93% full, the kubelet evicts at 85%
    node059        /etc/kubernetes may not be read without root: try -b
                   the kubelet's command line may not be read without root: try -b

    212 nodes in 8.4s: 4 failing, 4 unreachable, 2 with warnings, 1 unknown, 201 ok
    retry with --limit 'homelab,nas1,node[057-058],node[100-102],storagenode'
    "#);
}

#[test]
fn at_a_hundred_and_twenty_columns_that_pass_give_way() {
    insta::assert_snapshot!(rows(&table(&fixture::fleet(), 120)), @r"
    NODE                   PHASE    MOUNTS  DISK    PERMISSIONS  CONTAINERD  NFS       KUBELET     VERDICT
    node[100-102]          ready    ok      30%     ok           down        ok        running     containerd is down
    storagenode            joining  ok      2%      ok           1.6.20      loopback  standalone  join blocked
    homelab                ·        ·       ·       ·            ·           ·         ·           unreachable: no route to
                                                                                                   host
    nas1                   ready    hung    61%     ok           1.7.28      hung      ?           not read to the end: NFS
                                                                                                   mount hung
    node[057-058]          ·        ·       ·       ·            ·           ·         ·           unreachable: refused
    node[140-141]          ready    ok      91-93%  ok           1.7.28      ok        running     disk nearly full
    node059                ready    ok      20%     ?            1.7.28      ok        running?    permissions unknown
    masternode             control  ok      25%     ok           1.6.20      -         running     ok
    node[004-056,…] (200)  ready    ok      11-38%  ok           1.7.28      ok        running     ok
    ok where read: cni, kernel, time, api
    ");
}

#[test]
fn at_eighty_the_reasons_stand_in_for_columns() {
    insta::assert_snapshot!(table(&fixture::fleet(), 80), @r#"
    NODE                   PHASE    MOUNTS  DISK    CONTAINERD  VERDICT
    node[100-102]          ready    ok      30%     down        containerd is down
    storagenode            joining  ok      2%      1.6.20      join blocked
    homelab                ·        ·       ·       ·           unreachable: no
                                                                route to host
    nas1                   ready    hung    61%     1.7.28      not read to the end:
                                                                NFS mount hung
    node[057-058]          ·        ·       ·       ·           unreachable: refused
    node[140-141]          ready    ok      91-93%  1.7.28      disk nearly full
    node059                ready    ok      20%     1.7.28      permissions unknown
    masternode             control  ok      25%     1.6.20      ok
    node[004-056,…] (200)  ready    ok      11-38%  1.7.28      ok
    ok where read: cni, kernel, time, api
    no room for (-o wide shows all): permissions, nfs, kubelet

    node[100-102]  containerd is down: exited with status 1 after 5 restarts
    storagenode    the kubelet runs standalone: it has no kubeadm drop-in and never
                   contacts the API
                   port 10250 is taken by this kubelet, so a join cannot start its
                   own
    homelab        no route to 192.168.4.62 port 22
                   next  check that it is powered on and in the same network: ip
                         route get 192.168.4.62
    nas1           the probe did not end within 30s
                   next  look at it by hand: ssh nas1 'cat /proc/mounts'
    node[057-058]  port 22 refused the connection
                   next  start sshd on it, or set ansible_port
    node140        /var/lib/containerd is 91% full, the kubelet evicts at 85%
    node141        /var/lib/containerd is 93% full, the kubelet evicts at 85%
    node059        /etc/kubernetes may not be read without root: try -b
                   the kubelet's command line may not be read without root: try -b

    212 nodes in 8.4s: 4 failing, 4 unreachable, 2 with warnings, 1 unknown, 201 ok
    retry with --limit 'homelab,nas1,node[057-058],node[100-102],storagenode'
    "#);
}

#[test]
fn at_fifty_each_problem_has_its_own_lines() {
    insta::assert_snapshot!(table(&fixture::fleet(), 50), @r#"
    node[100-102]
      containerd is down
      phase        ready
      containerd   down
    storagenode
      join blocked
      phase        joining
      kubelet      standalone
    homelab
      unreachable: no route to host
    nas1
      not read to the end: NFS mount hung
      phase        ready
      mounts       hung
      nfs          hung
      kubelet      ?
    node[057-058]
      unreachable: refused
    node[140-141]
      disk nearly full
      phase        ready
      disk         91-93%
    node059
      permissions unknown
      phase        ready
      permissions  ?
      kubelet      running?
    ok
      masternode,
      node[004-056,060-099,103-139,142-211]

    node[100-102]  containerd is down: exited with
                   status 1 after 5 restarts
    storagenode    the kubelet runs standalone: it has
                   no kubeadm drop-in and never
                   contacts the API
                   port 10250 is taken by this
                   kubelet, so a join cannot start its
                   own
    homelab        no route to 192.168.4.62 port 22
                   next  check that it is powered on
                         and in the same network: ip
                         route get 192.168.4.62
    nas1           the probe did not end within 30s
                   next  look at it by hand: ssh nas1
                         'cat /proc/mounts'
    node[057-058]  port 22 refused the connection
                   next  start sshd on it, or set
                         ansible_port
    node140        /var/lib/containerd is 91% full,
                   the kubelet evicts at 85%
    node141        /var/lib/containerd is 93% full,
                   the kubelet evicts at 85%
    node059        /etc/kubernetes may not be read
                   without root: try -b
                   the kubelet's command line may not
                   be read without root: try -b

    212 nodes in 8.4s: 4 failing, 4 unreachable,
      2 with warnings, 1 unknown, 201 ok
    retry with --rerun failed
    "#);
}

#[test]
fn without_utf8_every_sign_has_a_plain_form() {
    let text = render(Format::Table, &fixture::fleet(), Style { width: 80, unicode: false, ..PLAIN });
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(rows(&text), @r"
    NODE             PHASE    MOUNTS  DISK    CONTAINERD  VERDICT
    node[100-102]    ready    ok      30%     down        containerd is down
    storagenode      joining  ok      2%      1.6.20      join blocked
    homelab          .        .       .       .           unreachable: no route to
                                                          host
    nas1             ready    hung    61%     1.7.28      not read to the end: NFS
                                                          mount hung
    node[057-058]    .        .       .       .           unreachable: refused
    node[140-141]    ready    ok      91-93%  1.7.28      disk nearly full
    node059          ready    ok      20%     1.7.28      permissions unknown
    masternode       control  ok      25%     1.6.20      ok
    node[...] (200)  ready    ok      11-38%  1.7.28      ok
    ok where read: cni, kernel, time, api
    no room for (-o wide shows all): permissions, nfs, kubelet
    ");
}

#[test]
fn colour_adds_nothing_but_colour() {
    for width in [200, 120, 80, 50, Style::UNLIMITED] {
        for format in [Format::Table, Format::Wide] {
            let plain = render(format, &fixture::fleet(), Style { width, ..PLAIN });
            let colored = render(format, &fixture::fleet(), Style { width, color: true, ..PLAIN });
            let stripped = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m"]
                .iter()
                .fold(colored.clone(), |text, code| text.replace(code, ""));
            assert_ne!(colored, plain);
            assert_eq!(stripped, plain);
        }
    }
    let colored = render(Format::Table, &fixture::fleet(), Style { width: 80, color: true, ..PLAIN });
    insta::assert_snapshot!(rows(&colored).replace('\x1b', "␛"), @r"
    ␛[1mNODE␛[0m                   ␛[1mPHASE␛[0m    ␛[1mMOUNTS␛[0m  ␛[1mDISK␛[0m    ␛[1mCONTAINERD␛[0m  ␛[1mVERDICT␛[0m
    node[100-102]          ready    ok      30%     ␛[31mdown␛[0m        ␛[31mcontainerd is down␛[0m
    storagenode            joining  ok      2%      1.6.20      ␛[31mjoin blocked␛[0m
    homelab                ␛[2m·␛[0m        ␛[2m·␛[0m       ␛[2m·␛[0m       ␛[2m·␛[0m           ␛[31munreachable: no␛[0m
                                                                ␛[31mroute to host␛[0m
    nas1                   ready    ␛[31mhung␛[0m    61%     1.7.28      ␛[31mnot read to the end:␛[0m
                                                                ␛[31mNFS mount hung␛[0m
    node[057-058]          ␛[2m·␛[0m        ␛[2m·␛[0m       ␛[2m·␛[0m       ␛[2m·␛[0m           ␛[31munreachable: refused␛[0m
    node[140-141]          ready    ok      ␛[33m91-93%␛[0m  1.7.28      ␛[33mdisk nearly full␛[0m
    node059                ready    ok      20%     1.7.28      ␛[2mpermissions unknown␛[0m
    masternode             control  ok      25%     1.6.20      ok
    node[004-056,…] (200)  ready    ok      11-38%  1.7.28      ok
    ␛[2mok where read: cni, kernel, time, api␛[0m
    ␛[2mno room for (-o wide shows all): permissions, nfs, kubelet␛[0m
    ");
}

#[test]
fn a_healthy_fleet_is_two_lines() {
    let nodes = (1..=40).map(|number| fixture::healthy(&format!("node{number:02}"), 20)).collect();
    insta::assert_snapshot!(table(&fixture::report(nodes), 90), @r"
    NODE         PHASE  MOUNTS  DISK        PERMISSIONS  CONTAINERD  CNI      KUBELET  VERDICT
    node[01-40]  ready  ok      20% of 58G  ok           1.7.28      flannel  running  ok
    all ok: nfs, kernel, time, api

    40 nodes in 8.4s: 40 ok
    ");
}

#[test]
fn no_nodes_are_one_line() {
    assert_eq!(table(&fixture::report(Vec::new()), 80), "0 nodes in 8.4s\n");
    assert_eq!(render(Format::Wide, &fixture::report(Vec::new()), PLAIN), "0 nodes in 8.4s\n");
}

#[test]
fn nodes_that_differ_anywhere_are_not_folded() {
    use seaworthy::verdict::{Area, Verdict};
    let with = |name: &str, cell| fixture::with(fixture::healthy(name, 20), Verdict::Pass, "ok", vec![cell]);
    let report = fixture::report(vec![
        fixture::healthy("n1", 20),
        fixture::healthy("n2", 20),
        with("n3", fixture::cell(Area::Containerd, Verdict::Pass, "1.7.27", &[])),
        with("n4", fixture::cell(Area::Nfs, Verdict::Unknown, "", &[])),
        with("n5", fixture::cell(Area::Nfs, Verdict::NotApplicable, "", &[])),
        // Another verdict under the same word, and a percentage of something else.
        with("n6", fixture::cell(Area::Nfs, Verdict::Warn, "ok", &[])),
        with("n7", fixture::cell(Area::Disk, Verdict::Pass, "20% inodes", &[])),
    ]);
    let text = table(&report, 200);
    let names: Vec<&str> = rows(&text).lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["n[1-2]", "n3", "n4", "n5", "n6", "n7"], "{text}");
}

#[test]
fn when_nothing_was_read_nothing_is_called_ok() {
    use seaworthy::failure::FailureKind;
    let node = |name| fixture::unreachable(name, FailureKind::Refused, "unreachable: refused", "port 22 refused", "");
    insta::assert_snapshot!(table(&fixture::report(vec![node("a1"), node("a2")]), 70), @r"
    NODE    PHASE  VERDICT
    a[1-2]  ·      unreachable: refused

    a[1-2]  port 22 refused

    2 nodes in 8.4s: 2 unreachable
    retry with --limit 'a[1-2]'
    ");
}

#[test]
fn a_retry_that_no_line_holds_is_left_to_rerun() {
    use seaworthy::verdict::Verdict;
    let fail = |name: String| fixture::with(fixture::healthy(&name, 20), Verdict::Fail, "down", Vec::new());
    let scattered = (0..200).step_by(2).map(|number| fail(format!("node{number}"))).collect();
    assert!(table(&fixture::report(scattered), 120).ends_with("\nretry with --rerun failed\n"));
    let odd = vec![fail("it's".to_owned())];
    assert!(table(&fixture::report(odd), 120).ends_with("\nretry with --rerun failed\n"));
}

#[test]
fn wide_shows_every_node_with_its_reasons() {
    let some = ["node100", "node101", "storagenode", "homelab", "nas1", "node059", "masternode", "node004", "node005"];
    insta::assert_snapshot!(render(Format::Wide, &fixture::fleet_of(&some), PLAIN), @r#"
    NODE         ADDRESS             ROLES          PHASE    MOUNTS  DISK        PERMISSIONS  CONTAINERD  CNI             NFS       KUBELET     KERNEL  TIME  API  VERDICT
    node100      node100.lan:22      worker         ready    ok      30% of 58G  ok           down        flannel         ok        running     ok      ok    -    containerd is down
        containerd is down: exited with status 1 after 5 restarts
    node101      node101.lan:22      worker         ready    ok      30% of 58G  ok           down        flannel         ok        running     ok      ok    -    containerd is down
        containerd is down: exited with status 1 after 5 restarts
    storagenode  storagenode.lan:22  worker         joining  ok      2% of 456G  ok           1.6.20      none, expected  loopback  standalone  ok      ok    -    join blocked
        the kubelet runs standalone: it has no kubeadm drop-in and never contacts the API
        port 10250 is taken by this kubelet, so a join cannot start its own
    homelab      homelab.lan:22      worker         ·        ·       ·           ·            ·           ·               ·         ·           ·       ·     ·    unreachable: no route to host
        no route to 192.168.4.62 port 22
        next  check that it is powered on and in the same network: ip route get 192.168.4.62
    nas1         nas1.lan:22         worker         ready    hung    61% of 58G  ok           1.7.28      flannel         hung      ?           ok      ok    -    not read to the end: NFS mount hung
        the probe did not end within 30s
        next  look at it by hand: ssh nas1 'cat /proc/mounts'
    node059      node059.lan:22      worker         ready    ok      20% of 58G  ?            1.7.28      flannel         ok        running?    ok      ok    -    permissions unknown
        /etc/kubernetes may not be read without root: try -b
        the kubelet's command line may not be read without root: try -b
    masternode   masternode.lan:22   control-plane  control  ok      25% of 58G  ok           1.6.20      flannel         -         running     ok      ok    ok   ok
    node004      node004.lan:22      worker         ready    ok      15% of 58G  ok           1.7.28      flannel         ok        running     ok      ok    -    ok
    node005      node005.lan:22      worker         ready    ok      16% of 58G  ok           1.7.28      flannel         ok        running     ok      ok    -    ok

    9 nodes in 8.4s: 3 failing, 2 unreachable, 1 unknown, 3 ok
    retry with --limit 'homelab,nas1,node[100-101],storagenode'
    "#);
}

#[test]
fn timings_begin_with_the_slowest() {
    let report = fixture::fleet_of(&["node004", "node005", "node211", "nas1", "homelab"]);
    let mut out = Vec::new();
    timings::write(&report, &PLAIN, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    NODE     TOTAL    DNS    TCP   KEX   AUTH   OPEN   EXEC
    nas1     30.0s  0.4ms  1.2ms  12ms  8.0ms  1.0ms  30.0s
    homelab   3.1s  0.3ms   3.0s     -      -      -      -
    node211  359ms  0.4ms  1.2ms  12ms  8.0ms  1.0ms  336ms
    node005  349ms  0.4ms  1.2ms  12ms  8.0ms  1.0ms  326ms
    node004  348ms  0.4ms  1.2ms  12ms  8.0ms  1.0ms  325ms
    ");
}

#[test]
fn ten_thousand_nodes_are_no_trouble() {
    let nodes = (0..10_000).map(|number| fixture::healthy(&format!("node{number:05}"), number % 50)).collect();
    let report = fixture::report(nodes);
    let started = std::time::Instant::now();
    assert_eq!(rows(&table(&report, 200)).lines().count(), 2);
    // Well under a second when linear; this is an unoptimised build on a busy machine.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
