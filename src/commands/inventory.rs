//! `seaworthy inventory`: lists the hosts, draws the groups, explains one host. All but `run` is pure: the inventory in, text out.
//!
//! Names come from files and scripts of the user, so that control characters are refused when the inventory is loaded;
//! values are escaped here before they reach a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::answers::Answers;
use super::{Context, common, hosts};
use crate::inventory::explain::{Explanation, Setting};
use crate::inventory::model::{ALL, GroupId, HostId, Inventory, UNGROUPED};
use crate::inventory::origin::Overrides;
use crate::report;
use crate::target::{Role, Target, Via};
use crate::text;

/// The version of the JSON and YAML that this command prints.
const SCHEMA: u32 = 1;

/// What to show of the inventory; which hosts are meant is said by `-i` and `-l`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// Draw the groups and their hosts as a tree
    #[arg(long, conflicts_with = "host")]
    pub graph: bool,
    /// Explain one host: each setting, where it comes from, and what it shadows
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = InventoryFormat::Table)]
    pub output: InventoryFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InventoryFormat {
    Table,
    Json,
    Yaml,
    Name,
}

/// A host as listed. An unusable setting is named instead of an address.
#[derive(Debug, Serialize)]
struct Listed<'i> {
    name: &'i str,
    /// As far as the inventory says: `ssh_config` may say more.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jump: Option<String>,
    /// The user that commands run as under sudo.
    #[serde(skip_serializing_if = "Option::is_none")]
    sudo_user: Option<String>,
    role: Option<Role>,
    groups: Vec<&'i str>,
    /// Why the host cannot be reached as the inventory stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct Document<'i> {
    schema: u32,
    hosts: Vec<Listed<'i>>,
}

pub(super) fn run(args: &crate::cli::InventoryArgs, context: &Context<'_>) -> anyhow::Result<()> {
    let config = hosts::configuration(context.environment)?;
    let mut chosen = hosts::choose(&args.hosts, &[], &config, context.environment)?;
    if let Some(shard) = args.shard.shard {
        chosen.hosts.retain(|host| shard.owns(chosen.inventory.host_name(*host)));
    }
    let overrides =
        hosts::overrides(&args.connection, context.matches, &config, context.environment, &mut Answers::default())?;
    let text = match &args.show.host {
        Some(name) => explain(&chosen.inventory, chosen.inventory.find(name)?, &overrides, args.show.output),
        None if args.show.graph => graph(&chosen.inventory, &chosen.hosts),
        None => list(&chosen.inventory, &chosen.hosts, &overrides, args.show.output),
    };
    common::warn(&chosen.warnings);
    common::print(|out| out.write_all(text.as_bytes()))
}

/// The selected hosts.
pub fn list(inventory: &Inventory, hosts: &[HostId], overrides: &Overrides, format: InventoryFormat) -> String {
    if format == InventoryFormat::Name {
        return hosts.iter().fold(String::new(), |text, host| text + inventory.host_name(*host) + "\n");
    }
    let hosts: Vec<Listed<'_>> = hosts.iter().map(|host| listed(inventory, *host, overrides)).collect();
    match format {
        InventoryFormat::Table | InventoryFormat::Name => table(&hosts),
        InventoryFormat::Json => json(&Document { schema: SCHEMA, hosts }),
        InventoryFormat::Yaml => yaml(&Document { schema: SCHEMA, hosts }),
    }
}

/// The groups with the selected hosts in them, as `ansible-inventory --graph` draws them.
pub fn graph(inventory: &Inventory, hosts: &[HostId]) -> String {
    let selected: std::collections::HashSet<HostId> = hosts.iter().copied().collect();
    let mut text = String::new();
    // The groups still to draw, each with its depth; `ungrouped` only when somebody is in it.
    let mut ahead: Vec<(GroupId, usize)> = vec![(ALL, 0)];
    let mut drawn = std::collections::HashSet::new();
    while let Some((group, depth)) = ahead.pop() {
        let indent = |depth: usize| if depth == 0 { String::new() } else { "  |".repeat(depth) + "--" };
        if !drawn.insert(group) {
            // A group of several groups is drawn once, or a few lines of inventory could make an endless tree.
            let _ = writeln!(text, "{}@{}: (above)", indent(depth), text::sanitize(inventory.group_name(group)));
            continue;
        }
        let _ = writeln!(text, "{}@{}:", indent(depth), text::sanitize(inventory.group_name(group)));
        if group != ALL {
            for host in inventory.members(group).iter().filter(|host| selected.contains(host)) {
                let _ = writeln!(text, "{}{}", indent(depth + 1), text::sanitize(inventory.host_name(*host)));
            }
        }
        let mut children: Vec<GroupId> = inventory.children(group).collect();
        children.retain(|child| *child != UNGROUPED || !inventory.members(UNGROUPED).is_empty());
        ahead.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
    }
    text
}

/// Everything about one host.
pub fn explain(inventory: &Inventory, host: HostId, overrides: &Overrides, format: InventoryFormat) -> String {
    let explanation = inventory.explain(host, overrides);
    match format {
        InventoryFormat::Name => format!("{}\n", inventory.host_name(host)),
        InventoryFormat::Table => explanation_text(inventory, host, overrides, &explanation),
        InventoryFormat::Json => json(&explained(inventory, host, &explanation)),
        InventoryFormat::Yaml => yaml(&explained(inventory, host, &explanation)),
    }
}

