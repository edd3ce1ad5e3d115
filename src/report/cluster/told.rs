//! The cluster as the documents show it: a few tables of bounded size, whatever its nodes say and however many they are.
//!
//! Everything is decided here but the form: names are folded, long lists end in how many more there are, and all texts are
//! still untrusted.

use std::collections::{BTreeMap, HashSet};

use crate::diagnose::matrix::VersionRow;
use crate::diagnose::outliers::{Configuration, Group};
use crate::diagnose::siblings::Difference;
use crate::report::details::clip_to;
use crate::report::groups::heading;
use crate::report::model::Report;
use crate::report::model::cluster::{ClusterReport, DaemonSetPods, FlannelPods, Inventory, Stranger};
use crate::verdict::{Phase, Verdict};

/// So many versions of one component are named.
const MOST_VERSIONS: usize = 12;
/// So many parts of the configuration, and so many of them line by line.
const MOST_PARTS: usize = 40;
const MOST_SPLITS: usize = 8;
/// So many rows of what nodes are or have.
const MOST_ROWS: usize = 40;
/// The longest value.
const LONGEST: usize = 200;

/// A heading with what belongs below it.
pub(crate) struct Part {
    pub(crate) title: &'static str,
    pub(crate) tables: Vec<Table>,
    /// Tables that are not among them.
    pub(crate) more: Option<String>,
}

/// Never without rows.
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Row>,
    /// What is not among the rows.
    pub(crate) more: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Words,
    /// As a node or the API said it.
    Said,
    Number,
}

pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// Lines about one thing.
pub(crate) struct Row {
    /// `Fail` and `Warn` stand out.
    pub(crate) verdict: Verdict,
    /// The first column of all its lines.
    pub(crate) head: String,
    /// The other columns; `None` where there is nothing of the kind.
    pub(crate) lines: Vec<Vec<Option<String>>>,
}

impl Row {
    fn plain(head: String, lines: Vec<Vec<Option<String>>>) -> Self {
        Self { verdict: Verdict::Pass, head, lines }
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

/// What a report says of one of its clusters. Of single nodes only those that it is about are named.
pub(crate) fn parts(cluster: &ClusterReport, report: &Report) -> Vec<Part> {
    let shown: HashSet<&str> = report.nodes.iter().map(|node| node.name.as_str()).collect();
    let part =
        |title, tables: Vec<Option<Table>>| Part { title, tables: tables.into_iter().flatten().collect(), more: None };
    let pods = cluster.flannel.iter().flat_map(|flannel| [daemonsets(flannel), pods(flannel, &shown)]);
    let splits: Vec<&Configuration> = cluster.configurations.iter().filter(|one| one.groups.len() > 1).collect();
    let more = splits.len().saturating_sub(MOST_SPLITS);
    let splits = splits.into_iter().take(MOST_SPLITS).map(split);
    let mut configuration =
        part("Configuration", std::iter::once(configurations(&cluster.configurations)).chain(splits).collect());
    configuration.more =
        (more > 0).then(|| format!("and {more} more parts in which nodes differ; JSON has all of them"));
    let all = [
        part("Versions", vec![versions(&cluster.versions)]),
        configuration,
        part("Found on several nodes", vec![duplicates(cluster)]),
        part("flannel's pods", pods.collect()),
        part("Inventory and cluster", vec![inventory(&cluster.inventory, cluster.source.as_deref())]),
        part("Failing nodes against healthy ones", vec![siblings(cluster, &shown)]),
    ];
    all.into_iter().filter(|part| !part.tables.is_empty()).collect()
}

impl Table {
    pub(crate) fn lines(&self) -> usize {
        self.rows.iter().map(|row| row.lines.len()).sum()
    }

    /// The columns behind the first, each with its cell of a line.
    pub(crate) fn cells<'t>(
        &'t self,
        line: &'t [Option<String>],
    ) -> impl Iterator<Item = (&'static Column, &'t Option<String>)> {
        self.columns.iter().skip(1).zip(line)
    }
}

/// `The cluster`; of several, whose it is.
pub(crate) fn title(cluster: &ClusterReport, report: &Report) -> String {
    match (report.other_clusters.is_empty(), cluster.control_planes.is_empty()) {
        (true, _) | (_, true) => "The cluster".to_owned(),
        (false, false) => format!("The cluster of {}", folded(&cluster.control_planes)),
    }
}

/// Who was asked.
pub(crate) fn about(cluster: &ClusterReport) -> String {
    match (&cluster.source, &cluster.version) {
        (Some(source), Some(version)) => {
            format!("As its nodes and the API server of {} ({}) say.", clip_to(source, 60), clip_to(version, 40))
        }
        (Some(source), None) => format!("As its nodes and the API server of {} say.", clip_to(source, 60)),
        (None, _) => "As its nodes say: no API server answered.".to_owned(),
    }
}

/// `None` without rows; of many things, only the first.
fn table<T>(
    caption: String,
    columns: &'static [Column],
    things: &[T],
    row: impl Fn(&T) -> Row,
    (most, what): (usize, &str),
) -> Option<Table> {
    let more = things.len().saturating_sub(most);
    let more = (more > 0).then(|| format!("and {more} more {what}"));
    let rows: Vec<Row> = things.iter().take(most).map(row).collect();
    (!rows.is_empty()).then_some(Table { caption, columns, rows, more })
}

fn said(text: &str) -> String {
    clip_to(text, LONGEST).into_owned()
}

fn folded<'a>(nodes: impl IntoIterator<Item = &'a String>) -> String {
    heading(nodes.into_iter().map(String::as_str))
}

