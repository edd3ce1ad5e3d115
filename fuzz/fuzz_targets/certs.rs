//! Certificates. The input is the DER, so that its lengths and tags are what is mutated, and not their base64.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use seaworthy_fuzz::section;

fuzz_target!(|data: &[u8]| {
    let text = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(data));
    let kubeconfig = format!("users:\n- name: a\n  user:\n    client-certificate-data: {}\n", STANDARD.encode(&text));
    let sections = vec![
        section("cert", Some("/etc/kubernetes/pki/ca.crt"), text),
        section("kubeconfig", Some("/etc/kubernetes/kubelet.conf"), kubeconfig),
    ];
    let facts = seaworthy::facts::parse(&seaworthy_fuzz::record("node1", sections));
    serde_json::to_string(&facts).expect("facts are JSON");
});
