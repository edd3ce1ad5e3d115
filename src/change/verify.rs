//! Whether a change came to what it was made for: the node and the control planes are read anew, and judged by the same facts and
//! checks as any sweep, until the question is answered or its time is over.
//!
//! [`answer`] is pure. Nothing here changes a node.

use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use tokio::time::{sleep, timeout};

use super::apply::{ChangeRun, Waits};
use crate::checks::Finding;
use crate::collect::{Host, Script};
use crate::duration;
use crate::facts::cluster::Member;
use crate::facts::{Fact, NodeFacts};
use crate::failure::Failure;
use crate::fleet::{self, Assessed, Understood};
use crate::probe::ScriptOptions;
use crate::report::model::NodeReport;
use crate::verdict::{Phase, Verdict};

/// What is asked of a node after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question<'q> {
    /// A check passes.
    Check(&'q str),
    /// The container runtime loaded this CNI network.
    Loaded(&'q str),
    /// The API says that the node is Ready.
    Ready,
}

/// What a look at the node says to a question, in words without the node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Yes(String),
    No(String),
    /// It could not be told.
    Unknown(String),
}

impl Answer {
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Yes(words) | Self::No(words) | Self::Unknown(words) => words,
        }
    }
}

/// How waiting for a yes ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// What shows it.
    Yes(String),
    /// The last answer before the time was over.
    Late(Answer),
    /// The user wants to stop.
    Interrupted,
}

/// Whether the user's wish to stop ends the waiting. It does where nothing was changed that has to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    ToTheEnd,
    UntilInterrupted,
}

/// Reads nodes anew, for all that a run wants to know about them.
pub(super) struct Sight<'r> {
    run: &'r ChangeRun<'r>,
    planes: Vec<&'r Host>,
    script: Script,
    /// The control planes as last read, and when that began: many nodes that are verified at once need one reading.
    shared: tokio::sync::Mutex<Option<(Instant, Vec<Understood>)>>,
}

/// A node as it was read just now.
pub(super) struct Seen {
    node: String,
    assessed: Assessed,
}

impl<'r> Sight<'r> {
    pub(super) fn new(run: &'r ChangeRun<'r>) -> Self {
        let planes = run.hosts.iter().filter(|host| run.control_planes.contains(&host.target.name)).collect();
        Self { run, planes, script: Script::new(&ScriptOptions::default()), shared: tokio::sync::Mutex::default() }
    }

    const fn waits(&self) -> &Waits {
        &self.run.waits
    }

    /// Reads the node and the control planes.
    pub(super) async fn look(&self, host: &Host) -> Seen {
        let node = &host.target.name;
        let (own, planes) =
            join(self.run.collector.look(host, &self.script), self.control_planes(Instant::now())).await;
        let mut nodes = planes;
        nodes.retain(|plane| plane.record.name != *node);
        nodes.push(Understood::new(own));
        let assessed = fleet::assess(self.run.file, nodes, self.run.checks);
        Seen { node: node.clone(), assessed }
    }

    /// The control planes as read since that moment.
    async fn control_planes(&self, since: Instant) -> Vec<Understood> {
        let mut shared = self.shared.lock().await;
        if let Some((_, nodes)) = shared.as_ref().filter(|(begun, _)| *begun >= since) {
            return nodes.clone();
        }
        let begun = Instant::now();
        let looks = self.planes.iter().map(|plane| self.run.collector.look(plane, &self.script));
        let nodes: Vec<Understood> = join_all(looks).await.into_iter().map(Understood::new).collect();
        *shared = Some((begun, nodes.clone()));
        nodes
    }

    /// One look, one answer.
    pub(super) async fn ask(&self, host: &Host, question: Question<'_>) -> Answer {
        answer(question, &self.look(host).await)
    }

    /// Looks again and again until the answer is yes.
    pub(super) async fn wait(
        &self,
        host: &Host,
        question: Question<'_>,
        at_most: Duration,
        patience: Patience,
    ) -> Waited {
        self.wait_and_see(host, question, at_most, patience).await.0
    }

    /// The same with the last look.
    pub(super) async fn wait_and_see(
        &self,
        host: &Host,
        question: Question<'_>,
        at_most: Duration,
        patience: Patience,
    ) -> (Waited, Seen) {
        let begun = tokio::time::Instant::now();
        let mut interrupt = self.run.stop.interrupt.clone();
        loop {
            let seen = self.look(host).await;
            let answer = answer(question, &seen);
            if let Answer::Yes(evidence) = answer {
                return (Waited::Yes(evidence), seen);
            }
            let pause = self.waits().poll;
            if begun.elapsed() + pause >= at_most {
                return (Waited::Late(answer), seen);
            }
            match patience {
                Patience::ToTheEnd => sleep(pause).await,
                Patience::UntilInterrupted => {
                    if timeout(pause, interrupt.wait()).await.is_ok() {
                        return (Waited::Interrupted, seen);
                    }
                }
            }
        }
    }
}

impl Seen {
    fn report(&self) -> Option<&NodeReport> {
        self.assessed.report.nodes.iter().find(|node| node.name == self.node)
    }

