//! Where a node stands in its life.

use crate::facts::cluster::Member;
use crate::facts::unit::UnitState;
use crate::facts::{Fact, NodeFacts};
use crate::verdict::Phase;

/// The API's word comes first, then the node's own evidence. `None` when neither could be read.
///
/// Two things override the API: a Node object that is not ready and whose machine has no kubelet identity any more is a
/// leftover of a reset, and one of the same name that another machine registered is not this node.
pub fn phase(facts: &NodeFacts, member: &Member) -> Option<Phase> {
    if facts.identity.control_plane.is_true() {
        return Some(Phase::ControlPlane);
    }
    if member.name_taken.is_known() {
        return by_what_is_there(facts);
    }
    let ready_by_api = member.node.as_ref().and_then(|node| node.ready.clone());
    if ready_by_api.is_true() {
        return Some(Phase::Ready);
    }
    let identity = &facts.kubeadm.kubelet_conf;
    let join_runs = facts.kubeadm.running.is_true() && facts.kubeadm.bootstrap_conf.is_true();
    if !identity.is_false() && member.node.is_known() && !join_runs {
        return Some(Phase::JoinedNotReady);
    }
    if identity.is_true() && !join_runs {
        return if member.node.is_absent() { Some(Phase::JoinedNotReady) } else { by_own_evidence(facts) };
    }
    by_what_is_there(facts)
}

/// Of a node without an identity, or where nobody could look for one.
fn by_what_is_there(facts: &NodeFacts) -> Option<Phase> {
    let identity = &facts.kubeadm.kubelet_conf;
    if facts.kubeadm.running.is_true() || facts.kubeadm.bootstrap_conf.is_true() {
        return Some(Phase::Joining);
    }
    if identity.is_unknown() {
        return by_command_line(facts);
    }
    match has_kubelet(facts) {
        Fact::Known(true) => Some(Phase::Prepared),
        Fact::Known(false) => Some(Phase::Unprepared),
        Fact::Absent | Fact::Unknown(_) => None,
    }
}

/// Of a node with an identity that no API was asked about.
fn by_own_evidence(facts: &NodeFacts) -> Option<Phase> {
    if facts.kubelet.running.is_false() || facts.kubelet.standalone.is_true() {
        return Some(Phase::JoinedNotReady);
    }
    match (facts.kubelet.running.is_true(), &facts.containerd.cri.network_ready) {
        (true, Fact::Known(true)) => Some(Phase::Ready),
        (_, Fact::Known(false)) => Some(Phase::JoinedNotReady),
        // Nothing says that it is not ready, and nothing that it is.
        _ => None,
    }
}

/// Without the right to look into `/etc/kubernetes`, a kubelet's command line still tells a bare node from a joined one.
fn by_command_line(facts: &NodeFacts) -> Option<Phase> {
    match facts.kubelet.standalone {
        Fact::Known(true) => Some(Phase::Prepared),
        Fact::Known(false) => by_own_evidence(facts),
        Fact::Absent | Fact::Unknown(_) if has_kubelet(facts).is_false() => Some(Phase::Unprepared),
        Fact::Absent | Fact::Unknown(_) => None,
    }
}

