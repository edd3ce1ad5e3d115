//! The cluster below the wide table: what the nodes say about each other. What all have alike takes one line or none.
//! [`told`] is the same for the documents.

pub(super) mod told;

use std::io::{self, Write};

use crate::diagnose::duplicates::Duplicate;
use crate::diagnose::matrix::{Drift, VersionRow};
use crate::diagnose::outliers::{Configuration, Group};
use crate::diagnose::siblings::Difference;
use crate::names;
use crate::report::grid;
use crate::report::model::Report;
use crate::report::model::cluster::{ClusterReport, FlannelPods, Inventory};
use crate::report::notes::{self, Line};
use crate::report::style::{Style, Tone};

const INDENT: usize = 2;
/// A group's lines stand below it.
const DEEPER: usize = 4;

/// Writes all of it; `false` when there is nothing to say.
pub(crate) fn write(report: &Report, style: &Style, out: &mut impl Write) -> io::Result<bool> {
    let several = !report.other_clusters.is_empty();
    for (place, cluster) in report.clusters().enumerate() {
        if several {
            let title = told::title(cluster, report);
            let gap = if place == 0 { "" } else { "\n" };
            writeln!(out, "{gap}{}", style.paint(Tone::Heading, &style.text(&title)))?;
        }
        let mut paper = Paper { style, out };
        versions(&cluster.versions, &mut paper)?;
        configurations(&cluster.configurations, &mut paper)?;
        duplicates(&cluster.duplicates, &mut paper)?;
        if let Some(flannel) = &cluster.flannel {
            pods(flannel, &mut paper)?;
        }
        inventory(&cluster.inventory, &mut paper)?;
        siblings(cluster, &mut paper)?;
    }
    Ok(report.clusters().next().is_some())
}

struct Paper<'a, W> {
    style: &'a Style,
    out: &'a mut W,
}

impl<W: Write> Paper<'_, W> {
    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", self.style.paint(Tone::Heading, text))
    }

    fn line(&mut self, indent: usize, key: &'static str, text: &str, tone: Tone) -> io::Result<()> {
        let line = Line { key, text: self.style.text(text).into_owned(), tone };
        grid::write_spaces(self.out, indent)?;
        notes::write_line(&line, indent, self.style, self.out)
    }
}

fn versions(rows: &[VersionRow], paper: &mut Paper<'_, impl Write>) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    paper.heading("versions")?;
    for row in rows {
        let all = row.values.first().filter(|_| row.drift == Drift::None);
        if let Some(all) = all {
            paper.line(INDENT, row.component.label(), &all.value, Tone::Dim)?;
            continue;
        }
        for value in &row.values {
            let tone = if value.minority { Tone::Warn } else { Tone::Plain };
            let mark = if value.minority { " (few)" } else { "" };
            let nodes = names::folded(value.nodes.iter().map(String::as_str));
            paper.line(INDENT, row.component.label(), &format!("{}{mark}: {nodes}", value.value), tone)?;
        }
    }
    Ok(())
}

fn configurations(all: &[Configuration], paper: &mut Paper<'_, impl Write>) -> io::Result<()> {
    let split: Vec<&Configuration> = all.iter().filter(|one| one.groups.len() > 1).collect();
    if split.is_empty() {
        return Ok(());
    }
    paper.heading("configurations that differ")?;
    for configuration in split {
        let version = if configuration.version.is_empty() { "" } else { " " };
        let of = format!(
            "{}{version}{} of {}s",
            configuration.part.label(),
            configuration.version,
            configuration.role.label()
        );
        let Some((first, others)) = configuration.groups.split_first() else { continue };
        let nodes = names::folded(first.nodes.iter().map(String::as_str));
        paper.line(INDENT, "", &format!("{of}, as on {nodes}"), Tone::Plain)?;
        for group in others {
            self::group(group, paper)?;
        }
        if configuration.more > 0 {
            let more = format!(
                "{} {} more kinds (-o json shows the hash of each node)",
                paper.style.ellipsis(),
                configuration.more
            );
            paper.line(DEEPER, "", &more, Tone::Dim)?;
        }
    }
    Ok(())
}

