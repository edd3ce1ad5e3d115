//! Phase, area cells and verdict of one node.
//!
//! Judges only what is plainly bad, so that the table is useful before there are checks; it is small on purpose, and
//! meant to be replaced by findings of checks and their causes. What is normal in a node's phase is *expected* and no
//! fault; what could not be read is *unknown* and never a pass. Knows facts, not sections; prints nothing.

mod cell;
mod host;
mod kube;
mod phase;

use crate::facts::NodeFacts;
use crate::facts::cluster::{ClusterView, Member};
use crate::failure::{Failure, Layer};
use crate::record::Record;
use crate::target::Role;
use crate::verdict::{Area, AreaCell, Phase, Verdict};

pub use phase::phase;

/// What one node amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// What the inventory's groups and the node itself say; both roles when they contradict each other.
    pub roles: Vec<Role>,
    /// `None` when too little could be read to tell.
    pub phase: Option<Phase>,
    /// One cell per area, in the table's order; empty when nothing was read.
    pub areas: Vec<AreaCell>,
    pub verdict: Verdict,
    /// The verdict column's words.
    pub summary: String,
}

/// What the judges of the areas look at.
struct Context<'a> {
    facts: &'a NodeFacts,
    member: &'a Member,
    phase: Option<Phase>,
    /// The node has an identity in a cluster. `None` when that could not be read.
    joined: Option<bool>,
}

impl Context<'_> {
    fn is_joined(&self) -> bool {
        self.joined == Some(true)
    }

    /// The phase before anything of Kubernetes is on the node: most areas do not apply.
    fn is_unprepared(&self) -> bool {
        self.phase == Some(Phase::Unprepared)
    }
}

/// The areas from the lowest layer up: of two equal faults, the lower one is the likelier cause.
const LAYERS: [Area; 10] = [
    Area::Mounts,
    Area::Disk,
    Area::Permissions,
    Area::Kernel,
    Area::Time,
    Area::Nfs,
    Area::Containerd,
    Area::Kubelet,
    Area::Cni,
    Area::Api,
];

/// The areas without which a node cannot be judged.
const DECISIVE: [Area; 4] = [Area::Mounts, Area::Disk, Area::Containerd, Area::Kubelet];

/// Judges one record. `facts` are this record's, `cluster` is made from the facts of all records of the run.
pub fn assess(record: &Record, facts: &NodeFacts, cluster: &ClusterView) -> Assessment {
    let unmatched = Member::default();
    let member = cluster.members.get(&record.name).unwrap_or(&unmatched);
    let roles = roles(record.role, facts);
    let read = record.probe.as_ref().is_some_and(|capture| !capture.sections.is_empty());
    if !read {
        let summary = record.failure.as_ref().map_or_else(|| "nothing could be read".to_owned(), failed);
        return Assessment { roles, phase: None, areas: Vec::new(), verdict: Verdict::Unknown, summary };
    }
    let phase = phase(facts, member);
    let context = Context { facts, member, phase, joined: joined(facts, phase) };
    let areas: Vec<AreaCell> = Area::ALL.into_iter().map(|area| judge(area, &context)).collect();
    let verdict = match verdict(&areas) {
        // What was read is fine, but not everything was.
        Verdict::Pass if record.failure.is_some() => Verdict::Unknown,
        verdict => verdict,
    };
    let summary = match &record.failure {
        Some(failure) => failed(failure),
        None => summary(&areas, verdict),
    };
    Assessment { roles, phase, areas, verdict, summary }
}

fn judge(area: Area, context: &Context<'_>) -> AreaCell {
    match area {
        Area::Mounts => host::mounts(context),
        Area::Disk => host::disk(context),
        Area::Permissions => host::permissions(context),
        Area::Containerd => kube::containerd(context),
        Area::Cni => kube::cni(context),
        Area::Nfs => host::nfs(context),
        Area::Kubelet => kube::kubelet(context),
        Area::Kernel => host::kernel(context),
        Area::Time => host::time(context),
        Area::Api => kube::api(context),
    }
}