fn count(nodes: &[String]) -> String {
    nodes.len().to_string()
}

fn versions(components: &[VersionRow]) -> Option<Table> {
    const COLUMNS: [Column; 4] = [
        column("component", Kind::Words),
        column("version", Kind::Said),
        column("nodes", Kind::Number),
        column("which", Kind::Said),
    ];
    let row = |component: &VersionRow| {
        let line = |value: &crate::diagnose::matrix::VersionValue| {
            let few = if value.minority { " (few)" } else { "" };
            let version = Some(format!("{}{few}", said(&value.value)));
            vec![version, Some(count(&value.nodes)), Some(folded(&value.nodes))]
        };
        let mut lines: Vec<_> = component.values.iter().take(MOST_VERSIONS).map(line).collect();
        let others = component.values.get(MOST_VERSIONS..).unwrap_or_default();
        if !others.is_empty() {
            let nodes = others.iter().flat_map(|value| &value.nodes);
            let total = others.iter().map(|value| value.nodes.len()).sum::<usize>();
            lines.push(vec![
                Some(format!("and {} more versions", others.len())),
                Some(total.to_string()),
                Some(folded(nodes)),
            ]);
        }
        // A fleet may well have two systems: what must not differ has a check of its own.
        Row::plain(component.component.label().to_owned(), lines)
    };
    table("Which version runs where".to_owned(), &COLUMNS, components, row, (MOST_ROWS, "components"))
}

/// `kubelet of workers`, `containerd 1.7 of control planes`
fn name(configuration: &Configuration) -> String {
    let version = if configuration.version.is_empty() { "" } else { " " };
    format!(
        "{}{version}{} of {}s",
        configuration.part.label(),
        clip_to(&configuration.version, 40),
        configuration.role.label()
    )
}

fn configurations(all: &[Configuration]) -> Option<Table> {
    const COLUMNS: [Column; 5] = [
        column("part", Kind::Words),
        column("kinds", Kind::Number),
        column("most alike", Kind::Said),
        column("nodes", Kind::Number),
        column("otherwise", Kind::Said),
    ];
    let row = |one: &Configuration| {
        let (first, others) = one.groups.split_at(one.groups.len().min(1));
        let first: Vec<String> = first.iter().flat_map(|group| &group.nodes).cloned().collect();
        let otherwise = folded(others.iter().flat_map(|group| &group.nodes));
        let verdict = if others.iter().any(|group| group.outlier) { Verdict::Warn } else { Verdict::Pass };
        let kinds = Some((one.groups.len() + one.more).to_string());
        let line = vec![kinds, Some(folded(&first)), Some(count(&first)), Some(otherwise)];
        let line = line.into_iter().map(|cell| cell.filter(|text| !text.is_empty())).collect();
        Row { verdict, head: name(one), lines: vec![line] }
    };
    table("Which nodes are configured alike".to_owned(), &COLUMNS, all, row, (MOST_PARTS, "parts"))
}

