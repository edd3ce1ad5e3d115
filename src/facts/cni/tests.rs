//! Directories of CNI files as containerd sees them.

use super::super::read::test_support::{record_of, section};
use super::*;
use crate::record::Section;

const GOOD: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel"},{"type":"portmap"}]}"#;
const BRIDGE: &str = r#"{"name":"placeholder","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}"#;

fn dir(names: &[&str]) -> Section {
    let lines: Vec<String> = names.iter().map(|name| format!("644 0:0 9 1 f\t/etc/cni/net.d/{name}")).collect();
    section("cni-dir", "/etc/cni/net.d", 0, &lines.join("\n"))
}

fn file(name: &str, text: &str) -> Section {
    section("cni-file", &format!("/etc/cni/net.d/{name}"), 0, text)
}

fn parse(sections: Vec<Section>) -> Cni {
    let record = record_of(sections);
    let reader = Reader::new(&record);
    let permissions = Permissions::parse(reader);
    let containerd = Containerd::parse(reader, &permissions, None);
    let arch = Fact::Known("x86_64".to_owned());
    let uptime = Fact::Known(86_400);
    Cni::parse(
        reader,
        &containerd,
        &Host { arch: &arch, permissions: &permissions, uptime: &uptime, now: Some(10_000) },
    )
}

#[test]
fn an_empty_directory_and_a_missing_one_have_no_files() {
    for sections in [vec![dir(&[])], vec![section("cni-dir", "/etc/cni/net.d", 66, "")]] {
        let cni = parse(sections);
        assert_eq!((&cni.file_count, &cni.first, &cni.valid), (&Fact::Known(0), &Fact::Absent, &Fact::Absent));
        assert_eq!(cni.error, Fact::Known("no network config found in /etc/cni/net.d".to_owned()));
    }
    let denied = parse(vec![section("cni-dir", "/etc/cni/net.d", 77, "")]);
    assert!(denied.file_count.is_unknown() && denied.error.is_unknown() && denied.valid.is_unknown());
}

#[test]
fn bytes_decide_the_order() {
    let names = [
        "9-x.conf",
        "10-flannel.conflist",
        "10-Flannel.conflist",
        ".10-x.conflist",
        "100-b.conf",
        "05-c.conf",
        "x.bak",
    ];
    let cni = parse(vec![dir(&names)]);
    let order: Vec<_> = cni.files.known().unwrap().iter().map(|file| file.name.clone()).collect();
    assert_eq!(
        order,
        [".10-x.conflist", "05-c.conf", "10-Flannel.conflist", "10-flannel.conflist", "100-b.conf", "9-x.conf"]
    );
    assert_eq!(cni.hidden, Fact::Known(vec![".10-x.conflist".to_owned()]));
}

