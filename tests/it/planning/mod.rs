//! Plans made of recorded nodes: what is done where, and what is refused, with which reason and which next move.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};
use std::time::SystemTime;

use base64::Engine as _;
use seaworthy::change::guards::OWN;
use seaworthy::change::observe_paths;
use seaworthy::change::plan::{Action, Change, Decision, Plan, Refusal, WriteFile};
use seaworthy::change::state::{File, Path, State};
use seaworthy::change::steps::{self, PlanOptions};
use seaworthy::checks::{Checks, Finding};
use seaworthy::facts::NodeFacts;
use seaworthy::facts::cluster::Member;
use seaworthy::fleet::{self, Assessed};
use seaworthy::playbook::{ConfigSource, Gather, Playbook, Step, Strategy};
use seaworthy::reach::ReachCapture;
use seaworthy::reach::capture::{ApiCapture, ClusterInfo, Dial, Origin, Tls};
use seaworthy::record::{Record, Section};
use seaworthy::report::model::NodeReport;
use seaworthy::run::RunFile;
use seaworthy::verdict::Verdict;

use crate::facts::{case, damage};

mod again;
pub(crate) mod any;
mod flannel;
mod generic;
mod guards;
mod join;
mod reset;

static CHECKS: LazyLock<Checks> = LazyLock::new(|| Checks::built_in().unwrap());

pub(crate) const SERVER: &str = include_str!("../../../src/facts/testdata/apiserver.crt");
pub(crate) const AUTHORITY: &str = include_str!("../../../src/facts/testdata/ca.crt");
/// Where the recorded control plane listens.
pub(crate) const ENDPOINT: &str = "192.168.4.63:6443";

/// A run of recorded nodes, and what is asked of it.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) records: Vec<Record>,
    pub(crate) options: PlanOptions,
    /// What lies at a path other than what the facts say, by node.
    pub(crate) paths: BTreeMap<(String, String), Path>,
    /// What the records come to; judging them takes longest.
    judged: OnceLock<Assessed>,
}

impl Scene {
    /// These records, to be changed in their order but for the control plane.
    pub(crate) fn of(records: Vec<Record>) -> Self {
        let nodes = records.iter().map(|record| record.name.clone()).filter(|name| name != "masternode").collect();
        let options = PlanOptions { nodes, ..PlanOptions::default() };
        Self { records, options, paths: BTreeMap::new(), judged: OnceLock::new() }
    }

    /// To be changed: what was thought of them before is forgotten.
    pub(crate) fn records(&mut self) -> &mut [Record] {
        self.judged = OnceLock::new();
        &mut self.records
    }

    pub(crate) fn record(&mut self, name: &str) -> &mut Record {
        self.records().iter_mut().find(|record| record.name == name).unwrap()
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.judged = OnceLock::new();
        self.records.push(record);
    }

    /// Replaces text in sections of a record; it has to be there.
    pub(crate) fn edit(&mut self, node: &str, section: &str, from: &str, to: &str) -> &mut Self {
        let sections = &mut self.record(node).probe.as_mut().unwrap().sections;
        let mut hit = false;
        for section in sections.iter_mut().filter(|found| found.id == section) {
            hit |= section.text.contains(from);
            section.text = section.text.replace(from, to);
        }
        assert!(hit, "{section} of {node} has no {from:?}");
        self
    }

    pub(crate) fn add(&mut self, node: &str, id: &str, arg: Option<&str>, text: &str) -> &mut Self {
        let arg = arg.map(str::to_owned);
        let section = Section { id: id.to_owned(), arg, rc: 0, ms: 1, truncated: false, text: text.to_owned() };
        self.record(node).probe.as_mut().unwrap().sections.push(section);
        self
    }

    pub(crate) fn lies(&mut self, node: &str, path: &str, what: Path) -> &mut Self {
        self.paths.insert((node.to_owned(), path.to_owned()), what);
        self
    }

