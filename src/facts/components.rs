//! What an upgrade replaces, and what a newer version may refuse: flags, fields and settings that some version dropped, and
//! the versions of what runs beside the kubelet.
//!
//! Which flags those are is the table of [`crate::upgrade::policy`]; whether they matter depends on a target, or on the
//! kubelet's own version, and is not decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_yaml::Value;
use toml::Table;

use super::Fact;
use super::blocks::blocks;
use super::crictl::json;
use super::kubelet::Kubelet;
use super::memo::Memo;
use super::read::{Reader, clip};
use super::wiring::ConfiguredFlag;
use super::yaml::yaml;
use crate::upgrade::policy::{FieldEffect, Policy};

/// So many seconds may a pod take to end before it counts as stuck.
const PATIENCE: i64 = 600;
/// Settings that are told of one node.
const MOST: usize = 50;
/// What `kubeadm` itself writes flags into.
const KUBEADM_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Components {
    /// Flags in the kubelet's files that some version of it refuses.
    pub removed_flags: Fact<Vec<RemovedFlag>>,
    /// Fields of the kubelet's configuration that some version of it no longer knows.
    pub removed_fields: Fact<Vec<RemovedField>>,
    /// Settings in containerd's files that it drops: `setting (gone in 2.0.0, instead: ...)`. Absent without a file.
    pub containerd_settings: Fact<Vec<String>>,
    /// Version of kubeadm's configuration in the cluster's `ConfigMap`: `kubeadm.k8s.io/v1beta3`.
    pub kubeadm_api: Fact<String>,
    /// Version of kube-proxy, by the image of its daemon set.
    pub kube_proxy: Fact<String>,
    /// Version of flannel, by the image of its daemon set.
    pub flannel: Fact<String>,
    /// The labels by which flannel's daemon set finds its pods (`app=flannel`); absent where nobody read them.
    pub flannel_selector: Fact<Vec<String>>,
    /// System pods that should have ended ten minutes ago, by node.
    pub stuck_pods: Fact<BTreeMap<String, Vec<String>>>,
}

/// A flag that ends a kubelet from some minor on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct RemovedFlag {
    pub flag: String,
    /// The file that gives it.
    pub source: String,
    /// The minor in which it went, `35` of 1.35.
    pub removed_in_minor: u32,
    /// `kubeadm upgrade` takes it out by itself.
    pub kubeadm_cleans: bool,
}

/// A field that a kubelet no longer knows from some minor on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct RemovedField {
    /// Dotted: `featureGates.TTLAfterFinished`.
    pub field: String,
    /// The file that has it.
    pub source: String,
    pub removed_in_minor: u32,
    /// The kubelet exits; otherwise it says so in its log.
    pub exits: bool,
}

impl Components {
    pub(crate) fn parse(reader: Reader<'_>, kubelet: &Kubelet, now: Option<i64>) -> Self {
        let policy = match Policy::built_in() {
            Ok(policy) => policy,
            Err(error) => return Self::unknown(&error.to_string()),
        };
        let flags = removed_flags(&kubelet.configured_flags, policy);
        let unread = unread_flags(reader);
        Self {
            removed_flags: unread.clone().map_or(Fact::Known(flags), Fact::unknown),
            removed_fields: removed_fields(reader, &kubelet.configured_flags, unread, policy),
            containerd_settings: containerd_settings(reader, policy),
            kubeadm_api: asked(reader, "api-kubeadm-config").and_then(json).and_then(|maps| kubeadm_api(&maps)),
            kube_proxy: image_of(reader, "kube-proxy"),
            flannel: image_of(reader, "flannel"),
            flannel_selector: asked(reader, "api-daemonsets").and_then(flannel_selector),
            stuck_pods: asked(reader, "api-pods-system").and_then(|text| match now {
                Some(now) => Fact::Known(stuck_pods(text, now)),
                None => Fact::unknown("the node's clock is not known"),
            }),
        }
    }

    fn unknown(why: &str) -> Self {
        Self {
            removed_flags: Fact::unknown(why),
            removed_fields: Fact::unknown(why),
            containerd_settings: Fact::unknown(why),
            ..Self::default()
        }
    }
}

/// A section of a control plane; absent on nodes where nobody asks.
fn asked<'a>(reader: Reader<'a>, id: &'static str) -> Fact<&'a str> {
    if reader.sections(id).next().is_some() { reader.whole(id) } else { reader.none_of(id) }
}

