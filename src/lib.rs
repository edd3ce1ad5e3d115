//! seaworthy: sweeps the nodes of Kubernetes clusters over SSH, names root causes, and mends them.
//!
//! # The way of the data
//!
//! ```text
//! inventory ──► targets ──► collect (ssh, one script) ──► records ──► facts ──► findings ──► root causes ──► report
//!                                                          ▲
//!                                          a saved run (--from) enters here
//! ```
//!
//! Only `ssh`, `reach`, `collect`, `run`, `change` (its `hand`, its journal and what drives them), the loading of inventory and
//! configuration, `ui` and the commands touch the world.
//! Everything from records to reports is synchronous, pure and deterministic: the same records give the same bytes.

pub mod change;
pub mod checks;
pub mod cli;
pub mod collect;
pub mod commands;
pub mod config;
pub mod demo;
pub mod diagnose;
pub mod digest;
pub mod duration;
pub mod environment;
pub mod exit;
pub mod facts;
pub mod failure;
pub mod fanout;
pub mod fleet;
pub mod interrupt;
pub mod inventory;
pub mod names;
pub mod parallel;
pub mod password_gate;
pub mod playbook;
pub mod probe;
pub mod reach;
pub mod record;
pub mod report;
pub mod run;
pub mod secret;
pub mod shard;
pub mod ssh;
pub mod target;
pub mod text;
pub mod timings;
pub mod trust;
pub mod ui;
pub mod upgrade;
pub mod verdict;