    pub(crate) fn assessed(&self) -> &Assessed {
        self.judged.get_or_init(|| {
            let run = RunFile::new("sweep", SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
            fleet::assess(&run, fleet::understand(&self.records), &CHECKS)
        })
    }

    pub(crate) fn plan(&self, playbook: &Playbook) -> Plan {
        self.plan_of(self.assessed(), playbook)
    }

    pub(crate) fn plan_of(&self, assessed: &Assessed, playbook: &Playbook) -> Plan {
        let states = self.options.nodes.iter().map(|name| (name.clone(), self.state(assessed, playbook, name)));
        steps::plan(playbook, &self.options, assessed, &states.collect(), &CHECKS)
    }

    /// As a look would find the node whose facts these are.
    pub(crate) fn state(&self, assessed: &Assessed, playbook: &Playbook, name: &str) -> State {
        let report = assessed.report.nodes.iter().find(|node| node.name == name);
        let Some(facts) = report.and_then(|report| report.facts.as_ref()) else { return State::default() };
        let text = |fact: &seaworthy::facts::Fact<String>| fact.known().cloned().unwrap_or_default();
        let wanted = observe_paths::wanted(playbook, facts);
        let mut paths: BTreeMap<String, Path> = wanted.into_keys().map(|path| (path, Path::Absent)).collect();
        if let Some(dir) = facts.cni.conf_dir.known() {
            paths.entry(dir.clone()).and_modify(|path| *path = Path::Other { kind: "directory".to_owned() });
            for section in self.records.iter().filter(|record| record.name == name).flat_map(files) {
                let path = section.arg.clone().unwrap();
                paths.entry(path).and_modify(|path| *path = file(&section.text));
            }
        }
        let own = self.paths.iter().filter(|((node, _), _)| node == name);
        paths.extend(own.map(|((_, path), what)| (path.clone(), what.clone())));
        State { machine_id: text(&facts.identity.machine_id), boot_id: text(&facts.identity.boot_id), paths }
    }

    /// The decision about the last node after a change of what was found out.
    pub(crate) fn judged(&self, playbook: &Playbook, change: impl FnOnce(&mut Judged)) -> Decision {
        let node = self.options.nodes.last().unwrap();
        let mut judged = Judged { assessed: self.assessed().clone(), node: node.clone() };
        change(&mut judged);
        self.plan_of(&judged.assessed, playbook).nodes.pop().unwrap().decision
    }

    pub(crate) fn decision(&self, playbook: &Playbook, node: &str) -> Decision {
        self.plan(playbook).nodes.into_iter().find(|plan| plan.node == node).unwrap().decision
    }

    /// The only node's refusals, as `guard: reason`, with a question mark where it is not known.
    pub(crate) fn refused(&self, playbook: &Playbook) -> Vec<String> {
        let node = self.options.nodes.last().unwrap();
        match self.decision(playbook, node) {
            Decision::Refused { refusals } => refusals.iter().map(said).collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The refusal of one guard, which must be there.
    pub(crate) fn refusal(&self, playbook: &Playbook, guard: &str) -> Refusal {
        let node = self.options.nodes.last().unwrap();
        match self.decision(playbook, node) {
            Decision::Refused { refusals } => refusals
                .iter()
                .find(|refusal| refusal.guard == guard)
                .cloned()
                .unwrap_or_else(|| panic!("no {guard} in {refusals:#?}")),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// What is done on the last of the nodes.
    pub(crate) fn actions(&self, playbook: &Playbook) -> Vec<Action> {
        match self.decision(playbook, self.options.nodes.last().unwrap()) {
            Decision::Change { actions, .. } => actions,
            other => panic!("nothing is done: {other:?}"),
        }
    }

    pub(crate) fn nothing(&self, playbook: &Playbook) -> String {
        match self.decision(playbook, self.options.nodes.last().unwrap()) {
            Decision::Nothing { why } => why,
            other => panic!("not nothing: {other:?}"),
        }
    }
}

/// What was found out, to be changed.
pub(crate) struct Judged {
    pub(crate) assessed: Assessed,
    /// The node that is looked at.
    pub(crate) node: String,
}

impl Judged {
    pub(crate) fn facts(&mut self) -> &mut NodeFacts {
        self.report().facts.as_mut().unwrap()
    }

    pub(crate) fn report(&mut self) -> &mut NodeReport {
        self.assessed.report.nodes.iter_mut().find(|node| node.name == self.node).unwrap()
    }

    pub(crate) fn member(&mut self) -> &mut Member {
        self.assessed.clusters[0].members.get_mut(&self.node).unwrap()
    }

    pub(crate) fn control_plane(&mut self) -> &mut NodeFacts {
        let node = self.assessed.report.nodes.iter_mut().find(|node| node.name == "masternode").unwrap();
        node.facts.as_mut().unwrap()
    }

    /// Makes a check of that node come out like this.
    pub(crate) fn check(&mut self, node: &str, id: &str, verdict: Verdict) -> &mut Finding {
        let all = self.assessed.findings.get_mut(node).unwrap();
        let finding = all.iter_mut().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id}"));
        finding.verdict = verdict;
        finding.lacks.clear();
        "it was made up".clone_into(&mut finding.message);
        finding
    }

    pub(crate) fn own(&mut self, id: &str, verdict: Verdict) -> &mut Finding {
        let node = self.node.clone();
        self.check(&node, id, verdict)
    }
}

/// The refusals of a decision, as `guard`, with a question mark where it is not known; nothing else.
pub(crate) fn guards_of(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Refused { refusals } => {
            let named =
                |refusal: &&Refusal| !OWN.contains(&refusal.guard.as_str()) && CHECKS.get(&refusal.guard).is_none();
            assert_eq!(refusals.iter().find(named), None, "neither a check nor a guard");
            let mark = |refusal: &Refusal| format!("{}{}", refusal.guard, if refusal.unknown { "?" } else { "" });
            refusals.iter().map(mark).collect()
        }
        Decision::Change { .. } => Vec::new(),
        Decision::Nothing { why } => vec![format!("nothing: {why}")],
    }
}

fn files(record: &Record) -> Vec<Section> {
    let sections = record.probe.iter().flat_map(|probe| &probe.sections);
    sections.filter(|section| section.id == "cni-file" && section.arg.is_some()).cloned().collect()
}

pub(crate) fn said(refusal: &Refusal) -> String {
    format!("{}{}: {}", refusal.guard, if refusal.unknown { "?" } else { "" }, refusal.reason)
}

pub(crate) fn file(content: &str) -> Path {
    use sha2::Digest as _;
    let sha256 = format!("{:x}", sha2::Sha256::digest(content.as_bytes()));
    let content = Some(content.to_owned());
    Path::File(File { sha256, mode: 0o644, uid: 0, gid: 0, size: 3, content })
}

pub(crate) fn playbook(steps: Vec<Step>) -> Playbook {
    Playbook {
        name: "test".to_owned(),
        summary: "a test".to_owned(),
        hosts: "all".to_owned(),
        strategy: Strategy::default(),
        gather: vec![Gather::All],
        require: Vec::new(),
        steps,
    }
}

pub(crate) fn flannel(sync: bool) -> Step {
    Step::Flannel { config: ConfigSource::Cluster, sync }
}

pub(crate) fn join() -> Step {
    Step::KubeadmJoin { attempts: 3, backoff: std::time::Duration::from_secs(10), ignore: Vec::new() }
}

pub(crate) fn write(actions: &[Action]) -> &WriteFile {
    match actions {
        [Action { change: Change::WriteFile(file), .. }] => file,
        other => panic!("not one file: {other:#?}"),
    }
}

/// A joined worker without a CNI file, whose flannel pod waits for its image.
pub(crate) fn without_conflist() -> Scene {
    static ONCE: LazyLock<Scene> = LazyLock::new(make_without_conflist);
    ONCE.assessed();
    ONCE.clone()
}

fn make_without_conflist() -> Scene {
    let mut scene = Scene::of(case("no-conflist-joined"));
    // Its clock is as wrong as it was recorded only where a test wants that.
    scene.record("homelab").clock = scene.record("masternode").clock;
    scene.pod("phase=Pending", "init=install-cni-plugin 0 false waiting ImagePullBackOff \"\"\ncontainer=kube-flannel 0 false waiting PodInitializing \"\"");
    scene
}

impl Scene {
    /// Makes flannel's pod on `homelab` this one.
    pub(crate) fn pod(&mut self, phase: &str, containers: &str) -> &mut Self {
        let sections = &mut self.record("masternode").probe.as_mut().unwrap().sections;
        let text = &mut sections.iter_mut().find(|section| section.id == "api-pods-system").unwrap().text;
        let from = text.find("pod=kube-flannel kube-flannel-ds-homelab").unwrap();
        let to = text[from + 4..].find("pod=").map_or(text.len(), |end| from + 4 + end);
        let pod = format!("pod=kube-flannel kube-flannel-ds-homelab\nnode=homelab\n{phase}\n{containers}\n");
        text.replace_range(from..to, &pod);
        self
    }
}

/// What a worker sees of the recorded control plane.
pub(crate) fn reach(endpoint: &str) -> ReachCapture {
    let ca = base64::engine::general_purpose::STANDARD.encode(AUTHORITY);
    let kubeconfig =
        format!("clusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: https://{ENDPOINT}\n");
    let api = ApiCapture {
        origin: Origin::ControlPlane,
        endpoint: endpoint.to_owned(),
        dial: Dial::Open { ms: 1 },
        tls: Some(Tls::Done { ms: 1, chain: SERVER.to_owned() }),
        cluster_info: Some(ClusterInfo::Read { ms: 1, token_ids: Vec::new(), kubeconfig: Some(kubeconfig) }),
        verified: None,
    };
    ReachCapture { apis: vec![api], healthz: None, servers: Vec::new() }
}

/// A prepared worker beside a healthy control plane, with a proven way to it.
pub(crate) fn prepared() -> Scene {
    static ONCE: LazyLock<Scene> = LazyLock::new(make_prepared);
    ONCE.assessed();
    ONCE.clone()
}

fn make_prepared() -> Scene {
    let mut records = case("healthy");
    records.retain(|record| record.name == "masternode");
    records.extend(case("storage-after-reset"));
    let mut scene = Scene::of(records);
    scene.record("storagenode").reach = Some(reach(ENDPOINT));
    scene
}