fn removed_flags(configured: &[ConfiguredFlag], policy: &Policy) -> Vec<RemovedFlag> {
    let removed = configured.iter().filter_map(|given| {
        let row = policy.removed_flag(&given.flag)?;
        Some(RemovedFlag {
            flag: given.flag.clone(),
            source: given.source.clone(),
            removed_in_minor: row.removed_in.0,
            kubeadm_cleans: row.kubeadm_cleans && given.source == KUBEADM_FLAGS,
        })
    });
    removed.take(MOST).collect()
}

/// Why not all of the kubelet's flags are known, if that is so.
fn unread_flags(reader: Reader<'_>) -> Option<String> {
    let units = reader.each("unit-file").filter(|(path, _)| path.contains("kubelet.service"));
    let unread = reader.each("env-file").chain(units).find_map(|(path, text)| match text {
        Fact::Unknown(why) => Some(format!("{path}: {why}")),
        Fact::Known(_) | Fact::Absent => None,
    });
    let nothing: Fact<()> = match reader.sections("env-file").next() {
        Some(_) => Fact::Absent,
        None => reader.none_of("env-file"),
    };
    unread.or_else(|| nothing.reason().map(str::to_owned))
}

fn removed_fields(
    reader: Reader<'_>,
    configured: &[ConfiguredFlag],
    unread: Option<String>,
    policy: &Policy,
) -> Fact<Vec<RemovedField>> {
    if let Some(why) = unread {
        return Fact::unknown(why);
    }
    let root = match reader.whole("kubelet-config") {
        Fact::Known(text) => yaml(text),
        Fact::Absent => Fact::Known(Arc::new(Value::Null)),
        Fact::Unknown(why) => Fact::Unknown(why),
    };
    root.map(|root| {
        let mut found = Vec::new();
        for row in &policy.kubelet_config {
            let mut add = |source: &str| {
                found.push(RemovedField {
                    field: row.field.clone(),
                    source: source.to_owned(),
                    removed_in_minor: row.removed_in.0,
                    exits: row.effect == FieldEffect::Exits,
                });
            };
            if row.field.split('.').try_fold(&*root, |value, name| value.get(name)).is_some() {
                add("/var/lib/kubelet/config.yaml");
            }
            let gate = row.field.strip_prefix("featureGates.");
            let gives = |given: &&ConfiguredFlag| {
                let names = given.value.split(',').filter_map(|gate| gate.split('=').next());
                given.flag == "feature-gates" && names.map(str::trim).any(|name| Some(name) == gate)
            };
            configured.iter().filter(gives).for_each(|given| add(&given.source));
        }
        found.truncate(MOST);
        found
    })
}

/// Of the files, not of the dump: that has every setting, with its default.
fn containerd_settings(reader: Reader<'_>, policy: &'static Policy) -> Fact<Vec<String>> {
    static KNOWN: Memo<Fact<Vec<RemovedRow>>> = Memo::new();
    let mut found = Vec::new();
    let mut answer = reader.none_of("containerd-config");
    for (path, text) in reader.each_whole("containerd-config") {
        match text.and_then(|text| Fact::clone(&KNOWN.get(text, |text| removed_rows(text, policy)))) {
            Fact::Known(rows) => {
                answer = Fact::Known(Vec::new());
                for RemovedRow { setting, removed_in, instead } in rows {
                    found.push(format!("{setting} in {path} (gone in containerd {removed_in}, instead: {instead})"));
                }
            }
            Fact::Absent if !answer.is_known() => answer = Fact::Absent,
            Fact::Unknown(why) if !answer.is_known() => answer = Fact::unknown(format!("{path}: {why}")),
            Fact::Absent | Fact::Unknown(_) => {}
        }
    }
    answer.map(|_: Vec<String>| {
        found.truncate(MOST);
        found
    })
}

/// The rows of the policy that a file's settings are of.
fn removed_rows(text: &str, policy: &'static Policy) -> Fact<Vec<RemovedRow>> {
    let Ok(table) = text.parse::<Table>() else { return Fact::unknown("no valid TOML") };
    let mut settings = Vec::new();
    leaves(&table, "", &mut settings);
    let rows = policy.containerd_config.iter().filter(|row| settings.iter().any(|setting| row.is(setting)));
    Fact::Known(rows.map(RemovedRow::of).collect())
}

/// A row's words.
#[derive(Clone)]
struct RemovedRow {
    setting: &'static str,
    removed_in: String,
    instead: &'static str,
}

