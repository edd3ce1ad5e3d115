use super::super::read::test_support::{record, record_of, section};
use super::*;
use crate::reach::Wanted;
use crate::reach::capture::{ClusterInfo, HealthzCapture, ServerCapture};

const SERVER: &str = include_str!("../testdata/apiserver.crt");
const AUTHORITY: &str = include_str!("../testdata/ca.crt");
/// While both certificates hold.
const NOW: i64 = 1_760_000_000;

fn failed(words: &str) -> Dial {
    Dial::Failed { ms: 1, words: words.to_owned() }
}

fn api(origin: Origin, endpoint: &str, dial: Dial) -> ApiCapture {
    ApiCapture { origin, endpoint: endpoint.to_owned(), dial, tls: None, cluster_info: None, verified: None }
}

fn parse(capture: ReachCapture) -> Reach {
    let mut record = record(&[]);
    record.reach = Some(capture);
    Reach::parse(&record, Some(NOW))
}

fn of_api(api: ApiCapture) -> ApiReach {
    parse(ReachCapture { apis: vec![api], ..ReachCapture::default() }).api
}

fn shown(endpoint: &str, cluster_info: Option<ClusterInfo>) -> ApiCapture {
    let tls = Some(Tls::Done { ms: 2, chain: SERVER.to_owned() });
    ApiCapture { tls, cluster_info, ..api(Origin::KubeletConf, endpoint, Dial::Open { ms: 3 }) }
}

fn info(server: &str) -> ClusterInfo {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(AUTHORITY);
    let kubeconfig = format!("clusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n");
    ClusterInfo::Read { ms: 1, token_ids: vec!["abcdef".to_owned()], kubeconfig: Some(kubeconfig) }
}

#[test]
fn the_words_of_c_libraries() {
    for (words, tcp) in [
        ("Connection refused", Tcp::Refused),
        ("Connection timed out", Tcp::TimedOut),
        ("Operation timed out", Tcp::TimedOut),
        ("No route to host", Tcp::NoRoute),
        ("Network is unreachable", Tcp::NoRoute),
        ("Name or service not known", Tcp::Unresolved),
        ("Temporary failure in name resolution", Tcp::Unresolved),
        ("No address associated with hostname", Tcp::Unresolved),
        ("failed to lookup address information: Name does not resolve", Tcp::Unresolved),
        ("connect failed", Tcp::Failed),
        ("", Tcp::Failed),
    ] {
        let found = of_api(api(Origin::Inventory, "lb:6443", failed(words)));
        assert_eq!(found.tcp, Fact::Known(tcp), "{words}");
        assert!(found.tls.is_unknown() && found.name_matches.is_unknown(), "{words}");
    }
}

#[test]
fn what_was_not_tried_is_never_a_failure() {
    let dials = [
        Dial::Forbidden { words: "open failed".to_owned() },
        Dial::Lost { words: "the connection was closed".to_owned() },
        Dial::NotTried { why: "the time was up".to_owned() },
    ];
    for dial in dials {
        let capture = ReachCapture {
            apis: vec![api(Origin::Inventory, "lb:6443", dial.clone())],
            healthz: Some(HealthzCapture { dial: dial.clone(), answer: None }),
            servers: vec![ServerCapture { host: "nas".to_owned(), port: 2049, dial }],
        };
        let reach = parse(capture);
        assert!(reach.api.tcp.is_unknown() && reach.api.server_tcp.is_unknown());
        assert!(reach.kubelet_healthz.is_unknown() && reach.nfs_unreachable.is_unknown());
    }
    assert!(parse(ReachCapture::default()).api.tcp.is_unknown());
    // A record of an older version.
    let old = Reach::parse(&record(&[]), Some(NOW));
    assert!(old.api.tcp.is_unknown() && old.nfs_unreachable.is_unknown());
}

#[test]
fn a_certificate_is_for_the_endpoint_as_written() {
    // The certificate names kubernetes, 10.96.0.1 and 192.168.4.63.
    for (endpoint, matches) in [
        ("https://192.168.4.63:6443", true),
        ("https://192.168.4.64:6443", false),
        ("https://Kubernetes:6443", true),
        ("https://cp.example.net:6443", false),
    ] {
        assert_eq!(of_api(shown(endpoint, None)).name_matches, Fact::Known(matches), "{endpoint}");
    }
    let wild = ["*.example.net".to_owned()];
    assert!(is_for(&wild, "cp.Example.net.") && !is_for(&wild, "a.cp.example.net") && !is_for(&wild, "example.net"));
    assert!(is_for(&["2001:db8::1".to_owned()], "2001:db8:0::1") && !is_for(&[], "a"));
}

#[test]
fn the_nodes_clock_judges_the_certificate() {
    let at = |now| {
        let mut record = record(&[]);
        record.reach = Some(ReachCapture { apis: vec![shown("192.168.4.63", None)], ..ReachCapture::default() });
        let api = Reach::parse(&record, now).api;
        (api.dates_ok, api.expired, api.not_yet_valid)
    };
    let api = of_api(shown("192.168.4.63", None));
    let (from, to) = (*api.not_before.known().unwrap(), *api.not_after.known().unwrap());
    let known = |ok, expired, early| (Fact::Known(ok), Fact::Known(expired), Fact::Known(early));
    assert_eq!(at(Some(from)), known(true, false, false));
    assert_eq!(at(Some(from - 1)), known(false, false, true));
    assert_eq!(at(Some(to + 1)), known(false, true, false));
    assert!(at(None).0.is_unknown());
}

