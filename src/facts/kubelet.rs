//! The kubelet: how it is meant to run, how it runs, and what it says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::containerd::Containerd;
use super::kubelet_config::kubeconfig;
pub use super::kubelet_config::{Kubeconfig, KubeletConfig};
use super::kubelet_start::{self, Start};
use super::logs::{self, KUBELET_LOG, LogFacts, exit_reason};
use super::packages::Packages;
use super::permissions::Permissions;
use super::read::{Reader, clip};
use super::unit::{Process, Unit, processes};
use super::wiring::{self, ConfiguredFlag, DropIn, DropInState};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Kubelet {
    pub unit: Unit,
    /// The program is on the node.
    pub installed: Fact<bool>,
    /// Version without `v` and package suffix (`1.29.15`).
    pub version: Fact<String>,
    pub version_minor: Fact<u32>,
    pub drop_ins: Fact<Alike<Vec<DropIn>>>,
    pub kubeadm_drop_in: Fact<DropInState>,
    /// Drop-ins with a line before their first section header.
    pub malformed_drop_ins: Fact<Vec<String>>,
    /// The command that systemd would run gives it a kubeconfig.
    pub wired: Fact<bool>,
    /// Why it does not; absent when it does.
    pub wiring_fault: Fact<String>,
    /// What its next start depends on.
    pub start: Alike<Start>,
    /// A kubelet process runs.
    pub running: Fact<bool>,
    pub pid: Fact<u32>,
    /// When the process started, in seconds since 1970.
    pub started: Fact<i64>,
    /// The running process's command line.
    pub arguments: Fact<Vec<String>>,
    /// It runs without `--kubeconfig`: it never contacts the API server. Absent when it does not run.
    pub standalone: Fact<bool>,
    /// How many kubelet processes there are.
    pub processes: Fact<u64>,
    /// Flags that files give it.
    pub configured_flags: Alike<Vec<ConfiguredFlag>>,
    /// `/var/lib/kubelet/config.yaml`.
    pub config: Alike<KubeletConfig>,
    /// The driver that applies: of the running command line and its configuration, else of the configuration.
    pub cgroup_driver: Fact<String>,
    /// kubelet and containerd manage cgroups in different ways: pods are killed and made anew for ever.
    pub cgroup_driver_differs: Fact<bool>,
    /// The kubeconfigs of the node by path.
    pub kubeconfigs: Alike<BTreeMap<String, Fact<Kubeconfig>>>,
    /// `server` of `/etc/kubernetes/kubelet.conf`.
    pub server: Fact<String>,
    /// The file of the client certificate that it names; absent when it carries the certificate itself.
    pub client_certificate: Fact<String>,
    /// SHA-256 of the public key of the CA that it trusts.
    pub server_ca_sha256: Fact<String>,
    /// The name that it registers: `--hostname-override`, else the host's name in lower case.
    pub node_name: Fact<String>,
    pub log: Alike<LogFacts>,
    /// Seconds since it last said that its look at the containers (PLEG) hangs.
    pub pleg_unhealthy_age: Fact<i64>,
    /// Sentences in its log that look like faults and that healthy nodes print, too.
    pub harmless: Fact<Vec<String>>,
    /// What it said before its last exit.
    pub exit_reason: Fact<String>,
}