impl RemovedRow {
    fn of(row: &'static crate::upgrade::policy::RemovedSetting) -> Self {
        let setting = row.setting.strip_prefix("plugins/").unwrap_or(&row.setting);
        let removed_in = format!("{}.{}", row.removed_in.major, row.removed_in.minor);
        Self { setting, removed_in, instead: &row.instead }
    }
}

/// The paths of all settings that are not tables, joined by `/`. Values are left out, because they may be secret, but for the
/// names of runtimes and snapshotters.
fn leaves(table: &Table, above: &str, into: &mut Vec<String>) {
    for (name, value) in table {
        let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
        match value {
            toml::Value::Table(below) => leaves(below, &path, into),
            toml::Value::String(text) if matches!(name.as_str(), "runtime_type" | "snapshotter") => {
                into.push(format!("{path}={text}"));
            }
            // `containerd config default` writes what is not set as nothing.
            toml::Value::String(text) if text.is_empty() => {}
            toml::Value::Boolean(false) => {}
            toml::Value::Array(items) if items.is_empty() => {}
            _ => into.push(path),
        }
    }
}

fn kubeadm_api(maps: &serde_json::Value) -> Fact<String> {
    let map = maps.get("items").and_then(|items| items.get(0)).unwrap_or(maps);
    let text = map.pointer("/data/ClusterConfiguration").and_then(serde_json::Value::as_str);
    Fact::from_option(text).and_then(yaml).and_then(|root| {
        Fact::from_option(root.get("apiVersion").and_then(Value::as_str).map(|version| clip(version, 80)))
    })
}

/// The tag of the image of the daemon set whose name has that part.
fn image_of(reader: Reader<'_>, part: &str) -> Fact<String> {
    asked(reader, "api-daemonsets").and_then(|text| {
        let sets = blocks(text, "daemonset", false);
        let images = sets.iter().filter(|set| set.get("daemonset").is_some_and(|name| name.contains(part)));
        let tag = images.flat_map(|set| set.all("image").collect::<Vec<_>>()).find_map(|image| {
            let image = image.split_whitespace().nth(1)?;
            let tag = image.split('@').next()?.rsplit_once(':').map(|(_, tag)| tag)?;
            tag.trim_start_matches('v').starts_with(|char: char| char.is_ascii_digit()).then_some(tag)
        });
        Fact::from_option(tag.map(|tag| clip(tag.trim_start_matches('v'), 40)))
    })
}

/// Of the first daemon set of flannel's.
fn flannel_selector(text: &str) -> Fact<Vec<String>> {
    let sets = blocks(text, "daemonset", false);
    let set = sets.iter().find(|set| set.get("daemonset").is_some_and(|name| name.contains("flannel")));
    let labels: Vec<String> = set
        .into_iter()
        .flat_map(|set| set.all("match").collect::<Vec<_>>())
        .map(|label| clip(&label.replacen(' ', "=", 1), 200))
        .collect();
    Fact::from_option((!labels.is_empty()).then_some(labels))
}

fn stuck_pods(text: &str, now: i64) -> BTreeMap<String, Vec<String>> {
    let mut stuck: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in blocks(text, "pod", false) {
        let deleted = pod.get("deleted").and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let (Some(deleted), Some(node), Some(name)) = (deleted, pod.get("node"), pod.get("pod")) else { continue };
        if now.saturating_sub(deleted.as_second()) > PATIENCE {
            stuck.entry(node.to_owned()).or_default().push(clip(&name.replace(' ', "/"), 200));
        }
    }
    stuck
}

#[cfg(test)]
mod tests {
    use super::super::containerd::Containerd;
    use super::super::packages::Packages;
    use super::super::permissions::Permissions;
    use super::super::read::test_support::{record, record_of, section};
    use super::*;
    use crate::record::Record;

    fn parse(record: &Record) -> Components {
        let reader = Reader::new(record);
        let permissions = Permissions::parse(reader);
        let containerd = Containerd::parse(reader, &permissions, None);
        let kubelet = Kubelet::parse(reader, &permissions, &Packages::parse(reader), &containerd, None);
        Components::parse(reader, &kubelet, Some(1_757_526_000))
    }

    #[test]
    fn flags_that_some_version_refuses() {
        let found = parse(&record(&[
            ("kubelet-version", "", "Kubernetes v1.29.15\n"),
            (
                "env-file",
                KUBEADM_FLAGS,
                "KUBELET_KUBEADM_ARGS=\"--pod-infra-container-image=p --network-plugin=cni\"\n",
            ),
            ("env-file", "/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--pod-infra-container-image=p\n"),
        ]));
        let flags = found.removed_flags.known().unwrap();
        let told: Vec<_> = flags.iter().map(|flag| (flag.flag.as_str(), flag.kubeadm_cleans)).collect();
        assert_eq!(
            told,
            [("pod-infra-container-image", true), ("network-plugin", false), ("pod-infra-container-image", false)]
        );
        let denied = parse(&record_of(vec![section("env-file", KUBEADM_FLAGS, 77, "")]));
        assert!(denied.removed_flags.is_unknown());
    }