/// The lines in which groups differ from the most frequent one.
fn split(configuration: &Configuration) -> Option<Table> {
    const COLUMNS: [Column; 3] =
        [column("nodes", Kind::Said), column("have", Kind::Said), column("most have", Kind::Said)];
    let (first, others) = configuration.groups.split_first()?;
    let row = |group: &Group| {
        let value = |line: &Option<String>| line.as_deref().map(said);
        let mut lines: Vec<Vec<_>> =
            group.differences.iter().map(|line| vec![value(&line.here), value(&line.there)]).collect();
        match (lines.is_empty(), group.more) {
            (true, _) => lines.push(vec![Some("the lines could not be read again".to_owned()), None]),
            (false, 0) => {}
            (false, more) => lines.push(vec![Some(format!("and {more} more lines")), None]),
        }
        let few = if group.outlier { " (few)" } else { "" };
        let verdict = if group.outlier { Verdict::Warn } else { Verdict::Pass };
        Row { verdict, head: format!("{}{few}", folded(&group.nodes)), lines }
    };
    let caption = format!("{}: lines that differ from {}", name(configuration), folded(&first.nodes));
    let table = table(caption, &COLUMNS, others, row, (MOST_ROWS, "kinds"))?;
    let more = (configuration.more > 0).then(|| format!("and {} more kinds", configuration.more));
    Some(Table { more: table.more.or(more), ..table })
}

fn duplicates(cluster: &ClusterReport) -> Option<Table> {
    const COLUMNS: [Column; 4] = [
        column("what", Kind::Words),
        column("value", Kind::Said),
        column("nodes", Kind::Number),
        column("which", Kind::Said),
    ];
    let row = |one: &crate::diagnose::duplicates::Duplicate| Row {
        verdict: Verdict::Warn,
        head: one.what.label().to_owned(),
        lines: vec![vec![Some(said(&one.value)), Some(count(&one.nodes)), Some(folded(&one.nodes))]],
    };
    let caption = "What one machine alone may have, and several do".to_owned();
    table(caption, &COLUMNS, &cluster.duplicates, row, (MOST_ROWS, "of them"))
}

fn daemonsets(flannel: &FlannelPods) -> Option<Table> {
    const COLUMNS: [Column; 4] = [
        column("daemon set", Kind::Said),
        column("wanted", Kind::Number),
        column("there", Kind::Number),
        column("ready", Kind::Number),
    ];
    let row = |set: &DaemonSetPods| {
        let number = |number: Option<u64>| Some(number.map_or_else(|| "?".to_owned(), |number| number.to_string()));
        let even = set.desired == set.current && set.current == set.ready;
        let line = [set.desired, set.current, set.ready].map(number).to_vec();
        Row { verdict: if even { Verdict::Pass } else { Verdict::Warn }, head: said(&set.name), lines: vec![line] }
    };
    table("Daemon sets of flannel's".to_owned(), &COLUMNS, &flannel.daemonsets, row, (MOST_ROWS, "daemon sets"))
}

/// What each node's pod is at, and why there is none.
fn pods(flannel: &FlannelPods, shown: &HashSet<&str>) -> Option<Table> {
    const COLUMNS: [Column; 3] =
        [column("pod", Kind::Words), column("nodes", Kind::Number), column("which", Kind::Said)];
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in flannel.missing.iter().filter(|one| shown.contains(one.node.as_str())) {
        missing.entry(&one.detail).or_default().push(&one.node);
    }
    let mut missing: Vec<_> = missing.into_iter().map(|(why, nodes)| (Verdict::Fail, "none", why, nodes)).collect();
    missing.sort_by_key(|(.., nodes)| std::cmp::Reverse(nodes.len()));
    let there = |is_ready: bool| {
        let (verdict, word) = if is_ready { (Verdict::Pass, "ready") } else { (Verdict::Warn, "not ready") };
        let alike = flannel.pods.iter().filter(move |pods| pods.ready == is_ready);
        alike.map(move |pods| (verdict, word, pods.state.as_str(), pods.nodes.iter().map(String::as_str).collect()))
    };
    let all: Vec<(Verdict, &str, &str, Vec<&str>)> =
        missing.into_iter().chain(there(false)).chain(there(true)).collect();
    let row = |(verdict, word, why, nodes): &(Verdict, &str, &str, Vec<&str>)| Row {
        verdict: *verdict,
        head: format!("{word}: {}", said(why)),
        lines: vec![vec![Some(nodes.len().to_string()), Some(heading(nodes.iter().copied()))]],
    };
    table("flannel's pod on each node of the run".to_owned(), &COLUMNS, &all, row, (MOST_ROWS, "states"))
}

