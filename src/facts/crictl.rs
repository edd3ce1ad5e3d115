//! What the running CRI says of itself: `crictl info`.
//!
//! Only the parts that are the same from containerd 1.6 to 2.x are relied on; `.config` is a bonus of 1.x.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Fact;
use super::memo::Memo;
use super::read::{Reader, clip};

const UNSAID: &str = "crictl info does not say";

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Cri {
    /// `crictl` got an answer from the runtime.
    pub answers: Fact<bool>,
    /// Why not.
    pub error: Fact<String>,
    /// The socket answers and does not know the CRI: the plugin is disabled or failed to start.
    pub unimplemented: Fact<bool>,
    pub runtime_ready: Fact<bool>,
    pub network_ready: Fact<bool>,
    /// The condition's message.
    pub network_message: Fact<String>,
    /// `lastCNILoadStatus`: `OK`, or why nothing could be loaded.
    pub cni_load_status: Fact<String>,
    /// Names of the loaded networks; `cni-loopback` is always there and left out.
    pub networks: Fact<Vec<String>>,
    /// Types of the plugins of the first loaded network.
    pub network_plugins: Fact<Vec<String>>,
    pub cni_bin_dirs: Fact<Vec<String>>,
    pub cni_conf_dir: Fact<String>,
    pub cni_max_conf_num: Fact<u32>,
    /// `SystemdCgroup` that the daemon runs with, of the default runtime.
    pub systemd_cgroup: Fact<bool>,
    pub sandbox_image: Fact<String>,
    pub snapshotter: Fact<String>,
}

impl Cri {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let section = reader.sections("crictl-info").next();
        let failed = section.filter(|section| !matches!(section.rc, 0 | 66 | 77 | 124 | 127));
        let error = failed.map(|section| {
            let line = section.text.lines().map(str::trim).rfind(|line| !line.is_empty());
            clip(line.unwrap_or("no reason given"), 400)
        });
        let info = reader.whole("crictl-info").and_then(shared_json);
        let get = |pointer: &str| {
            info.as_ref().and_then(|info| Fact::from_option(info.pointer(pointer).filter(|value| !value.is_null())))
        };
        let text = |pointer: &str| get(pointer).and_then(|value| Fact::from_option(value.as_str().map(str::to_owned)));
        let condition = |kind: &str| {
            info.as_ref().and_then(|info| {
                let conditions = info.pointer("/status/conditions").and_then(Value::as_array);
                Fact::from_option(conditions.and_then(|list| {
                    list.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
                }))
            })
        };
        let ready = |kind| condition(kind).and_then(|c| Fact::from_option(c.get("status").and_then(Value::as_bool)));
        // containerd 2.x leaves these out: that is no answer, and another source may know.
        let said = |fact: Fact<String>| if fact.is_absent() { Fact::unknown(UNSAID) } else { fact };
        let runtime = text("/config/containerd/defaultRuntimeName");
        let runtime = runtime.known().cloned().unwrap_or_else(|| "runc".to_owned());
        let networks = get("/cniconfig/Networks").map(loaded);
        Self {
            answers: match (&info, &error) {
                (Fact::Known(_), _) => Fact::Known(true),
                (_, Some(_)) => Fact::Known(false),
                (Fact::Absent, None) => Fact::Absent,
                (Fact::Unknown(why), None) => Fact::unknown(why.as_str()),
            },
            unimplemented: match (&info, &error) {
                (Fact::Known(_), _) => Fact::Known(false),
                (_, Some(error)) => {
                    Fact::Known(error.contains("Unimplemented") || error.contains("unknown service runtime"))
                }
                (_, None) => info.as_ref().map(|_| false),
            },
            error: match (&info, error) {
                (_, Some(error)) => Fact::Known(error),
                (Fact::Known(_) | Fact::Absent, None) => Fact::Absent,
                (Fact::Unknown(why), None) => Fact::unknown(why.as_str()),
            },
            runtime_ready: ready("RuntimeReady"),
            network_ready: ready("NetworkReady"),
            network_message: condition("NetworkReady").and_then(|condition| {
                let message = condition.get("message").and_then(Value::as_str);
                Fact::from_option(message.filter(|message| !message.is_empty()).map(|message| clip(message, 400)))
            }),
            cni_load_status: text("/lastCNILoadStatus").map(|status| clip(&status, 400)),
            network_plugins: networks
                .as_ref()
                .and_then(|networks| Fact::from_option(networks.first().map(|(_, plugins)| plugins.clone()))),
            networks: networks.map(|networks| networks.into_iter().map(|(name, _)| name).collect()),
            cni_bin_dirs: get("/cniconfig/PluginDirs").map(strings),
            cni_conf_dir: text("/cniconfig/PluginConfDir"),
            cni_max_conf_num: get("/cniconfig/PluginMaxConfNum")
                .and_then(|number| Fact::from_option(number.as_u64().and_then(|number| u32::try_from(number).ok()))),
            systemd_cgroup: info.as_ref().and_then(|info| {
                let options = info
                    .pointer("/config/containerd/runtimes")
                    .and_then(|runtimes| runtimes.get(&runtime)?.get("options")?.get("SystemdCgroup")?.as_bool());
                options.map_or_else(|| Fact::unknown(UNSAID), Fact::Known)
            }),
            sandbox_image: said(text("/config/sandboxImage")),
            snapshotter: said(text("/config/containerd/snapshotter")),
        }
    }
}