#[test]
fn cluster_info_leads_to_a_server_of_its_own() {
    let same = of_api(shown("https://192.168.4.63:6443", Some(info("https://192.168.4.63:6443"))));
    assert_eq!((same.server_differs, same.server_tcp), (Fact::Known(false), Fact::Known(Tcp::Open)));
    let pin = "14c4d239897364b502ddefaefd6bbf4ee0c3560c1ecb9c3511b9569f30374e43".to_owned();
    assert_eq!((same.ca_hashes, same.token_ids), (Fact::Known(vec![pin]), Fact::Known(vec!["abcdef".to_owned()])));

    let moved = shown("https://192.168.4.63:6443", Some(info("https://10.0.2.15:6443")));
    let server = ServerCapture { host: "10.0.2.15".to_owned(), port: 6443, dial: failed("No route to host") };
    let capture = ReachCapture { apis: vec![moved.clone()], healthz: None, servers: vec![server] };
    let api = parse(capture).api;
    assert_eq!((api.server_differs, api.server_tcp), (Fact::Known(true), Fact::Known(Tcp::NoRoute)));
    assert!(of_api(moved).server_tcp.is_unknown(), "it was not tried");
}

#[test]
fn hostile_answers_are_only_unknown() {
    for kubeconfig in
        ["", "[", "clusters: 7", "clusters: [{cluster: {server: 'ftp://x', certificate-authority-data: '!'}}]"]
    {
        let info = ClusterInfo::Read { ms: 0, token_ids: vec![], kubeconfig: Some(kubeconfig.to_owned()) };
        let api = of_api(shown("https://lb:6443", Some(info)));
        assert!(!api.ca_hashes.is_known() && !api.server_tcp.is_known(), "{kubeconfig}");
    }
    let broken = ApiCapture {
        tls: Some(Tls::Done {
            ms: 0,
            chain: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        }),
        ..shown("https://lb:6443", None)
    };
    assert!(of_api(broken).dates_ok.is_unknown());
}

#[test]
fn a_kubelets_health() {
    let health = |dial, answer| {
        let healthz = Some(HealthzCapture { dial, answer });
        parse(ReachCapture { healthz, ..ReachCapture::default() }).kubelet_healthz
    };
    let answered = |status| Some(Healthz::Answered { status, words: "ok".to_owned() });
    let open = || Dial::Open { ms: 0 };
    assert_eq!(health(open(), answered(200)), Fact::Known(Health::Ok));
    assert_eq!(health(open(), answered(500)), Fact::Known(Health::Unhealthy));
    let silent = Some(Healthz::Failed { words: "no answer within 5 s".to_owned() });
    assert_eq!(health(open(), silent), Fact::Known(Health::Unhealthy));
    assert_eq!(health(failed("Connection refused"), None), Fact::Known(Health::Refused));
    assert!(health(open(), None).is_unknown());
}

#[test]
fn nfs_servers_that_take_no_connection_are_named() {
    let server = |host: &str, dial| ServerCapture { host: host.to_owned(), port: 2049, dial };
    let servers = vec![
        server("192.168.4.61", failed("Connection refused")),
        server("nas", Dial::Open { ms: 1 }),
        server("far", Dial::Forbidden { words: "no".to_owned() }),
    ];
    let reach = parse(ReachCapture { servers, ..ReachCapture::default() });
    assert_eq!(reach.nfs_unreachable, Fact::Known(vec!["192.168.4.61:2049: connection refused".to_owned()]));
    assert_eq!(reach.nfs.known().unwrap()["nas"].tcp, Fact::Known(Tcp::Open));
}

#[test]
fn what_a_probe_adds_to_the_places_to_try() {
    let conf = |server: &str| format!("clusters:\n- cluster:\n    server: {server}\n");
    let mounts = "311 26 0:44 / /mnt/media rw - nfs4 nas:/media rw,addr=192.168.4.61\n\
                  312 26 0:45 / /mnt/fine rw - nfs4 nas2:/x rw,addr=192.168.4.62\n";
    let fstab = "[2001:db8::1]:/b /mnt/b nfs defaults\nnas3:/c /mnt/c nfs noauto\n";
    let probed = record_of(vec![
        section("kubeconfig", "/etc/kubernetes/kubelet.conf", 0, &conf("https://lb:6443")),
        section("kubeconfig", "/etc/kubernetes/bootstrap-kubelet.conf", 66, ""),
        section("mountinfo", "", 0, mounts),
        section("fstab", "", 0, fstab),
        section("netmount", "/mnt/media", 0, "state=hung\nms=3000\n"),
        section("netmount", "/mnt/fine", 0, "state=answered\nms=3\n"),
    ]);
    let found = wanted(&probed);
    assert_eq!(found.apis, [(Origin::KubeletConf, "https://lb:6443".to_owned())]);
    assert_eq!(found.nfs, ["192.168.4.61", "2001:db8::1"]);
    assert_eq!(wanted(&record(&[])), Wanted::default());
}