fn has_kubelet(facts: &NodeFacts) -> Fact<bool> {
    let unit = facts.kubelet.unit.state.as_ref().map(|state| *state != UnitState::NotFound);
    if unit.is_true() || facts.kubelet.installed.is_true() || facts.kubelet.running.is_true() {
        return Fact::Known(true);
    }
    if unit.is_unknown() { facts.kubelet.installed.clone() } else { unit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::api::ApiNode;

    struct Node {
        facts: NodeFacts,
        member: Member,
    }

    fn node() -> Node {
        let mut facts = NodeFacts::default();
        facts.identity.control_plane = Fact::Known(false);
        facts.kubeadm.kubelet_conf = Fact::Known(false);
        facts.kubeadm.bootstrap_conf = Fact::Known(false);
        facts.kubeadm.running = Fact::Known(false);
        facts.kubelet.unit.state = Fact::Known(UnitState::Restarting);
        facts.kubelet.running = Fact::Known(false);
        facts.kubelet.standalone = Fact::Absent;
        Node { facts, member: Member::default() }
    }

    impl Node {
        fn with(mut self, change: impl FnOnce(&mut Self)) -> Option<Phase> {
            change(&mut self);
            phase(&self.facts, &self.member)
        }

        fn joined(mut self) -> Self {
            self.facts.kubeadm.kubelet_conf = Fact::Known(true);
            self.facts.kubelet.running = Fact::Known(true);
            self.facts.kubelet.standalone = Fact::Known(false);
            self
        }

        fn api(&mut self, ready: bool) {
            self.member.node = Fact::Known(ApiNode { ready: Fact::Known(ready), ..ApiNode::default() });
        }
    }

    #[test]
    fn before_a_join() {
        assert_eq!(node().with(|_| ()), Some(Phase::Prepared));
        assert_eq!(
            node().with(|n| n.facts.kubelet.unit.state = Fact::Known(UnitState::NotFound)),
            Some(Phase::Unprepared)
        );
        assert_eq!(node().with(|n| n.facts.kubeadm.bootstrap_conf = Fact::Known(true)), Some(Phase::Joining));
        assert_eq!(node().with(|n| n.facts.kubeadm.running = Fact::Known(true)), Some(Phase::Joining));
        assert_eq!(node().with(|n| n.facts.kubelet.standalone = Fact::Known(true)), Some(Phase::Prepared));
    }

    #[test]
    fn after_a_join_by_the_nodes_own_evidence() {
        let ready = |ready| node().joined().with(|n| n.facts.containerd.cri.network_ready = ready);
        assert_eq!(ready(Fact::Known(true)), Some(Phase::Ready));
        assert_eq!(ready(Fact::Known(false)), Some(Phase::JoinedNotReady));
        assert_eq!(ready(Fact::default()), None);
        let down = node().joined().with(|n| {
            n.facts.kubelet.running = Fact::Known(false);
            n.facts.containerd.cri.network_ready = Fact::Known(true);
        });
        assert_eq!(down, Some(Phase::JoinedNotReady));
    }

    #[test]
    fn the_api_has_the_first_word() {
        assert_eq!(node().joined().with(|n| n.api(true)), Some(Phase::Ready));
        let contradicted = node().joined().with(|n| {
            n.facts.containerd.cri.network_ready = Fact::Known(true);
            n.api(false);
        });
        assert_eq!(contradicted, Some(Phase::JoinedNotReady));
        let no_node = node().joined().with(|n| {
            n.facts.containerd.cri.network_ready = Fact::Known(true);
            n.member.node = Fact::Absent;
        });
        assert_eq!(no_node, Some(Phase::JoinedNotReady));
    }

    #[test]
    fn a_node_object_left_over_from_before_a_reset_does_not_make_a_node_joined() {
        assert_eq!(node().with(|n| n.api(false)), Some(Phase::Prepared));
    }

    #[test]
    fn another_machines_node_object_of_the_same_name_is_not_this_node() {
        let taken = node().with(|n| {
            n.api(true);
            n.member.name_taken = Fact::Known("masternode".to_owned());
        });
        assert_eq!(taken, Some(Phase::Prepared));
    }

    #[test]
    fn the_end_of_a_join_is_still_joining() {
        let ending = node().joined().with(|n| {
            n.facts.kubeadm.running = Fact::Known(true);
            n.facts.kubeadm.bootstrap_conf = Fact::Known(true);
        });
        assert_eq!(ending, Some(Phase::Joining));
    }

    #[test]
    fn a_control_plane_and_a_node_that_said_nothing() {
        assert_eq!(node().with(|n| n.facts.identity.control_plane = Fact::Known(true)), Some(Phase::ControlPlane));
        assert_eq!(phase(&NodeFacts::default(), &Member::default()), None);
    }
}
