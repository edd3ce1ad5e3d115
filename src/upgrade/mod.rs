//! What stands in the way of an upgrade: versions, the table of what goes with which, and a node's facts measured by them.
//!
//! - [`version`]: the target as typed, minors and releases.
//! - [`policy`]: `playbooks/upgrade-policy.yaml`, read.
//! - [`derived`]: facts that mean something only relative to a target; checks of the area `upgrade` judge them.
//! - [`gate`]: from a node's findings to whether it may be upgraded.
//!
//! Pure: nothing here reads a node, prints or knows how facts were parsed.

pub mod derived;
pub mod gate;
pub mod policy;
pub mod version;
