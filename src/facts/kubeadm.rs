//! What a join leaves behind, while it runs and when it was cut off.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::permissions::Permissions;
use super::read::Reader;
use super::unit::processes;

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Kubeadm {
    /// A kubeadm process runs.
    pub running: Fact<bool>,
    pub pid: Fact<u32>,
    /// Its command line without the values of secret flags; the probe cuts them out.
    pub arguments: Fact<Vec<String>>,
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
    pub(crate) fn parse(reader: Reader<'_>, permissions: &Permissions, now: Option<i64>) -> Self {
        let join = reader.keys("join");
        let found = processes(reader, "kubeadm");
        let pid = join.number::<u32>("kubeadm_pid").or_else(|| {
            found.as_ref().and_then(|found| found.first().map_or(Fact::Absent, |process| process.pid.clone()))
        });
        let written = join.number::<i64>("bootstrap_conf_mtime").or_else(|| {
            permissions.stat("/etc/kubernetes/bootstrap-kubelet.conf").and_then(|stat| stat.modified.clone())
        });
        Self {
            running: match &pid {
                Fact::Known(_) => Fact::Known(true),
                Fact::Absent => Fact::Known(false),
                Fact::Unknown(why) => Fact::unknown(why.as_str()),
            },
            pid,
            arguments: found.and_then(|found| found.first().map_or(Fact::Absent, |process| process.arguments.clone())),
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

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn parse(sections: &[(&str, &str, &str)]) -> Kubeadm {
        let record = record(sections);
        let reader = Reader::new(&record);
        Kubeadm::parse(reader, &Permissions::parse(reader), Some(1000))
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
    fn unread_is_unknown() {
        assert!(parse(&[]).bootstrap_conf.is_unknown());
    }
}