#[test]
fn an_invalid_first_file_disables_the_valid_second() {
    let cni = parse(vec![
        dir(&["00-bad.conflist", "10-flannel.conflist"]),
        file("00-bad.conflist", "{}"),
        file("10-flannel.conflist", GOOD),
    ]);
    assert_eq!(cni.valid, Fact::Known(false));
    let error =
        "failed to load CNI config list file /etc/cni/net.d/00-bad.conflist: error parsing configuration list: no name";
    assert_eq!(cni.error, Fact::Known(error.to_owned()));
    assert!(cni.needed.is_unknown());
    let files = cni.files.known().unwrap();
    assert_eq!(files.iter().map(|file| file.decides).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_placeholder_that_sorts_first_decides() {
    let cni = parse(vec![
        dir(&["10-flannel.conflist", "00-placeholder.conflist"]),
        file("00-placeholder.conflist", BRIDGE),
        file("10-flannel.conflist", GOOD),
    ]);
    assert_eq!(cni.first, Fact::Known("00-placeholder.conflist".to_owned()));
    assert_eq!(cni.first_plugins, Fact::Known(vec!["bridge".to_owned()]));
    assert_eq!(cni.leftovers, Fact::Known(vec!["00-placeholder.conflist".to_owned()]));
}

#[test]
fn a_dangling_link_and_a_directory() {
    let listing = "777 0:0 9 1 l\t/etc/cni/net.d/a.conf\t-> /gone\n755 0:0 9 1 d\t/etc/cni/net.d/b.conf\n";
    let cni = parse(vec![
        section("cni-dir", "/etc/cni/net.d", 0, listing),
        section("cni-file", "/etc/cni/net.d/a.conf", 66, ""),
    ]);
    let files = cni.files.known().unwrap();
    assert_eq!((files.len(), files[0].symlink), (1, true));
    assert!(cni.error.is_known_and(|why| why.contains("no such file or directory")));
}

#[test]
fn a_file_that_may_not_be_read_is_neither_valid_nor_invalid() {
    let cni = parse(vec![dir(&["a.conf"]), section("cni-file", "/etc/cni/net.d/a.conf", 77, "")]);
    assert_eq!((cni.valid, cni.file_count), (Fact::unknown("permission denied"), Fact::Known(1)));
}

#[test]
fn plugins_that_cannot_run() {
    let elf = "7f454c4602010100000000000000000002003e00";
    let arm = "7f454c460201010000000000000000000200b700";
    let listing = format!(
        "755 0:0 9 1 d\tflannel\n644 0:0 9 1 f\tportmap\t\t{elf}\n755 0:0 9 1 f\tbridge\t\t{arm}\n755 0:0 9 1 f\tloopback\t\t{elf}\n"
    );
    let cni = parse(vec![
        dir(&["10-flannel.conflist"]),
        file("10-flannel.conflist", GOOD),
        section("cni-bin", "/opt/cni/bin", 0, &listing),
    ]);
    let broken = cni.broken.known().unwrap();
    assert_eq!(broken["flannel"], PluginProblem::Directory);
    assert_eq!(broken["portmap"], PluginProblem::NotExecutable);
    assert_eq!(broken["bridge"], PluginProblem::WrongMachine);
    assert_eq!(broken["host-local"], PluginProblem::Missing);
    assert!(!broken.contains_key("loopback"));
}

#[test]
fn the_disk_against_the_runtime() {
    let info = |networks: &str| {
        section("crictl-info", "", 0, &format!(r#"{{"cniconfig":{{"PluginMaxConfNum":1,"Networks":[{networks}]}}}}"#))
    };
    let on_disk = |info| vec![dir(&["10-flannel.conflist"]), file("10-flannel.conflist", GOOD), info];
    assert_eq!(parse(on_disk(info(""))).disk_differs_from_runtime, Fact::Known(true));
    assert_eq!(parse(on_disk(info(r#"{"Config":{"Name":"cbr0"}}"#))).disk_differs_from_runtime, Fact::Known(false));
    assert_eq!(parse(vec![dir(&[]), info("")]).disk_differs_from_runtime, Fact::Known(false));
    assert_eq!(
        parse(vec![dir(&[]), info(r#"{"Config":{"Name":"old"}}"#)]).disk_differs_from_runtime,
        Fact::Known(true)
    );
    assert!(parse(vec![dir(&[])]).disk_differs_from_runtime.is_unknown());
}

#[test]
fn whose_network_decides() {
    let files = |first: &str| {
        parse(vec![
            dir(&["05-first.conflist", "10-flannel.conflist"]),
            file("05-first.conflist", first),
            file("10-flannel.conflist", GOOD),
        ])
    };
    let bridge = files(BRIDGE);
    assert_eq!(bridge.foreign, Fact::Known("bridge".to_owned()));
    assert_eq!(bridge.flannel_file, Fact::Known("10-flannel.conflist".to_owned()));
    assert_eq!(bridge.before_flannel, Fact::Known(vec!["05-first.conflist".to_owned()]));
    let multus = files(r#"{"name":"multus","plugins":[{"type":"multus"}]}"#);
    assert_eq!((multus.foreign, multus.before_flannel), (Fact::Absent, Fact::Known(vec![])));
    assert!(multus.flannel_sha256.is_known());
    let none = parse(vec![dir(&["87-podman.conflist"]), file("87-podman.conflist", BRIDGE)]);
    assert_eq!((none.flannel_file, none.before_flannel), (Fact::Absent, Fact::Known(vec![])));
}

#[test]
fn plugins_that_lie_where_the_runtime_does_not_look() {
    let elf = "7f454c4602010100000000000000000002003e00";
    let listing = format!("755 0:0 9 1 f\tflannel\t\t{elf}\n755 0:0 9 1 d\tportmap\n");
    let config = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n";
    let cni = parse(vec![
        section("containerd-config", "/etc/containerd/config.toml", 0, config),
        dir(&["10-flannel.conflist"]),
        file("10-flannel.conflist", GOOD),
        section("cni-bin", "/opt/cni/bin", 0, &listing),
        section("cni-bin", "/usr/lib/cni", 0, &format!("755 0:0 9 1 f\tbridge\t\t{elf}\n")),
    ]);
    let names = |names: &[&str]| Fact::Known(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(cni.missing, names(&["flannel", "host-local", "loopback", "portmap"]));
    assert_eq!((cni.found_elsewhere, cni.unusable), (names(&["flannel in /opt/cni/bin"]), names(&[])));
}

#[test]
fn a_node_that_has_just_joined_or_booted() {
    let settled = |joined: Option<i64>, uptime: Fact<u64>| {
        let stat =
            joined.map(|at| section("stat", "", 0, &format!("600 0:0 9 {at} f\t/etc/kubernetes/kubelet.conf\n")));
        let record = record_of(stat.into_iter().collect());
        let permissions = Permissions::parse(Reader::new(&record));
        let host = Host { arch: &Fact::Absent, permissions: &permissions, uptime: &uptime, now: Some(10_000) };
        host.settled(&host.joined_seconds())
    };
    let cases = [
        (Some(9_800), Fact::Known(86_400), Fact::Known(false)),
        (Some(9_700), Fact::Known(86_400), Fact::Known(true)),
        (Some(100), Fact::Known(119), Fact::Known(false)),
        (Some(20_000), Fact::Known(86_400), Fact::Known(true)),
        (None, Fact::Known(86_400), Fact::Known(true)),
    ];
    for (joined, uptime, expected) in cases {
        assert_eq!(settled(joined, uptime), expected, "{joined:?}");
    }
    assert!(settled(None, Fact::default()).is_unknown());
}