    #[test]
    fn what_flannels_daemon_set_finds_its_pods_by() {
        let sets = "daemonset=kube-system kube-proxy\nmatch=k8s-app kube-proxy\n\
                    daemonset=kube-flannel kube-flannel-ds\nmatch=app flannel\nmatch=k8s-app flannel\n";
        let selector = |sets: &str| parse(&record(&[("api-daemonsets", "", sets)])).flannel_selector;
        assert_eq!(selector(sets), Fact::Known(vec!["app=flannel".to_owned(), "k8s-app=flannel".to_owned()]));
        assert_eq!(selector("daemonset=kube-flannel kube-flannel-ds\n"), Fact::Absent, "an older record");
    }

    #[test]
    fn fields_of_the_file_and_feature_gates_of_flags() {
        let config =
            "kind: KubeletConfiguration\nlogging:\n  sanitization: true\nfeatureGates:\n  TTLAfterFinished: true\n";
        let flags = "A=\"--feature-gates=X=true,StatefulSetAutoDeletePVC=true\"\n";
        let found = parse(&record(&[("kubelet-config", "", config), ("env-file", "/etc/default/kubelet", flags)]));
        let fields = found.removed_fields.known().unwrap();
        let told: Vec<_> =
            fields.iter().map(|field| (field.field.as_str(), field.removed_in_minor, field.exits)).collect();
        assert_eq!(
            told,
            [
                ("logging.sanitization", 24, false),
                ("featureGates.TTLAfterFinished", 25, true),
                ("featureGates.StatefulSetAutoDeletePVC", 35, true),
            ]
        );
        let none = parse(&record_of(vec![section("kubelet-config", "", 66, ""), section("env-file", "", 66, "")]));
        assert_eq!(none.removed_fields, Fact::Known(vec![]));
    }

    #[test]
    fn settings_of_containerd_count_when_something_is_set() {
        let defaults = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors]\n\
            [plugins.\"io.containerd.grpc.v1.cri\"]\nsystemd_cgroup = false\n";
        let path = "/etc/containerd/config.toml";
        assert_eq!(parse(&record(&[("containerd-config", path, defaults)])).containerd_settings, Fact::Known(vec![]));
        let used =
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"a.b\".auth]\npassword = \"x\"\n";
        let found = parse(&record(&[("containerd-config", path, used)])).containerd_settings;
        let said = &found.known().unwrap()[0];
        assert!(said.contains("registry/configs") && said.contains("2.4") && said.contains("config_path"), "{said}");
        assert!(parse(&record(&[("containerd-config", path, "[")])).containerd_settings.is_unknown());
    }

    #[test]
    fn versions_by_image_and_pods_that_do_not_end() {
        let found = parse(&record(&[
            (
                "api-daemonsets",
                "",
                "daemonset=kube-system kube-proxy\nimage=kube-proxy registry.k8s.io/kube-proxy:v1.29.15\n\
                 daemonset=kube-flannel kube-flannel-ds\nimage=kube-flannel ghcr.io/flannel-io/flannel:v0.26.1@sha256:ab\n",
            ),
            (
                "api-pods-system",
                "",
                "pod=kube-system a\nnode=homelab\ndeleted=2025-09-10T16:00:00Z\n\
                 pod=kube-system b\nnode=homelab\ndeleted=2025-09-10T17:39:00Z\npod=kube-system c\nnode=homelab\n",
            ),
            (
                "api-kubeadm-config",
                "",
                r#"{"items":[{"data":{"ClusterConfiguration":"apiVersion: kubeadm.k8s.io/v1beta3\nkind: C\n"}}]}"#,
            ),
        ]));
        assert_eq!(found.kube_proxy, Fact::Known("1.29.15".to_owned()));
        assert_eq!(found.flannel, Fact::Known("0.26.1".to_owned()));
        assert_eq!(found.kubeadm_api, Fact::Known("kubeadm.k8s.io/v1beta3".to_owned()));
        let stuck = BTreeMap::from([("homelab".to_owned(), vec!["kube-system/a".to_owned()])]);
        assert_eq!(found.stuck_pods, Fact::Known(stuck));
    }
}
