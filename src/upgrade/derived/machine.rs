//! What the machine has to have: a kernel, space, certificates that hold, packages that can be got.

use schemars::JsonSchema;
use serde::Serialize;

use super::Subject;
use crate::facts::disk::Space;
use crate::facts::{Fact, NodeFacts};
use crate::upgrade::policy::OtherKernels;
use crate::upgrade::version::Release;

const DAY: i64 = 86_400;
const KIB_PER_GIB: u64 = 1 << 20;
/// The kubelet makes it itself, and nobody checks it.
const SELF_SIGNED: &str = "/var/lib/kubelet/pki/kubelet.crt";

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Machine {
    /// kubeadm of the target refuses the kernel.
    pub kernel_refused: Fact<bool>,
    /// kubeadm of the target warns of it.
    pub kernel_warned: Fact<bool>,
    /// What it takes: `5.4, 5.10, 5.15, 6.0 and later`.
    pub kernels: String,
    /// File systems with too little space: `/ has 2.1 GiB free of 5 GiB needed`.
    pub short_of_space: Fact<Vec<String>>,
    /// Those with less than half of it.
    pub out_of_space: Fact<Vec<String>>,
    /// The certificate that ends first.
    pub certificate: Fact<String>,
    pub certificate_days: Fact<i64>,
    /// It ends before an upgrade should begin.
    pub certificate_ends: Fact<bool>,
    /// It ends soon after.
    pub certificate_ends_soon: Fact<bool>,
}

impl Machine {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let Subject { target, policy, own, .. } = subject;
        let row = policy.kernels(target.minor);
        let kernel = own.identity.kernel.as_ref().and_then(|kernel| {
            Release::read(kernel).map_or_else(|| Fact::unknown(format!("no version: {kernel}")), Fact::Known)
        });
        let other = kernel.and_then(|kernel| match row {
            None => Fact::Absent,
            Some(row) => {
                let taken = kernel >= row.any_from || row.series.iter().any(|series| series.is_of_series(kernel));
                Fact::Known((!taken).then_some(row.others))
            }
        });
        let is = |wanted: OtherKernels| other.clone().map(|other| other == Some(wanted));
        let first = first_to_end(own);
        let days = first.as_ref().map(|(_, seconds)| seconds.div_euclid(DAY));
        let margins = &policy.certificates;
        let (short, out) = space(own, u64::from(policy.headroom.root), u64::from(policy.headroom.images));
        Self {
            kernel_refused: is(OtherKernels::Refused),
            kernel_warned: is(OtherKernels::Warned),
            kernels: row.map_or_else(String::new, |row| {
                let minors = row.series.iter().map(|series| format!("{}.{}, ", series.major, series.minor));
                format!("{}{}.{} and later", minors.collect::<String>(), row.any_from.major, row.any_from.minor)
            }),
            short_of_space: short,
            out_of_space: out,
            certificate: first.map(|(path, _)| path),
            certificate_ends: days.as_ref().map(|days| *days < i64::from(margins.fail_below)),
            certificate_ends_soon: days.as_ref().map(|days| *days < i64::from(margins.warn_below)),
            certificate_days: days,
        }
    }
}

/// Path and seconds left.
fn first_to_end(own: &NodeFacts) -> Fact<(String, i64)> {
    own.certs.list.as_ref().and_then(|list| {
        // The node's clock, as the facts that were measured by it tell it.
        let Some(first) = list.iter().map(|cert| cert.not_after).min() else { return Fact::Absent };
        own.certs.ends_first_in.as_ref().and_then(|left| {
            let now = first.saturating_sub(*left);
            let counted = list.iter().filter(|cert| cert.path != SELF_SIGNED);
            let first = counted.min_by_key(|cert| cert.not_after);
            Fact::from_option(first.map(|cert| (cert.path.clone(), cert.not_after.saturating_sub(now))))
        })
    })
}

/// Where there is too little space, and where there is far too little. One file system for both purposes must hold both.
fn space(own: &NodeFacts, root_gib: u64, images_gib: u64) -> (Fact<Vec<String>>, Fact<Vec<String>>) {
    let root = own.disk.paths.get("/").unwrap_or(&own.disk.var_lib);
    let images = &own.disk.images;
    let shared = root.device.is_known() && root.device == images.device;
    let wanted: &[(&str, &Space, u64)] = if shared {
        &[("/", root, root_gib + images_gib)]
    } else {
        &[("/", root, root_gib), ("the file system of images", images, images_gib)]
    };
    let mut short = Vec::new();
    let mut out = Vec::new();
    for (name, space, gib) in wanted {
        let free = match &space.available_kib {
            Fact::Known(free) => *free,
            Fact::Absent => return (Fact::Absent, Fact::Absent),
            Fact::Unknown(why) => return (Fact::unknown(why.as_str()), Fact::unknown(why.as_str())),
        };
        let needed = gib.saturating_mul(KIB_PER_GIB);
        let tenths = free.saturating_mul(10) / KIB_PER_GIB;
        let said = format!("{name} has {}.{} GiB free of {gib} GiB needed", tenths / 10, tenths % 10);
        if free < needed / 2 {
            out.push(said.clone());
        }
        if free < needed {
            short.push(said);
        }
    }
    (Fact::Known(short), Fact::Known(out))
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Packages {
    /// Of kubelet, kubeadm and kubectl, those installed as packages that nothing holds at their version.
    pub unheld: Fact<Vec<String>>,
    /// Minors of the package repositories of Kubernetes: `1.34`.
    pub channels: Fact<Vec<String>>,
    /// There are such repositories, and none is the target's.
    pub channel_missing: Fact<bool>,
    /// Repositories that get no new versions, where none is the target's.
    pub frozen: Fact<Vec<String>>,
}

impl Packages {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let Subject { target, policy, own, .. } = subject;
        let packages = &own.packages;
        let unheld = packages.versions.as_ref().and_then(|versions| {
            packages.held.as_ref().map(|held| {
                let names = ["kubelet", "kubeadm", "kubectl"].into_iter().filter(|name| versions.contains_key(*name));
                // A version lock writes `kubelet-0:1.29.15-1.1.*`.
                let is_held = |name: &&str| {
                    held.iter().any(|entry| {
                        entry
                            .strip_prefix(name)
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '*', ' ']))
                    })
                };
                names.filter(|name| !is_held(name)).map(str::to_owned).collect::<Vec<_>>()
            })
        });
        let channels = packages.repositories.as_ref().map(|lines| {
            let mut channels: Vec<String> = lines.iter().filter_map(|line| channel(line)).collect();
            channels.sort();
            channels.dedup();
            channels
        });
        let wanted = target.minor.to_string();
        let missing = channels.as_ref().map(|channels| !channels.is_empty() && !channels.contains(&wanted));
        Self {
            unheld,
            frozen: packages.repositories.as_ref().map(|lines| {
                let has = |host: &str| lines.iter().any(|line| line.contains(host));
                let frozen = policy.frozen_repositories.iter().map(|row| row.host.clone()).filter(|host| has(host));
                if channels.is_known_and(|channels| channels.contains(&wanted)) { Vec::new() } else { frozen.collect() }
            }),
            channels,
            channel_missing: missing,
        }
    }
}

/// `1.34` of a line with `.../core:/stable:/v1.34/deb/`.
fn channel(line: &str) -> Option<String> {
    let (_, after) = line.split_once("/stable:/v")?;
    let release = Release::read(after.split('/').next()?)?;
    Some(format!("{}.{}", release.major, release.minor))
}