fn roles(inventory: Option<Role>, facts: &NodeFacts) -> Vec<Role> {
    let found = match (facts.identity.control_plane.known(), inventory) {
        (Some(true), _) => Some(Role::ControlPlane),
        // A control plane that was not initialised yet has nothing to show for it.
        (Some(false), None) => Some(Role::Worker),
        (Some(false), Some(_)) | (None, _) => None,
    };
    let mut roles: Vec<Role> = inventory.into_iter().chain(found).collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn joined(facts: &NodeFacts, phase: Option<Phase>) -> Option<bool> {
    match phase {
        Some(Phase::JoinedNotReady | Phase::Ready | Phase::ControlPlane) => Some(true),
        Some(Phase::Unprepared | Phase::Prepared | Phase::Joining) => Some(false),
        None => facts.kubeadm.kubelet_conf.known().copied(),
    }
}

/// The worst of the cells. Cells that could not be read do not count, unless that leaves nothing to judge by.
fn verdict(areas: &[AreaCell]) -> Verdict {
    let has = |verdict| areas.iter().any(|cell| cell.verdict == verdict);
    if has(Verdict::Fail) {
        return Verdict::Fail;
    }
    if has(Verdict::Warn) {
        return Verdict::Warn;
    }
    let decisive = areas.iter().filter(|cell| DECISIVE.contains(&cell.area));
    if decisive.into_iter().all(|cell| cell.verdict == Verdict::Unknown) { Verdict::Unknown } else { Verdict::Pass }
}

/// `ok`, or the lowest of the worst reasons up to its colon, and how many more of the same weight there are.
fn summary(areas: &[AreaCell], verdict: Verdict) -> String {
    match verdict {
        Verdict::Fail | Verdict::Warn => {}
        Verdict::Unknown => return "too little could be read".to_owned(),
        Verdict::Pass | Verdict::Expected | Verdict::NotApplicable => return "ok".to_owned(),
    }
    let cell_of = |area: &Area| areas.iter().find(|cell| cell.area == *area && cell.verdict == verdict);
    let mut reasons = LAYERS.iter().filter_map(cell_of).flat_map(|cell| cell.reasons.iter());
    let Some(first) = reasons.next() else { return "not ok".to_owned() };
    let headline = first.split(": ").next().unwrap_or(first);
    match reasons.count() {
        0 => headline.to_owned(),
        more => format!("{headline}, +{more} more"),
    }
}

/// A failure in the verdict column, beginning with what it means for the user.
fn failed(failure: &Failure) -> String {
    let what = match failure.layer {
        Layer::Settings => "not tried",
        Layer::Dns | Layer::Tcp | Layer::Banner | Layer::Kex => "unreachable",
        Layer::HostKey => "not trusted",
        Layer::Auth | Layer::Channel | Layer::Sudo => "no access",
        Layer::Exec => "not read to the end",
        Layer::Run => "not done",
    };
    format!("{what}: {}", failure.kind.brief())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Fact;
    use crate::failure::FailureKind;

    fn cell(area: Area, verdict: Verdict, reasons: &[&str]) -> AreaCell {
        let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        AreaCell { area, verdict, text: String::new(), reasons }
    }

    #[test]
    fn the_worst_cell_decides_and_the_lowest_layer_speaks() {
        let areas = [
            cell(Area::Mounts, Verdict::Warn, &["a mount of fstab is missing: /srv"]),
            cell(Area::Cni, Verdict::Fail, &["no CNI config: /etc/cni/net.d is empty"]),
            cell(Area::Kubelet, Verdict::Fail, &["the kubelet is down: x", "it is not enabled"]),
        ];
        assert_eq!(verdict(&areas), Verdict::Fail);
        assert_eq!(summary(&areas, Verdict::Fail), "the kubelet is down, +2 more");
    }

    #[test]
    fn unknown_cells_do_not_count_until_nothing_else_is_left() {
        let unread = |area| cell(area, Verdict::Unknown, &["permission denied"]);
        let mut areas = vec![unread(Area::Mounts), unread(Area::Disk), unread(Area::Containerd), unread(Area::Kubelet)];
        areas.push(cell(Area::Time, Verdict::Pass, &[]));
        assert_eq!(verdict(&areas), Verdict::Unknown);
        areas[1] = cell(Area::Disk, Verdict::Pass, &[]);
        assert_eq!(verdict(&areas), Verdict::Pass);
        areas[0] = cell(Area::Mounts, Verdict::Warn, &["x"]);
        assert_eq!(verdict(&areas), Verdict::Warn);
    }

    #[test]
    fn failures_say_what_they_mean() {
        let said = |kind| failed(&Failure::new(kind, "why", "do this"));
        assert_eq!(said(FailureKind::NoRoute), "unreachable: no route to host");
        assert_eq!(said(FailureKind::HostKeyChanged), "not trusted: host key changed");
        assert_eq!(said(FailureKind::SudoPassword), "no access: sudo password missing or wrong");
        assert_eq!(said(FailureKind::ExecTimeout), "not read to the end: timed out");
    }

    #[test]
    fn roles_of_inventory_and_probe() {
        let with = |control_plane| {
            let mut facts = NodeFacts::default();
            facts.identity.control_plane = control_plane;
            facts
        };
        let control = with(Fact::Known(true));
        let worker = with(Fact::Known(false));
        let unread = with(Fact::default());
        assert_eq!(roles(None, &control), [Role::ControlPlane]);
        assert_eq!(roles(Some(Role::Worker), &control), [Role::ControlPlane, Role::Worker]);
        assert_eq!(roles(None, &worker), [Role::Worker]);
        assert_eq!(roles(Some(Role::ControlPlane), &worker), [Role::ControlPlane]);
        assert_eq!(roles(None, &unread), []);
    }
}
