//! Twenty nodes, one of which never answers.

use std::fmt::Write as _;

use crate::harness::fleet;

/// `crowd1` to `crowd19` are plain; the login shell of `crowd20` never runs what it is given.
pub(crate) fn nodes() -> String {
    let mut list = String::new();
    for n in 1..=19 {
        let _ = writeln!(list, "crowd{n} {} plain", 100 + n);
    }
    list + "crowd20 120 hung-shell\n"
}

#[test]
fn one_hung_node_of_twenty_costs_its_own_deadline_and_nothing_else() {
    let Some(fleet) = fleet() else { return };
    let swept = fleet.sweep_alone("crowd*", &["--timeout", "15s", "--connect-timeout", "4s"]);

    assert_eq!(swept.nodes().len(), 20);
    assert_eq!(swept.node("crowd20").failure(), "exec-timeout", "{}", swept.node("crowd20").failure_message());
    for n in 1..=19 {
        let name = format!("crowd{n}");
        let node = swept.node(&name);
        assert_eq!(node.failure(), "null", "{name}: {}", node.failure_message());
        assert_eq!(node.field("phase"), "unprepared", "{name}");
        assert!(node.timing("total_ms") < 15_000.0, "{name} took {} ms", node.timing("total_ms"));
    }
    // What the hung node may cost is its deadline; how long connecting took before that is the machine's affair.
    let hung = swept.node("crowd20");
    assert!((15_000.0..15_500.0).contains(&hung.timing("exec_ms")), "exec took {} ms", hung.timing("exec_ms"));
    let beside = swept.elapsed.as_secs_f64() * 1000.0 - hung.timing("total_ms");
    assert!(beside < 3_000.0, "the sweep took {beside} ms beside the hung node");
    assert_eq!(swept.code.unwrap() & 4, 4, "an unreachable host is in the exit code");
}
