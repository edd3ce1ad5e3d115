//! What a kubelet of the target would refuse.

use schemars::JsonSchema;
use serde::Serialize;

use super::Subject;
use crate::facts::Fact;
use crate::facts::components::{RemovedField, RemovedFlag};
use crate::upgrade::version::Minor;

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Kubelet {
    /// Flags that it does not start with, and that somebody must remove: `--flag in file (gone since 1.35)`.
    pub removed_flags: Fact<Vec<String>>,
    /// Those that `kubeadm upgrade` removes.
    pub flags_kubeadm_removes: Fact<Vec<String>>,
    /// Fields that it does not start with: `field in file (gone since 1.35)`.
    pub fatal_fields: Fact<Vec<String>>,
    /// Fields that it complains of.
    pub ignored_fields: Fact<Vec<String>>,
    /// The node has cgroup v1, and neither version nor configuration allow it.
    pub cgroup_v1_refused: Fact<bool>,
    /// The node has cgroup v1, and only the configuration allows it.
    pub cgroup_v1_excused: Fact<bool>,
}

impl Kubelet {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let Subject { target, policy, own, .. } = subject;
        let flags = |kubeadm_cleans: bool| {
            own.components.removed_flags.as_ref().map(|flags| {
                let gone = |flag: &&RemovedFlag| flag.removed_in_minor <= target.minor.0;
                let found = flags.iter().filter(gone).filter(|flag| flag.kubeadm_cleans == kubeadm_cleans);
                let said = |flag: &RemovedFlag| told(&format!("--{}", flag.flag), &flag.source, flag.removed_in_minor);
                found.map(said).collect()
            })
        };
        let fields = |exits: bool| {
            own.components.removed_fields.as_ref().map(|fields| {
                let gone = |field: &&RemovedField| field.removed_in_minor <= target.minor.0;
                let found = fields.iter().filter(gone).filter(|field| field.exits == exits);
                found.map(|field| told(&field.field, &field.source, field.removed_in_minor)).collect()
            })
        };
        let refused = target.minor >= policy.cgroup_v1.refused_from;
        let cgroup_v1 = own.system.cgroup_version.as_ref().map(|version| *version == 1 && refused);
        // Only what is written counts: the default of the target is not the default of today.
        let excused = own.kubelet.config.fail_cgroup_v1.as_ref().map(|fail| !*fail).or_else(|| Fact::Known(false));
        let with = |wanted: bool| match (&cgroup_v1, &own.kubelet.config.fail_cgroup_v1) {
            (Fact::Known(false), _) => Fact::Known(false),
            (Fact::Known(true), Fact::Unknown(why)) => Fact::unknown(why.as_str()),
            (Fact::Known(true), _) => excused.clone().map(|excused| excused == wanted),
            (other, _) => other.clone(),
        };
        Self {
            removed_flags: flags(false),
            flags_kubeadm_removes: flags(true),
            fatal_fields: fields(true),
            ignored_fields: fields(false),
            cgroup_v1_refused: with(false),
            cgroup_v1_excused: with(true),
        }
    }
}

fn told(what: &str, file: &str, removed_in: u32) -> String {
    format!("{what} in {file} (gone since {})", Minor(removed_in))
}
