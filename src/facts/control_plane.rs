//! The parts of a control plane, as this node and the API show them: who leads, which pod is ready, which container runs.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Fact;
use super::api::Api;
use super::crictl::shared_json;
use super::kubeadm::Kubeadm;
use super::read::{Reader, clip};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct ControlPlane {
    pub api_server: Component,
    pub controller_manager: Component,
    pub scheduler: Component,
    pub etcd: Component,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Component {
    /// Its manifest is on this node.
    pub manifest: Fact<bool>,
    /// The image that the manifest asks for.
    pub image: Fact<String>,
    /// Its container on this node runs. Absent when there is none.
    pub running: Fact<bool>,
    /// How often that container was started anew.
    pub restarts: Fact<u64>,
    /// Its pods that the API knows, on all control planes.
    pub pods: Fact<u64>,
    pub pods_ready: Fact<u64>,
    /// Why one of them is not ready.
    pub reason: Fact<String>,
    /// Who leads; absent for what elects no leader.
    pub leader: Fact<String>,
    /// Seconds since the leader last said that it lives.
    pub lease_age: Fact<i64>,
    /// Nobody does its work, in the whole cluster. Absent where nothing tells.
    pub down: Fact<bool>,
}

/// A leader renews its lease every few seconds, and loses it after fifteen.
const LEASE_SECONDS: i64 = 60;

impl ControlPlane {
    /// `now`: the node's clock in seconds.
    pub(crate) fn parse(reader: Reader<'_>, api: &Api, kubeadm: &Kubeadm, now: Option<i64>) -> Self {
        let containers = reader.whole("crictl-ps").and_then(shared_json);
        let component = |name: &str| Component::parse(reader, name, api, kubeadm, &containers, now);
        let mut etcd = component("etcd");
        etcd.down = etcd_down(&etcd, api);
        Self {
            api_server: component("kube-apiserver"),
            controller_manager: component("kube-controller-manager"),
            scheduler: component("kube-scheduler"),
            etcd,
        }
    }
}

impl Component {
    fn parse(
        reader: Reader<'_>,
        name: &str,
        api: &Api,
        kubeadm: &Kubeadm,
        containers: &Fact<Arc<Value>>,
        now: Option<i64>,
    ) -> Self {
        let file = format!("{name}.yaml");
        let manifest = kubeadm.manifests.as_ref().map(|files| files.contains(&file));
        let text = reader.each("manifest-image").find(|(path, _)| path.ends_with(&format!("/{file}")));
        let image = text.map_or_else(
            || reader.none_of("manifest-image"),
            |(_, text)| {
                text.and_then(|text| {
                    Fact::from_option(
                        text.lines().find_map(|line| line.trim().strip_prefix("image:")).map(|image| clip(image, 200)),
                    )
                })
            },
        );
        let container = containers.as_ref().and_then(|root| Fact::from_option(newest(root, name)));
        let start = format!("{name}-");
        let pods = api
            .system_pods
            .as_ref()
            .map(|pods| pods.iter().filter(|pod| pod.name.starts_with(&start)).collect::<Vec<_>>());
        let lease = api.leases.as_ref().and_then(|leases| Fact::from_option(leases.get(name)));
        let mut component = Self {
            manifest,
            image,
            running: container.as_ref().map(|container| container.running),
            restarts: container.map(|container| container.restarts),
            reason: pods
                .as_ref()
                .and_then(|pods| Fact::from_option(pods.iter().find_map(|pod| pod.reason.known().cloned()))),
            pods_ready: pods.as_ref().map(|pods| pods.iter().filter(|pod| pod.ready).count() as u64),
            pods: pods.map(|pods| pods.len() as u64),
            leader: lease.as_ref().map(|lease| lease.holder.clone()),
            lease_age: lease.and_then(|lease| lease.renewed.clone()).and_then(|renewed| match now {
                Some(now) => Fact::Known(now.saturating_sub(renewed).max(0)),
                None => Fact::unknown("the node's clock is not known"),
            }),
            down: Fact::Absent,
        };
        component.down = down(&component, api);
        component
    }
}

/// A ready pod or a fresh lease proves it alive. Without both, what the API or the node has of it must say that it is dead.
fn down(component: &Component, api: &Api) -> Fact<bool> {
    match api.answers {
        Fact::Known(true) => {}
        Fact::Absent => return Fact::Absent,
        // Nothing works without the API; what runs here is all that can be told.
        Fact::Known(false) => return own_word(component, "the API server does not answer"),
        Fact::Unknown(ref why) => return own_word(component, why),
    }
    let fresh = component.lease_age.as_ref().map(|age| *age <= LEASE_SECONDS);
    let ready = component.pods_ready.is_known_and(|ready| *ready > 0);
    if ready || fresh.is_true() {
        return Fact::Known(false);
    }
    if fresh.is_false() || component.pods.is_known_and(|pods| *pods > 0) { Fact::Known(true) } else { Fact::Absent }
}

/// Of the container on this node; without a manifest it is no business of this node.
fn own_word(component: &Component, why: &str) -> Fact<bool> {
    match (&component.manifest, &component.running) {
        (Fact::Known(true), Fact::Known(runs)) => Fact::Known(!runs),
        (Fact::Known(false), _) => Fact::Absent,
        _ => Fact::unknown(why),
    }
}

/// The API server looks at etcd by itself; when it is silent, only the container here can tell.
fn etcd_down(etcd: &Component, api: &Api) -> Fact<bool> {
    if api.not_ready.is_known_and(|parts| parts.iter().any(|part| part.starts_with("etcd"))) {
        return Fact::Known(true);
    }
    if api.ready.is_known() {
        return Fact::Known(false);
    }
    if api.answers.is_absent() { Fact::Absent } else { own_word(etcd, "the API server does not say how etcd is") }
}

struct Container {
    running: bool,
    restarts: u64,
}

/// Of the containers of that name the one that was started last.
fn newest(root: &Value, name: &str) -> Option<Container> {
    let containers = root.get("containers")?.as_array()?;
    let named = containers.iter().filter(|item| item.pointer("/metadata/name").and_then(Value::as_str) == Some(name));
    let attempt = |item: &Value| item.pointer("/metadata/attempt").and_then(Value::as_u64).unwrap_or(0);
    let state = |item: &Value| item.get("state").and_then(Value::as_str) == Some("CONTAINER_RUNNING");
    // A running one is the present one, whatever pod an older one with more attempts was of.
    let newest = named.max_by_key(|item| (state(item), attempt(item)))?;
    Some(Container { running: state(newest), restarts: attempt(newest) })
}

#[cfg(test)]
mod tests {
    use super::super::identity::Identity;
    use super::super::packages::Packages;
    use super::super::permissions::Permissions;
    use super::super::read::test_support::{record, record_of, section};
    use super::*;
    use crate::record::Record;

    fn parse(record: &Record) -> ControlPlane {
        let reader = Reader::new(record);
        let permissions = Permissions::parse(reader);
        let kubeadm =
            Kubeadm::parse(reader, &permissions, &Packages::parse(reader), &Identity::parse(reader), Some(1000));
        ControlPlane::parse(reader, &Api::parse(reader, Some(1000)), &kubeadm, Some(1000))
    }

    const VERSION: (&str, &str, &str) = ("api-version", "", "{\"gitVersion\":\"v1.29.15\"}");
    const MANIFESTS: (&str, &str, &str) = (
        "k8s-dir",
        "/etc/kubernetes/manifests",
        "600 0:0 1 1 f\t/etc/kubernetes/manifests/etcd.yaml\n600 0:0 1 1 f\t/etc/kubernetes/manifests/kube-controller-manager.yaml\n",
    );
    const DEAD_POD: &str = "pod=kube-system kube-controller-manager-a\nnode=a\ncontainer=kube-controller-manager 36 false waiting CrashLoopBackOff \"x\"\n";

    #[test]
    fn nobody_leads() {
        let lease = |time: &str| format!("kube-system kube-controller-manager a_1 {time}\n");
        let of = |lease: &str, pods: &str| {
            let record = record(&[VERSION, ("api-leases", "", lease), ("api-pods-system", "", pods)]);
            parse(&record).controller_manager
        };
        let stale = of(&lease("1970-01-01T00:00:00Z"), DEAD_POD);
        assert_eq!((stale.down, stale.lease_age), (Fact::Known(true), Fact::Known(1000)));
        assert_eq!(stale.reason, Fact::Known("CrashLoopBackOff".to_owned()));
        assert_eq!(of(&lease("1970-01-01T00:16:38Z"), DEAD_POD).down, Fact::Known(false), "another one leads");
        assert_eq!(of("", DEAD_POD).down, Fact::Known(true));
        assert_eq!(
            of(&lease("1970-01-01T00:00:00Z"), &DEAD_POD.replace("false waiting", "true running")).down,
            Fact::Known(false)
        );
        assert_eq!(of("", "").down, Fact::Absent, "a control plane whose parts are no pods");
    }

    #[test]
    fn etcd_by_the_api_servers_word_or_its_container() {
        let ready = |text: &str| parse(&record(&[VERSION, ("api-readyz", "", text)])).etcd.down;
        assert_eq!(ready("[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"), Fact::Known(true));
        assert_eq!(ready("[+]etcd ok\nreadyz check passed\n"), Fact::Known(false));
        let containers = r#"{"containers":[{"metadata":{"name":"etcd","attempt":3},"state":"CONTAINER_EXITED"}]}"#;
        let silent = record_of(vec![
            section("api-version", "", 1, "connection refused"),
            section(MANIFESTS.0, MANIFESTS.1, 0, MANIFESTS.2),
            section("crictl-ps", "", 0, containers),
        ]);
        let found = parse(&silent);
        assert_eq!((found.etcd.down, found.etcd.restarts), (Fact::Known(true), Fact::Known(3)));
        assert!(found.controller_manager.down.is_unknown());
    }

    #[test]
    fn images_of_manifests() {
        let found = parse(&record(&[
            MANIFESTS,
            (
                "manifest-image",
                "/etc/kubernetes/manifests/etcd.yaml",
                "- --name=node\nimage: registry.k8s.io/etcd:3.5.16-0\n",
            ),
        ]));
        assert_eq!(found.etcd.image, Fact::Known("registry.k8s.io/etcd:3.5.16-0".to_owned()));
        assert_eq!((found.etcd.manifest, found.scheduler.manifest), (Fact::Known(true), Fact::Known(false)));
    }

    #[test]
    fn a_worker_has_none() {
        assert_eq!(parse(&record(&[])).controller_manager.down, Fact::Absent);
    }
}