impl Kubelet {
    pub(crate) fn parse(
        reader: Reader<'_>,
        permissions: &Permissions,
        packages: &Packages,
        containerd: &Containerd,
        now: Option<i64>,
    ) -> Self {
        let unit = Unit::parse(reader, "kubelet", now);
        let found = processes(reader, "kubelet");
        let process = found.as_ref().and_then(|found| {
            let main = found.iter().find(|process| process.pid.is_known() && process.pid == unit.main_pid);
            Fact::from_option(main.or(found.first()).cloned())
        });
        let config = KubeletConfig::parse(reader);
        let drop_ins = wiring::drop_ins(reader, &unit);
        let standalone = process.as_ref().and_then(standalone);
        let cgroup_driver = cgroup_driver(&process, &config);
        let version = version(reader, packages);
        let version_minor =
            version.as_ref().and_then(|version| version.split('.').nth(1).map_or(Fact::Absent, super::read::number));
        let kubeconfigs: BTreeMap<_, _> =
            reader.each_whole("kubeconfig").map(|(path, text)| (path.to_owned(), text.and_then(kubeconfig))).collect();
        let configured_flags = wiring::configured_flags(reader);
        let own_conf = kubeconfigs.get("/etc/kubernetes/kubelet.conf").cloned().unwrap_or_default();
        let running = match &process {
            Fact::Known(_) => Fact::Known(true),
            Fact::Absent => Fact::Known(false),
            Fact::Unknown(_) => unit.running.clone(),
        };
        let log = LogFacts::parse(reader, "kubelet", &KUBELET_LOG);
        let wired = wiring::wired(reader, &unit);
        Self {
            start: Start::parse(&kubelet_start::Sources {
                reader,
                permissions,
                unit: &unit,
                process: &process,
                running: &running,
                flags: &configured_flags,
                config: &config,
                minor: &version_minor,
                log: &log,
            })
            .into(),
            node_name: node_name(reader, &process, &configured_flags),
            wiring_fault: wiring::fault(reader, &unit, &wired, &drop_ins),
            pleg_unhealthy_age: logs::age(&log, "pleg_unhealthy", now),
            harmless: logs::harmless(reader, "kubelet"),
            client_certificate: own_conf.clone().and_then(|conf| conf.client_certificate),
            server_ca_sha256: own_conf.clone().and_then(|conf| conf.ca_sha256),
            server: own_conf.and_then(|conf| conf.server),
            installed: installed(permissions, &unit),
            kubeadm_drop_in: wiring::kubeadm_drop_in(&drop_ins),
            malformed_drop_ins: drop_ins.as_ref().map(|drop_ins| {
                let malformed = drop_ins.iter().filter(|drop_in| drop_in.outside_section.is_known());
                malformed.map(|drop_in| drop_in.path.clone()).collect()
            }),
            drop_ins: drop_ins.map(Alike::from),
            wired,
            running,
            pid: process.clone().and_then(|process| process.pid),
            started: process.clone().and_then(|process| process.started),
            arguments: process.and_then(|process| process.arguments),
            processes: match &found {
                Fact::Known(found) => Fact::Known(found.len() as u64),
                Fact::Absent => Fact::Known(0),
                Fact::Unknown(why) => Fact::unknown(why.as_str()),
            },
            standalone,
            configured_flags: configured_flags.into(),
            cgroup_driver_differs: differs(&cgroup_driver, &version_minor, containerd),
            cgroup_driver,
            config: config.into(),
            kubeconfigs: kubeconfigs.into(),
            version,
            version_minor,
            log: log.into(),
            exit_reason: reader.text_of("log-exit", "kubelet").and_then(|text| Fact::from_option(exit_reason(text))),
            unit,
        }
    }
}

/// By the program's usual places, else by whether systemd has a unit that runs it.
fn installed(permissions: &Permissions, unit: &Unit) -> Fact<bool> {
    let places = [permissions.exists("/usr/bin/kubelet"), permissions.exists("/usr/local/bin/kubelet")];
    if places.iter().any(Fact::is_true) {
        return Fact::Known(true);
    }
    let unread = places.into_iter().find(Fact::is_unknown);
    unread.unwrap_or_else(|| Fact::Known(unit.running.is_true()))
}

/// A flag names the node, wherever it stands; else the host's name does.
fn node_name(reader: Reader<'_>, process: &Fact<Process>, flags: &[ConfiguredFlag]) -> Fact<String> {
    const FLAG: &str = "hostname-override";
    let given = process.as_ref().and_then(|process| process.flag(FLAG));
    let configured = flags.iter().rev().find(|flag| flag.flag == FLAG).map(|flag| flag.value.clone());
    let given = given.known().cloned().or(configured).filter(|name| !name.is_empty());
    let name = given.map_or_else(|| reader.keys("ident").text("hostname"), Fact::Known);
    name.map(|name| name.trim().to_lowercase())
}

/// A kubelet is standalone if and only if it has no kubeconfig.
fn standalone(process: &Process) -> Fact<bool> {
    process.arguments.as_ref().and_then(|arguments| {
        if arguments.is_empty() {
            return Fact::unknown("the command line of the process is empty");
        }
        Fact::Known(!process.flag("kubeconfig").is_known_and(|path| !path.is_empty()))
    })
}

/// A flag wins over the configuration; without `--config` the default is cgroupfs, whatever the file says.
fn cgroup_driver(process: &Fact<Process>, config: &KubeletConfig) -> Fact<String> {
    let from_config = || match (&config.present, &config.cgroup_driver) {
        (Fact::Known(true), Fact::Absent) => Fact::Known("cgroupfs".to_owned()),
        (_, driver) => driver.clone(),
    };
    match process {
        Fact::Known(process) => process.flag("cgroup-driver").or_else(|| {
            if process.flag("config").is_known() { from_config() } else { Fact::Known("cgroupfs".to_owned()) }
        }),
        Fact::Absent | Fact::Unknown(_) => from_config(),
    }
}

