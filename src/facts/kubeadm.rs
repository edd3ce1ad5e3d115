//! What a join leaves behind, while it runs and when it was cut off.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::identity::Identity;
use super::packages::Packages;
use super::permissions::Permissions;
use super::read::{Reader, number};
use super::unit::{flag_value, processes};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Kubeadm {
    /// Version of the package, without its suffix (`1.29.15`).
    pub version: Fact<String>,
    pub version_minor: Fact<u32>,
    /// Programs that its pre-flight checks demand and that are not in the PATH, itself among them.
    pub missing_programs: Fact<Vec<String>>,
    /// Programs that it only warns about.
    pub missing_optional: Fact<Vec<String>>,
    /// A kubeadm process runs.
    pub running: Fact<bool>,
    pub pid: Fact<u32>,
    /// Its command line without the values of secret flags; the probe cuts them out.
    pub arguments: Fact<Vec<String>>,
    /// `--node-name` of the running one.
    pub node_name: Fact<String>,
    /// SHA-256 of the public keys of the CAs that the running one accepts.
    pub ca_pins: Fact<Vec<String>>,
    /// Checks whose errors the running one was told to ignore.
    pub ignored_checks: Fact<Vec<String>>,
    /// `/etc/kubernetes/bootstrap-kubelet.conf` is there: a join runs or was killed.
    pub bootstrap_conf: Fact<bool>,
    /// When it was written, in seconds since 1970.
    pub bootstrap_conf_written: Fact<i64>,
    /// Seconds since it was written, by the node's clock.
    pub bootstrap_conf_age: Fact<i64>,
    /// `/etc/kubernetes/kubelet.conf` is there: the node has an identity.
    pub kubelet_conf: Fact<bool>,
    /// `/etc/kubernetes/pki/ca.crt` is there; a join does not overwrite it.
    pub ca_crt: Fact<bool>,
    /// Package locks that are held.
    pub locks: Fact<Vec<String>>,
    /// An Ansible run is at work on the node.
    pub ansible: Fact<bool>,
    /// Files in `/etc/kubernetes/manifests`.
    pub manifests: Fact<Vec<String>>,
}

impl Kubeadm {
    pub(crate) fn parse(
        reader: Reader<'_>,
        permissions: &Permissions,
        packages: &Packages,
        identity: &Identity,
        now: Option<i64>,
    ) -> Self {
        let join = reader.keys("join");
        let found = processes(reader, "kubeadm");
        let pid = join.number::<u32>("kubeadm_pid").or_else(|| {
            found.as_ref().and_then(|found| found.first().map_or(Fact::Absent, |process| process.pid.clone()))
        });
        let written = join.number::<i64>("bootstrap_conf_mtime").or_else(|| {
            permissions.stat("/etc/kubernetes/bootstrap-kubelet.conf").and_then(|stat| stat.modified.clone())
        });
        let arguments = found.and_then(|found| found.first().map_or(Fact::Absent, |process| process.arguments.clone()));
        let given = |flag: &str| arguments.as_ref().and_then(|words| Fact::from_option(flag_value(words, flag)));
        let version = packages
            .version("kubeadm")
            .map(|version| version.split(['-', '~', '+']).next().unwrap_or(version).to_owned());
        let version_minor = version.as_ref().and_then(|version| version.split('.').nth(1).map_or(Fact::Absent, number));
        Self {
            missing_programs: missing(identity, &mandatory(&version_minor)),
            missing_optional: missing(identity, OPTIONAL),
            version,
            version_minor,
            node_name: given("node-name"),
            ignored_checks: given("ignore-preflight-errors").map(|names| {
                names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
            }),
            ca_pins: arguments.as_ref().and_then(|words| {
                let pins = words
                    .iter()
                    .filter_map(|word| word.rsplit_once("sha256:"))
                    .map(|(_, pin)| pin.trim().to_lowercase());
                let pins: Vec<String> = pins.collect();
                Fact::from_option((!pins.is_empty()).then_some(pins))
            }),
            running: match &pid {
                Fact::Known(_) => Fact::Known(true),
                Fact::Absent => Fact::Known(false),
                Fact::Unknown(why) => Fact::unknown(why.as_str()),
            },
            pid,
            arguments,
            bootstrap_conf: permissions.exists("/etc/kubernetes/bootstrap-kubelet.conf").or_else(|| match &written {
                Fact::Known(_) => Fact::Known(true),
                Fact::Absent => Fact::Known(false),
                Fact::Unknown(why) => Fact::unknown(why.as_str()),
            }),
            bootstrap_conf_age: written
                .clone()
                .and_then(|written| now.map_or_else(Fact::default, |now| Fact::Known(now.saturating_sub(written)))),
            bootstrap_conf_written: written,
            kubelet_conf: permissions.exists("/etc/kubernetes/kubelet.conf"),
            ca_crt: permissions.exists("/etc/kubernetes/pki/ca.crt"),
            locks: join.values("lock"),
            ansible: match join.get("ansible") {
                Fact::Known(text) => Fact::Known(!matches!(text, "no" | "0" | "")),
                Fact::Absent => Fact::Known(false),
                Fact::Unknown(why) => Fact::Unknown(why),
            },
            manifests: reader.text_of("k8s-dir", "/etc/kubernetes/manifests").map(|text| {
                let entries = super::listing::parse(text).filter(|entry| entry.stat.is_known());
                let names = entries.map(|entry| entry.name().to_owned());
                names.filter(|name| !name.is_empty() && name != "manifests").collect()
            }),
        }
    }
}

