//! The kubelet's files: `/var/lib/kubelet/config.yaml` and its kubeconfigs.

use schemars::JsonSchema;
use serde::Serialize;
use serde_yaml::Value;

use super::Fact;
use super::certs::ca_sha256;
use super::read::{Reader, clip};
use super::yaml::yaml;

/// The fields that checks look at; absent ones have kubelet's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct KubeletConfig {
    /// The file is there.
    pub present: Fact<bool>,
    /// It is YAML of kind `KubeletConfiguration`.
    pub valid: Fact<bool>,
    pub error: Fact<String>,
    pub cgroup_driver: Fact<String>,
    pub cluster_dns: Fact<Vec<String>>,
    pub cluster_domain: Fact<String>,
    pub client_ca_file: Fact<String>,
    pub fail_swap_on: Fact<bool>,
    pub fail_cgroup_v1: Fact<bool>,
    pub static_pod_path: Fact<String>,
    pub resolv_conf: Fact<String>,
    pub rotate_certificates: Fact<bool>,
    pub server_tls_bootstrap: Fact<bool>,
    pub protect_kernel_defaults: Fact<bool>,
    pub container_runtime_endpoint: Fact<String>,
    pub read_only_port: Fact<i64>,
    pub cpu_manager_policy: Fact<String>,
    pub memory_manager_policy: Fact<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Kubeconfig {
    pub server: Fact<String>,
    /// The file of its client certificate; absent when it carries the certificate itself.
    pub client_certificate: Fact<String>,
    /// SHA-256 of the public key of the CA that it trusts.
    pub ca_sha256: Fact<String>,
    pub user: Fact<String>,
}

pub(super) fn kubeconfig(text: &str) -> Fact<Kubeconfig> {
    yaml(text).map(|root| {
        let authority = root
            .get("clusters")
            .and_then(|list| list.get(0)?.get("cluster")?.get("certificate-authority-data")?.as_str());
        let authority = Fact::from_option(authority.map(str::to_owned));
        let first = |list: &str, inner: &str, key: &str| {
            let value = root.get(list).and_then(|list| list.get(0)).and_then(|item| item.get(inner)?.get(key));
            Fact::from_option(value.and_then(Value::as_str).map(|text| clip(text, 300)))
        };
        let user = root.get("users").and_then(|users| users.get(0)?.get("name")?.as_str());
        Kubeconfig {
            server: first("clusters", "cluster", "server"),
            client_certificate: first("users", "user", "client-certificate"),
            ca_sha256: authority.and_then(|data| ca_sha256(&data)),
            user: Fact::from_option(user.map(|user| clip(user, 200))),
        }
    })
}

impl KubeletConfig {
    pub(super) fn parse(reader: Reader<'_>) -> Self {
        let text = reader.whole("kubelet-config");
        let root = text.clone().and_then(yaml);
        let get = |key: &str| root.as_ref().and_then(|root| Fact::from_option(root.get(key)));
        let text_of = |key: &str| get(key).and_then(|value| Fact::from_option(value.as_str().map(str::to_owned)));
        let flag = |key: &str| get(key).and_then(|value| Fact::from_option(value.as_bool()));
        let is_config = |root: &Value| root.get("kind").and_then(Value::as_str) == Some("KubeletConfiguration");
        Self {
            present: match &text {
                Fact::Known(_) => Fact::Known(true),
                Fact::Absent => Fact::Known(false),
                Fact::Unknown(why) => Fact::unknown(why.as_str()),
            },
            valid: text.clone().map(|_| root.is_known_and(|root| is_config(root))),
            error: match (&text, &root) {
                (Fact::Known(_), Fact::Unknown(why)) => Fact::Known(String::clone(why)),
                (Fact::Unknown(why), _) => Fact::unknown(why.as_str()),
                _ => Fact::Absent,
            },
            cgroup_driver: text_of("cgroupDriver"),
            cluster_dns: get("clusterDNS").map(|list| {
                let items = list.as_sequence().map_or(&[][..], Vec::as_slice);
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }),
            cluster_domain: text_of("clusterDomain"),
            client_ca_file: root.as_ref().and_then(|root| {
                let file = root.get("authentication").and_then(|auth| auth.get("x509")?.get("clientCAFile")?.as_str());
                Fact::from_option(file.map(str::to_owned))
            }),
            fail_swap_on: flag("failSwapOn"),
            fail_cgroup_v1: flag("failCgroupV1"),
            static_pod_path: text_of("staticPodPath"),
            resolv_conf: text_of("resolvConf"),
            rotate_certificates: flag("rotateCertificates"),
            server_tls_bootstrap: flag("serverTLSBootstrap"),
            protect_kernel_defaults: flag("protectKernelDefaults"),
            container_runtime_endpoint: text_of("containerRuntimeEndpoint"),
            read_only_port: get("readOnlyPort").and_then(|value| Fact::from_option(value.as_i64())),
            cpu_manager_policy: text_of("cpuManagerPolicy"),
            memory_manager_policy: text_of("memoryManagerPolicy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;
    use crate::record::Record;

    const CONFIG: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: systemd\n\
        clusterDNS:\n- 10.96.0.10\nauthentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\nfailSwapOn: false\n";

    fn parse(record: &Record) -> KubeletConfig {
        KubeletConfig::parse(Reader::new(record))
    }

    #[test]
    fn the_configuration_file_and_its_mistakes() {
        let with = |text: &str| parse(&record(&[("kubelet-config", "", text)]));
        assert_eq!(with(CONFIG).valid, Fact::Known(true));
        assert_eq!(with("kind: Other\n").valid, Fact::Known(false));
        let broken = with("a: [\n");
        assert_eq!((broken.present, broken.valid), (Fact::Known(true), Fact::Known(false)));
        assert!(broken.error.is_known());
        let missing = parse(&record_of(vec![section("kubelet-config", "", 66, "")]));
        assert_eq!((missing.present, missing.valid), (Fact::Known(false), Fact::Absent));
    }

    #[test]
    fn kubeconfigs() {
        let text = "clusters:\n- cluster:\n    server: https://192.168.4.63:6443\n  name: k\nusers:\n- name: default-auth\n  user:\n    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n";
        let found = kubeconfig(text);
        let found = found.known().unwrap();
        assert_eq!(found.server, Fact::Known("https://192.168.4.63:6443".to_owned()));
        assert_eq!(found.ca_sha256, Fact::Absent);
    }
}