/// Whether a node that the cluster does not know believes to be in it.
pub(super) fn is_joined(stranger: &Stranger) -> bool {
    matches!(stranger.phase, Some(Phase::JoinedNotReady | Phase::Ready))
}

fn inventory(inventory: &Inventory, source: Option<&str>) -> Option<Table> {
    const COLUMNS: [Column; 3] =
        [column("the node is", Kind::Words), column("nodes", Kind::Number), column("which", Kind::Said)];
    let (joined, waiting): (Vec<&Stranger>, Vec<&Stranger>) =
        inventory.not_in_cluster.iter().partition(|stranger| is_joined(stranger));
    let names = |nodes: &[&Stranger]| nodes.iter().map(|stranger| stranger.node.clone()).collect::<Vec<_>>();
    let known = inventory.not_in_run.as_ref()?;
    let all = [
        (Verdict::Fail, "joined, and the cluster does not know it", names(&joined)),
        (Verdict::Warn, "in the cluster and not in this run", known.clone()),
        (Verdict::Pass, "in this run and not joined", names(&waiting)),
    ];
    let mut told: Vec<_> = all.into_iter().filter(|(.., nodes)| !nodes.is_empty()).collect();
    if told.is_empty() {
        told.push((Verdict::Pass, "anywhere but in both", Vec::new()));
    }
    let row = |(verdict, what, nodes): &(Verdict, &str, Vec<String>)| Row {
        verdict: *verdict,
        head: (*what).to_owned(),
        lines: vec![vec![Some(count(nodes)), Some(folded(nodes)).filter(|nodes| !nodes.is_empty())]],
    };
    let caption = match source {
        Some(source) => format!("The run's nodes against the Node objects that {} has", clip_to(source, 60)),
        None => "The run's nodes against the Node objects".to_owned(),
    };
    table(caption, &COLUMNS, &told, row, (MOST_ROWS, "of them"))
}

/// Failing nodes that differ alike are said once.
pub(super) fn groups(cluster: &ClusterReport, shown: impl Fn(&str) -> bool) -> Vec<(&[Difference], Vec<&str>)> {
    let mut groups: Vec<(&[Difference], Vec<&str>)> = Vec::new();
    for node in cluster.siblings.iter().filter(|node| shown(&node.node)) {
        match groups.iter_mut().find(|(first, _)| *first == node.differences) {
            Some((_, nodes)) => nodes.push(&node.node),
            None => groups.push((&node.differences, vec![&node.node])),
        }
    }
    groups
}

/// What separates a node from its healthy siblings.
pub(crate) fn of_node(report: &Report) -> Option<Table> {
    let shown: HashSet<&str> = report.nodes.iter().map(|node| node.name.as_str()).collect();
    report.clusters().find_map(|cluster| siblings(cluster, &shown))
}

fn siblings(cluster: &ClusterReport, shown: &HashSet<&str>) -> Option<Table> {
    const COLUMNS: [Column; 5] = [
        column("nodes", Kind::Said),
        column("fact", Kind::Said),
        column("here", Kind::Said),
        column("healthy nodes", Kind::Said),
        column("agree", Kind::Number),
    ];
    let line = |one: &Difference| {
        let value = |value: &Option<String>| value.as_deref().map(said);
        let agree = format!("{} of {}", one.healthy, one.of);
        vec![Some(said(&one.path)), value(&one.here), value(&one.there), Some(agree)]
    };
    let row = |(differences, nodes): &(&[Difference], Vec<&str>)| {
        Row::plain(heading(nodes.iter().copied()), differences.iter().map(line).collect())
    };
    let groups = groups(cluster, |node| shown.contains(node));
    table("What healthy siblings have otherwise".to_owned(), &COLUMNS, &groups, row, (MOST_ROWS, "kinds of nodes"))
}
