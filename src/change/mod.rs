//! Changing nodes: a plan is made of facts, shown, applied in batches under guards, verified on the node, and undone when it fails.
//!
//! ```text
//! playbook ┐
//! report   ├─► plan (a value) ─► shown ─► apply, batch by batch ─► verify ─► sweep again ─► before and after
//! state    ┘                                   │
//!                                           journal ─► resume, undo
//! ```
//!
//! - [`plan`]: what is to be done on which node, why, and how it is taken back. Pure.
//! - [`state`]: what a plan was made from, as the node says it.
//! - [`join`]: a `kubeadm join` from its token to a Node that is Ready; its end, and its undoing.
//! - [`steps`]: from a playbook and a run's facts to a plan; [`guards`] are what has to hold before, [`view`] is a node as both see
//!   it, [`observe_paths`] what has to be looked at first. Pure.
//! - [`hand`]: what is looked at and done on a node, call by call.
//! - [`journal`]: what was begun and what ended, written before it is done.
//! - [`batches`]: in which portions, and when it is enough. Pure.
//! - [`apply`]: a whole run. `course`: one node's way through it; `act`: one action; `verify`: whether it came to what it was made
//!   for; `takeback`: its undoing; `joining`: where a join's connections come from.
//! - [`resume`], [`undo`]: a run that is taken up again, and one that is taken back. `tokens`: what it left on the control plane.
//! - [`summary`]: what became of each node.
//!
//! Nothing in here reads an inventory, parses a command line or prints.

mod act;
pub mod apply;
pub mod batches;
mod course;
pub mod guards;
pub mod hand;
pub mod join;
mod joining;
pub mod journal;
pub mod observe_paths;
pub mod plan;
pub mod resume;
pub mod state;
pub mod steps;
pub mod summary;
mod takeback;
mod tokens;
pub mod undo;
mod verify;
pub mod view;