fn group(group: &Group, paper: &mut Paper<'_, impl Write>) -> io::Result<()> {
    let nodes = names::folded(group.nodes.iter().map(String::as_str));
    let (mark, tone) = if group.outlier { (" (few)", Tone::Warn) } else { ("", Tone::Plain) };
    paper.line(DEEPER, "", &format!("otherwise on {nodes}{mark}"), tone)?;
    for difference in &group.differences {
        if let Some(there) = &difference.there {
            paper.line(DEEPER + INDENT, "-", there, Tone::Dim)?;
        }
        if let Some(here) = &difference.here {
            paper.line(DEEPER + INDENT, "+", here, Tone::Plain)?;
        }
    }
    if group.more > 0 {
        let more = format!("{} {} more lines", paper.style.ellipsis(), group.more);
        paper.line(DEEPER + INDENT, "", &more, Tone::Dim)?;
    }
    Ok(())
}

fn duplicates(all: &[Duplicate], paper: &mut Paper<'_, impl Write>) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    paper.heading("found on several nodes")?;
    for one in all {
        let nodes = names::folded(one.nodes.iter().map(String::as_str));
        paper.line(INDENT, one.what.label(), &format!("{}: {nodes}", one.value), Tone::Warn)?;
    }
    Ok(())
}

fn pods(flannel: &FlannelPods, paper: &mut Paper<'_, impl Write>) -> io::Result<()> {
    if flannel.daemonsets.is_empty() && flannel.missing.is_empty() {
        return Ok(());
    }
    paper.heading("flannel's pods")?;
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    for set in &flannel.daemonsets {
        let (desired, current, ready) = (number(set.desired), number(set.current), number(set.ready));
        let tone = if desired == current && current == ready { Tone::Dim } else { Tone::Warn };
        paper.line(INDENT, "", &format!("{}: {desired} wanted, {current} there, {ready} ready", set.name), tone)?;
    }
    for missing in &flannel.missing {
        let text = format!("none on {}: {}", missing.node, missing.detail);
        paper.line(INDENT, "", &text, Tone::Fail)?;
    }
    Ok(())
}

fn inventory(inventory: &Inventory, paper: &mut Paper<'_, impl Write>) -> io::Result<()> {
    let not_in_run = inventory.not_in_run.as_deref().unwrap_or_default();
    if not_in_run.is_empty() && inventory.not_in_cluster.is_empty() {
        return Ok(());
    }
    paper.heading("inventory and cluster")?;
    if !not_in_run.is_empty() {
        let nodes = names::folded(not_in_run.iter().map(String::as_str));
        paper.line(INDENT, "", &format!("in the cluster, not in this run: {nodes}"), Tone::Plain)?;
    }
    let strangers = |joined: bool| {
        let of = inventory.not_in_cluster.iter().filter(|node| told::is_joined(node) == joined);
        names::folded(of.map(|node| node.node.as_str()))
    };
    let (joined, waiting) = (strangers(true), strangers(false));
    if !joined.is_empty() {
        paper.line(INDENT, "", &format!("joined, and the cluster does not know them: {joined}"), Tone::Fail)?;
    }
    if !waiting.is_empty() {
        paper.line(INDENT, "", &format!("not joined: {waiting}"), Tone::Dim)?;
    }
    Ok(())
}

fn siblings(cluster: &ClusterReport, paper: &mut Paper<'_, impl Write>) -> io::Result<()> {
    if cluster.siblings.is_empty() {
        return Ok(());
    }
    paper.heading("failing nodes against healthy ones")?;
    for (differences, nodes) in told::groups(cluster, |_| true) {
        paper.line(INDENT, "", &names::folded(nodes), Tone::Plain)?;
        for difference in differences {
            paper.line(DEEPER, "", &in_words(difference), Tone::Plain)?;
        }
    }
    Ok(())
}

/// `kernel.ip_forward: no, healthy yes (12 of 12)`
pub(super) fn in_words(difference: &Difference) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let (here, there) = (value(&difference.here), value(&difference.there));
    format!("{}: {here}, healthy {there} ({} of {})", difference.path, difference.healthy, difference.of)
}