/// From kubelet 1.34 and containerd 2.0 on, the kubelet asks the runtime and its own setting does not count.
fn differs(kubelet: &Fact<String>, minor: &Fact<u32>, containerd: &Containerd) -> Fact<bool> {
    let asks = minor.is_known_and(|minor| *minor >= 34) && containerd.version_major.is_known_and(|major| *major >= 2);
    kubelet
        .as_ref()
        .and_then(|driver| containerd.systemd_cgroup.as_ref().map(|systemd| !asks && (driver == "systemd") != *systemd))
}

/// `Kubernetes v1.29.15` of `kubelet --version`, else the package's version.
fn version(reader: Reader<'_>, packages: &Packages) -> Fact<String> {
    let own = reader.text("kubelet-version").and_then(|text| {
        Fact::from_option(text.split_whitespace().find_map(|word| word.strip_prefix('v')).map(|v| clip(v, 40)))
    });
    own.or_else(|| {
        packages.version("kubelet").map(|version| version.split(['-', '~', '+']).next().unwrap_or(version).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;
    use crate::record::Record;

    const CONFIG: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: systemd\n\
        clusterDNS:\n- 10.96.0.10\nauthentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\nfailSwapOn: false\n";

    fn parse(record: &Record) -> Kubelet {
        let reader = Reader::new(record);
        let permissions = Permissions::parse(reader);
        let containerd = Containerd::parse(reader, &permissions, None);
        Kubelet::parse(reader, &permissions, &Packages::parse(reader), &containerd, Some(1000))
    }

    fn process(arguments: &[&str]) -> String {
        let lines: Vec<String> = arguments.iter().map(|argument| format!("arg={argument}\n")).collect();
        format!("pid=2214\nstart=900\nexe=/usr/bin/kubelet\n{}", lines.concat())
    }

    #[test]
    fn a_kubelet_without_kubeconfig_is_standalone_and_ignores_its_configuration() {
        let bare = process(&["/usr/bin/kubelet"]);
        let kubelet = parse(&record(&[("process", "kubelet", &bare), ("kubelet-config", "", CONFIG)]));
        assert_eq!((kubelet.running, kubelet.standalone), (Fact::Known(true), Fact::Known(true)));
        assert_eq!(kubelet.cgroup_driver, Fact::Known("cgroupfs".to_owned()));
        assert_eq!(kubelet.config.cgroup_driver, Fact::Known("systemd".to_owned()));
    }

    #[test]
    fn a_wired_kubelet_follows_its_configuration() {
        let wired = process(&["/usr/bin/kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config", "/c"]);
        let kubelet = parse(&record(&[("process", "kubelet", &wired), ("kubelet-config", "", CONFIG)]));
        assert_eq!(kubelet.standalone, Fact::Known(false));
        assert_eq!(kubelet.cgroup_driver, Fact::Known("systemd".to_owned()));
        assert_eq!(kubelet.config.cluster_dns, Fact::Known(vec!["10.96.0.10".to_owned()]));
        assert_eq!(kubelet.config.fail_swap_on, Fact::Known(false));
        assert_eq!(kubelet.config.rotate_certificates, Fact::Absent);
    }

    #[test]
    fn no_process_is_not_standalone() {
        let kubelet = parse(&record(&[]));
        assert_eq!((kubelet.running, kubelet.standalone), (Fact::Known(false), Fact::Absent));
    }

    #[test]
    fn drivers_that_differ() {
        let dump = |systemd: bool| {
            format!(
                "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = {systemd}\n"
            )
        };
        let differs = |systemd: bool, kubelet: &str, containerd: &str| {
            let dump = dump(systemd);
            let wired = process(&["/usr/bin/kubelet", "--kubeconfig=/k", "--config=/c"]);
            let sections = [
                ("process", "kubelet", wired.as_str()),
                ("kubelet-config", "", CONFIG),
                ("containerd-dump", "", &dump),
                ("kubelet-version", "", kubelet),
                ("containerd-version", "", containerd),
            ];
            parse(&record(&sections)).cgroup_driver_differs
        };
        assert_eq!(differs(false, "Kubernetes v1.29.15", "containerd x 1.7.27"), Fact::Known(true));
        assert_eq!(differs(true, "Kubernetes v1.29.15", "containerd x 1.7.27"), Fact::Known(false));
        assert_eq!(differs(false, "Kubernetes v1.34.1", "containerd x v2.1.0"), Fact::Known(false));
    }

    #[test]
    fn the_version_of_the_package_serves() {
        let kubelet = parse(&record(&[("packages", "", "kubelet 1.29.15-1.1 installed\n")]));
        assert_eq!((kubelet.version, kubelet.version_minor), (Fact::Known("1.29.15".to_owned()), Fact::Known(29)));
    }
}
