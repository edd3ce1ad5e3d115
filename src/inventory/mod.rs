//! The inventory: from what the user has (Ansible's YAML and INI, scripts, lists) to targets. Ansible's files are read
//! unchanged, because nobody keeps two lists of nodes.
//!
//! ```text
//! bytes ─ detect ─► ansible_yaml │ ansible_ini │ script_json ─► draft ─ finish ─► model ─ limit ─► resolve ─► Target
//!   ▲                                                                                └──────────► explain
//!   load, script (the only parts that touch the world)
//! ```
//!
//! - [`load`]: sources in, an [`Inventory`](model::Inventory) out; reads files, runs scripts, finds `group_vars/` and `host_vars/`.
//! - [`model`]: the loaded inventory. [`limit`]: `--limit`. [`resolve`]: `Inventory::target`. [`explain`]: who said what.
//! - [`origin`]: what flags and environment say, and where a setting comes from. [`error`]: what can be wrong.
//! - [`value`], `yaml`, `words`, [`ranges`], `glob`, `ssh_args`, [`names`]: the pieces, each pure.
//!
//! Templates and vaults are kept as they stand: they are refused, for that host only, when its connection needs them.
//! This module knows neither `ssh_config` nor the network.

mod ansible_ini;
mod ansible_yaml;
pub mod detect;
mod draft;
pub mod error;
pub mod explain;
mod glob;
mod graph;
pub mod limit;
pub mod load;
pub mod model;
pub mod names;
pub mod origin;
pub mod ranges;
pub mod resolve;
mod script;
mod script_json;
mod ssh_args;
mod statements;
pub mod value;
mod vars_files;
mod words;
pub(crate) mod yaml;