    /// Why the node could not be read.
    fn failure(&self) -> Option<&Failure> {
        self.report()?.failure.as_ref()
    }

    pub(super) fn facts(&self) -> Option<&NodeFacts> {
        self.report()?.facts.as_ref()
    }

    fn member(&self) -> Option<&Member> {
        self.assessed.member(&self.node)
    }

    fn finding(&self, check: &str) -> Option<&Finding> {
        self.assessed.findings.get(&self.node)?.iter().find(|finding| finding.id == check)
    }

    /// The API knows that there is no Node of it.
    pub(super) fn has_no_node(&self) -> bool {
        self.member().is_some_and(|member| member.node.is_absent())
    }

    /// Whether flannel itself works, which a Ready node does not say.
    pub(super) fn flannel(&self) -> String {
        let Some(facts) = self.facts() else { return "whether flannel itself works could not be read".to_owned() };
        let flannel = &facts.flannel;
        let mut missing = Vec::new();
        if !flannel.subnet_env_complete.is_true() {
            missing.push("there is no whole /run/flannel/subnet.env");
        }
        if !flannel.interface.is_true() {
            missing.push("there is no flannel.1");
        } else if flannel.interface_up.is_false() {
            missing.push("flannel.1 is down");
        }
        if missing.is_empty() {
            return "flannel itself works: /run/flannel/subnet.env and flannel.1 are there".to_owned();
        }
        format!("flannel itself does not work yet, so that pods get no network: {}", missing.join(", "))
    }
}

/// What a look says to a question.
pub(super) fn answer(question: Question<'_>, seen: &Seen) -> Answer {
    if let Some(failure) = seen.failure() {
        return Answer::Unknown(format!("it could not be read: {}", failure.message));
    }
    match question {
        // The one check that a node leaves behind by getting better: it does not apply to a node that is Ready.
        Question::Check("node/not-ready") | Question::Ready => ready(seen),
        Question::Check(check) => passes(check, seen),
        Question::Loaded(network) => loaded(network, seen),
    }
}

fn passes(check: &str, seen: &Seen) -> Answer {
    let Some(finding) = seen.finding(check) else {
        return Answer::Unknown(format!("{check} was not judged: it is switched off"));
    };
    let phase = seen.report().and_then(|report| report.phase);
    match finding.verdict {
        Verdict::Pass => Answer::Yes(format!("{check} passes")),
        Verdict::NotApplicable if phase == Some(Phase::Ready) => {
            Answer::Yes(format!("{check} does not apply any more: the node is Ready"))
        }
        Verdict::Fail | Verdict::Warn | Verdict::Expected => Answer::No(format!("{check}: {}", finding.message)),
        Verdict::Unknown => Answer::Unknown(format!("{check}: {}", finding.message)),
        Verdict::NotApplicable => {
            let phase = phase.map_or("whose phase is not known", Phase::label);
            Answer::Unknown(format!("{check} does not apply to a node that is {phase}"))
        }
    }
}

fn ready(seen: &Seen) -> Answer {
    let unread = Fact::default();
    let node = seen.member().map_or(&unread, |member| &member.node);
    match node {
        Fact::Absent => Answer::No("the API knows no such node".to_owned()),
        Fact::Unknown(why) => Answer::Unknown(format!("the API's word on the node is not known: {why}")),
        Fact::Known(node) => match &node.ready {
            Fact::Known(true) => Answer::Yes(format!("the API says that {} is Ready", node.name)),
            Fact::Known(false) => {
                let message = node.ready_message.known().map_or("", String::as_str);
                Answer::No(format!("the API says NotReady: {message}"))
            }
            Fact::Absent => Answer::No("the API does not say yet whether it is Ready".to_owned()),
            Fact::Unknown(why) => Answer::Unknown(format!("the API's word on the node is not known: {why}")),
        },
    }
}

fn loaded(network: &str, seen: &Seen) -> Answer {
    let unread = || Answer::Unknown("the container runtime's word was not read".to_owned());
    let Some(facts) = seen.facts() else { return unread() };
    let cri = &facts.containerd.cri;
    match (&cri.cni_load_status, &cri.networks) {
        (Fact::Known(status), _) if status != "OK" => Answer::No(format!("the runtime loaded no network: {status}")),
        (Fact::Known(_), Fact::Known(networks)) if networks.iter().any(|name| name == network) => {
            Answer::Yes(format!("the runtime loaded the network {network}: lastCNILoadStatus is OK"))
        }
        (Fact::Known(_), Fact::Known(networks)) => {
            let names = if networks.is_empty() { "none".to_owned() } else { networks.join(", ") };
            Answer::No(format!("the runtime loaded {names}, not the network {network}"))
        }
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
            Answer::Unknown(format!("the container runtime's word is not known: {why}"))
        }
        (Fact::Absent, _) | (_, Fact::Absent) => {
            let error = cri.error.known().map_or("it does not say", String::as_str);
            Answer::Unknown(format!("the container runtime's word is not known: {error}"))
        }
    }
}

/// `within 2m30s`
pub(super) fn within(time: Duration) -> String {
    format!("within {}", duration::exact(time))
}
