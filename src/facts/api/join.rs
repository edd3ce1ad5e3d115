//! What a join needs of the control plane: somebody who leads, bindings, and signatures.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::epoch;
use crate::facts::Fact;
use crate::facts::blocks::blocks;
use crate::facts::read::clip;

/// Who leads, and when it last said so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Lease {
    pub holder: String,
    /// Seconds since 1970.
    pub renewed: Fact<i64>,
}

/// Requests of joining nodes are approved within a second; younger ones than this are not judged.
const PATIENCE: i64 = 60;

/// `NAMESPACE NAME HOLDER TIME`
pub(super) fn leases(text: &str) -> BTreeMap<String, Lease> {
    let lease = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, name, holder, time] = words[..] else { return None };
        Some((clip(name, 100), Lease { holder: clip(holder, 200), renewed: epoch(time) }))
    };
    text.lines().filter_map(lease).collect()
}

/// The bindings that `kubeadm init phase bootstrap-token` and `upload-config` make; each joining node needs all of them.
const NEEDED: [&str; 5] = [
    "kubeadm:bootstrap-signer-clusterinfo",
    "kubeadm:kubelet-bootstrap",
    "kubeadm:kubelet-config",
    "kubeadm:node-autoapprove-bootstrap",
    "kubeadm:nodes-kubeadm-config",
];

/// `KIND NAMESPACE NAME`, only kubeadm's.
pub(super) fn missing_bindings(text: &str) -> Fact<Vec<String>> {
    let found: Vec<&str> = text.lines().filter_map(|line| line.split_ascii_whitespace().nth(2)).collect();
    if !found.iter().any(|name| name.starts_with("kubeadm:")) {
        return Fact::Absent;
    }
    // Before 1.24 the name carries the version: `kubeadm:kubelet-config-1.20`.
    let has = |needed: &str| {
        found.iter().any(|name| name.strip_prefix(needed).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
    };
    Fact::Known(NEEDED.iter().filter(|needed| !has(needed)).map(|needed| (*needed).to_owned()).collect())
}

/// Requests of bootstrap tokens that are denied, or that wait.
pub(super) fn refused(text: &str, now: Option<i64>) -> Vec<String> {
    let requests = blocks(text, "csr", false);
    let of_tokens =
        requests.iter().filter(|csr| csr.get("user").is_some_and(|user| user.starts_with("system:bootstrap:")));
    let refused = of_tokens.filter_map(|csr| {
        let name = csr.get("csr")?;
        let denied =
            csr.all("condition").any(|condition| condition.starts_with("Denied") || condition.starts_with("Failed"));
        let created = csr.get("created").map_or_else(Fact::default, epoch);
        let old = now.is_some_and(|now| created.is_known_and(|created| now.saturating_sub(*created) > PATIENCE));
        let waits = csr.get("condition").is_none();
        (denied || (waits && old)).then(|| format!("{} {}", clip(name, 100), if denied { "denied" } else { "pending" }))
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_and_their_age() {
        let leases = leases("kube-system kube-scheduler a_1 1970-01-01T00:16:40.123456Z\nbroken line\n");
        assert_eq!(leases["kube-scheduler"], Lease { holder: "a_1".to_owned(), renewed: Fact::Known(1000) });
        assert_eq!(leases.len(), 1);
    }

    #[test]
    fn bindings_of_old_and_new_clusters() {
        let old = "ClusterRoleBinding - kubeadm:kubelet-bootstrap\nClusterRoleBinding - kubeadm:node-autoapprove-bootstrap\n\
                   RoleBinding kube-public kubeadm:bootstrap-signer-clusterinfo\nRoleBinding kube-system kubeadm:kubelet-config-1.20\n\
                   RoleBinding kube-system kubeadm:nodes-kubeadm-config\n";
        assert_eq!(missing_bindings(old), Fact::Known(vec![]));
        let hardened = old.replace("kubeadm:bootstrap-signer-clusterinfo", "x");
        assert_eq!(missing_bindings(&hardened), Fact::Known(vec!["kubeadm:bootstrap-signer-clusterinfo".to_owned()]));
        assert_eq!(missing_bindings(""), Fact::Absent);
    }

    #[test]
    fn requests_that_nobody_signs() {
        let text = "csr=old\ncreated=1970-01-01T00:00:00Z\nuser=system:bootstrap:abcdef\n\
                    csr=young\ncreated=1970-01-01T00:16:30Z\nuser=system:bootstrap:abcdef\n\
                    csr=node\ncreated=1970-01-01T00:00:00Z\nuser=system:node:a\n\
                    csr=no\ncreated=1970-01-01T00:16:30Z\nuser=system:bootstrap:abcdef\ncondition=Denied X\n\
                    csr=yes\nuser=system:bootstrap:abcdef\ncondition=Approved AutoApproved\n";
        assert_eq!(refused(text, Some(1000)), ["old pending", "no denied"]);
        assert_eq!(refused(text, None), ["no denied"]);
    }
}