/// [`json`] of a text that other nodes send, too, or that several facts come from.
pub(crate) fn shared_json(text: &str) -> Fact<Arc<Value>> {
    static KNOWN: Memo<Fact<Arc<Value>>> = Memo::new();
    Fact::clone(&KNOWN.get(text, |text| json(text).map(Arc::new)))
}

/// JSON, or why it is none; warnings that crictl prints before it are skipped.
pub(crate) fn json(text: &str) -> Fact<Value> {
    let start = if text.starts_with(['{', '[']) { 0 } else { text.find("\n{").or(text.find("\n[")).unwrap_or(0) };
    match serde_json::from_str(&text[start..]) {
        Ok(value) => Fact::Known(value),
        Err(error) => Fact::unknown(format!("no valid JSON: {error}")),
    }
}

fn loaded(networks: &Value) -> Vec<(String, Vec<String>)> {
    let list = networks.as_array().map_or(&[][..], Vec::as_slice);
    let named = list.iter().filter_map(|network| {
        let name = network.pointer("/Config/Name")?.as_str()?;
        let plugins = network.pointer("/Config/Plugins").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let types = plugins.iter().filter_map(|plugin| plugin.pointer("/Network/type")?.as_str());
        (name != "cni-loopback").then(|| (name.to_owned(), types.map(str::to_owned).collect()))
    });
    named.collect()
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;

    const NOT_READY: &str = r#"WARN[0000] runtime connect using default endpoints
{"status":{"conditions":[{"type":"RuntimeReady","status":true,"message":""},
        {"type":"NetworkReady","status":false,"message":"Network plugin returns error: cni plugin not initialized"},
        {"type":"ContainerdHasNoDeprecationWarnings","status":false}]},
        "cniconfig":{"PluginDirs":["/opt/cni/bin"],"PluginConfDir":"/etc/cni/net.d","PluginMaxConfNum":1,
        "Networks":[{"Config":{"Name":"cni-loopback","Plugins":[]},"IFName":"lo"},
                    {"Config":{"Name":"cbr0","Plugins":[{"Network":{"type":"flannel"}},{"Network":{"type":"portmap"}}]}}]},
        "config":{"systemdCgroup":false,"sandboxImage":"registry.k8s.io/pause:3.6","containerd":{"defaultRuntimeName":"runc",
        "runtimes":{"runc":{"options":{"SystemdCgroup":true}}}}},
        "lastCNILoadStatus":"cni config load failed: no network config found in /etc/cni/net.d"}"#;

    #[test]
    fn conditions_networks_and_the_running_cgroup_driver() {
        let cri = Cri::parse(Reader::new(&record(&[("crictl-info", "", NOT_READY)])));
        assert_eq!(
            (cri.answers, cri.runtime_ready, cri.network_ready),
            (Fact::Known(true), Fact::Known(true), Fact::Known(false))
        );
        assert_eq!(cri.networks, Fact::Known(vec!["cbr0".to_owned()]));
        assert_eq!(cri.network_plugins, Fact::Known(vec!["flannel".to_owned(), "portmap".to_owned()]));
        assert_eq!(cri.systemd_cgroup, Fact::Known(true), "the deprecated top-level field must not be taken for it");
        assert!(cri.cni_load_status.is_known_and(|status| status.contains("no network config found")));
        assert_eq!(cri.error, Fact::Absent);
    }

    #[test]
    fn a_disabled_plugin_is_an_answer() {
        let text = "E0910 rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService\n";
        let cri = Cri::parse(Reader::new(&record_of(vec![section("crictl-info", "", 1, text)])));
        assert_eq!((cri.answers, cri.unimplemented), (Fact::Known(false), Fact::Known(true)));
        assert!(cri.network_ready.is_unknown());
    }

    #[test]
    fn no_crictl_is_no_answer_either_way() {
        let cri = Cri::parse(Reader::new(&record_of(vec![section("crictl-info", "", 127, "")])));
        assert_eq!(cri.answers, Fact::unknown("crictl is not installed"));
        assert!(cri.unimplemented.is_unknown() && cri.error.is_unknown());
    }

    #[test]
    fn containerd_2_has_no_config_to_show() {
        let text = r#"{"status":{"conditions":[{"type":"NetworkReady","status":true}]},"cniconfig":{"Networks":[]},"lastCNILoadStatus":"OK"}"#;
        let cri = Cri::parse(Reader::new(&record(&[("crictl-info", "", text)])));
        assert_eq!((cri.systemd_cgroup, cri.network_ready), (Fact::unknown(UNSAID), Fact::Known(true)));
    }
}