fn listed<'i>(inventory: &'i Inventory, host: HostId, overrides: &Overrides) -> Listed<'i> {
    let mut listed = Listed {
        name: inventory.host_name(host),
        connection: None,
        address: None,
        port: None,
        user: None,
        jump: None,
        sudo_user: None,
        role: inventory.role(host),
        groups: inventory.groups_of(host),
        problem: None,
    };
    match inventory.target(host, overrides) {
        Ok(Target { via, sudo, .. }) => {
            listed.sudo_user = sudo.map(|sudo| sudo.user);
            match via {
                Via::Local => listed.connection = Some("local"),
                Via::Ssh(ssh) => {
                    listed.connection = Some("ssh");
                    listed.address = Some(ssh.host.unwrap_or_else(|| listed.name.to_owned()));
                    (listed.port, listed.user, listed.jump) = (ssh.port, ssh.user, ssh.jump);
                }
            }
        }
        Err(failure) => listed.problem = Some(failure.message),
    }
    listed
}

fn table(hosts: &[Listed<'_>]) -> String {
    let mut rows = vec![["NAME", "ADDRESS", "ROLE", "GROUPS"].map(str::to_owned)];
    let mut problems = Vec::new();
    for host in hosts {
        let address = match (&host.address, host.connection) {
            (Some(address), _) => {
                let user = host.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
                let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
                let port = host.port.map_or_else(String::new, |port| format!(":{port}"));
                format!("{user}{address}{port}")
            }
            (None, Some(connection)) => connection.to_owned(),
            (None, None) => {
                problems.extend(host.problem.as_ref().map(|problem| format!("{}: {problem}", host.name)));
                "unusable".to_owned()
            }
        };
        rows.push([host.name.to_owned(), address, role(host.role).to_owned(), host.groups.join(", ")]);
    }
    let mut text = columns(&rows);
    if !problems.is_empty() {
        text.push('\n');
        for problem in problems {
            text += &text::sanitize(&problem);
            text.push('\n');
        }
    }
    text
}

const fn role(role: Option<Role>) -> &'static str {
    match role {
        Some(Role::ControlPlane) => "control-plane",
        Some(Role::Worker) => "worker",
        None => "-",
    }
}

/// Rows with columns as wide as they need to be; the last is left as it is.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[Cow<'_, str>; N]> = rows.iter().map(|row| row.each_ref().map(|cell| text::sanitize(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line += cell;
            line += &" ".repeat(width + 2 - cell.width().min(*width));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn explanation_text(inventory: &Inventory, host: HostId, overrides: &Overrides, explanation: &Explanation) -> String {
    let groups = inventory.groups_of(host).join(", ");
    let (name, groups) = (text::sanitize(inventory.host_name(host)), text::sanitize(&groups));
    let mut text = format!("{name}\n  role    {}\n  groups  {groups}\n", role(inventory.role(host)));
    if let Err(failure) = inventory.target(host, overrides) {
        let _ =
            writeln!(text, "  unusable: {}; next: {}", text::sanitize(&failure.message), text::sanitize(&failure.next));
    }
    for (heading, settings) in [("settings", &explanation.settings), ("other variables", &explanation.variables)] {
        if settings.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{heading}");
        let mut rows = Vec::new();
        for Setting { name, value, origin, shadowed } in settings {
            rows.push([format!("  {name}"), cut(value), format!("({origin})")]);
            for other in shadowed {
                rows.push(["    shadows".to_owned(), cut(&other.value), format!("({})", other.origin)]);
            }
        }
        text += &columns(&rows);
    }
    text
}

#[derive(Serialize)]
struct Explained<'i> {
    schema: u32,
    name: &'i str,
    role: Option<Role>,
    groups: Vec<&'i str>,
    settings: Vec<ExplainedSetting<'i>>,
    variables: Vec<ExplainedSetting<'i>>,
}

#[derive(Serialize)]
struct ExplainedSetting<'i> {
    name: &'i str,
    value: &'i str,
    origin: String,
    shadowed: Vec<ExplainedShadow<'i>>,
}

#[derive(Serialize)]
struct ExplainedShadow<'i> {
    value: &'i str,
    origin: String,
}

fn explained<'i>(inventory: &'i Inventory, host: HostId, explanation: &'i Explanation) -> Explained<'i> {
    let convert = |setting: &'i Setting| ExplainedSetting {
        name: &setting.name,
        value: &setting.value,
        origin: setting.origin.to_string(),
        shadowed: setting
            .shadowed
            .iter()
            .map(|other| ExplainedShadow { value: &other.value, origin: other.origin.to_string() })
            .collect(),
    };
    Explained {
        schema: SCHEMA,
        name: inventory.host_name(host),
        role: inventory.role(host),
        groups: inventory.groups_of(host),
        settings: explanation.settings.iter().map(convert).collect(),
        variables: explanation.variables.iter().map(convert).collect(),
    }
}

/// A cell's worth of a value.
fn cut(value: &str) -> String {
    const MOST: usize = 60;
    let mut cell: String = value.chars().take(MOST).collect();
    if cell.len() < value.len() {
        cell.push('…');
    }
    text::sanitize(&cell).into_owned()
}

// The documents of this file are plain structs of strings and numbers: they cannot fail to serialise.
fn json(document: &impl Serialize) -> String {
    let mut out = Vec::new();
    report::json::write_pretty(document, &mut out).expect("plain structs");
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn yaml(document: &impl Serialize) -> String {
    let mut out = Vec::new();
    report::yaml::write_value(document, &mut out).expect("plain structs");
    String::from_utf8(out).expect("YAML is UTF-8")
}