/// Of which kubeadm says "not found in system path", as a warning.
const OPTIONAL: &[&str] = &["ethtool", "tc", "touch", "socat", "ebtables"];

/// Of which it says so as an error. crictl stopped being one with 1.31, conntrack with 1.32.
fn mandatory(minor: &Fact<u32>) -> Vec<&'static str> {
    let before = |limit: u32| minor.is_known_and(|minor| *minor < limit);
    let mut programs = vec!["kubeadm", "ip", "iptables", "mount", "nsenter"];
    programs.extend(before(31).then_some("crictl"));
    programs.extend(before(32).then_some("conntrack"));
    programs
}

/// Unknown unless every one of them was looked for.
fn missing(identity: &Identity, programs: &[&str]) -> Fact<Vec<String>> {
    let mut missing = Vec::new();
    for program in programs {
        match identity.has_tool(program) {
            Fact::Known(true) => {}
            Fact::Known(false) | Fact::Absent => missing.push((*program).to_owned()),
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
    }
    Fact::Known(missing)
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn parse(sections: &[(&str, &str, &str)]) -> Kubeadm {
        let record = record(sections);
        let reader = Reader::new(&record);
        let packages = Packages::parse(reader);
        Kubeadm::parse(reader, &Permissions::parse(reader), &packages, &Identity::parse(reader), Some(1000))
    }

    #[test]
    fn a_running_join() {
        let kubeadm = parse(&[
            ("join", "", "kubeadm_pid=77\nbootstrap_conf_mtime=890\nlock-\nansible-\n"),
            (
                "stat",
                "",
                "600 0:0 1891 890 f\t/etc/kubernetes/bootstrap-kubelet.conf\n-\t/etc/kubernetes/kubelet.conf\n",
            ),
        ]);
        assert_eq!((kubeadm.running, kubeadm.pid), (Fact::Known(true), Fact::Known(77)));
        assert_eq!((kubeadm.bootstrap_conf, kubeadm.bootstrap_conf_age), (Fact::Known(true), Fact::Known(110)));
        assert_eq!(kubeadm.kubelet_conf, Fact::Known(false));
        assert_eq!((kubeadm.locks, kubeadm.ansible), (Fact::Known(vec![]), Fact::Known(false)));
    }

    #[test]
    fn nothing_left_over() {
        let kubeadm = parse(&[("join", "", "kubeadm_pid-\nbootstrap_conf_mtime-\n")]);
        assert_eq!((kubeadm.running, kubeadm.bootstrap_conf), (Fact::Known(false), Fact::Known(false)));
    }

    #[test]
    fn what_its_command_line_says() {
        let kubeadm = parse(&[(
            "process",
            "kubeadm",
            "pid=77\narg=kubeadm\narg=join\narg=192.0.2.1:6443\narg=--node-name\narg=masternode\n\
             arg=--discovery-token-ca-cert-hash\narg=sha256:AB12\narg=--ignore-preflight-errors=Port-10250,Swap\n",
        )]);
        assert_eq!(kubeadm.node_name, Fact::Known("masternode".to_owned()));
        assert_eq!(kubeadm.ca_pins, Fact::Known(vec!["ab12".to_owned()]));
        assert_eq!(kubeadm.ignored_checks, Fact::Known(vec!["Port-10250".to_owned(), "Swap".to_owned()]));
        assert_eq!(parse(&[]).ca_pins, Fact::Absent);
    }

    #[test]
    fn programs_are_demanded_by_version() {
        let tools = "kubeadm=/x\nip=/x\niptables=/x\nmount=/x\nnsenter=/x\ncrictl-\nconntrack-\nethtool=/x\ntc=/x\ntouch=/x\nsocat-\nebtables=/x\n";
        let missing = |version: &str| {
            let package = format!("kubeadm {version}-1.1 ii\n");
            parse(&[("tools", "", tools), ("packages", "", &package)]).missing_programs
        };
        assert_eq!(missing("1.29.15"), Fact::Known(vec!["crictl".to_owned(), "conntrack".to_owned()]));
        assert_eq!(missing("1.31.0"), Fact::Known(vec!["conntrack".to_owned()]));
        assert_eq!(missing("1.33.0"), Fact::Known(vec![]));
        assert_eq!(parse(&[("tools", "", tools)]).missing_optional, Fact::Known(vec!["socat".to_owned()]));
        assert!(parse(&[]).missing_programs.is_unknown());
    }

    #[test]
    fn unread_is_unknown() {
        assert!(parse(&[]).bootstrap_conf.is_unknown());
    }
}
