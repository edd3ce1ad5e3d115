//! A whole run: the nodes of a plan in batches, each batch at once, until all are done or something says stop.
//!
//! Decides nothing that does not stand in the plan. What is begun is in the journal before it is begun, so that a run may end at
//! any moment; a run that is taken up again goes this same way, from where its journal says.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};

use super::batches::{Budget, batches};
use super::course::{Course, Ended, Standing};
use super::join::Limits;
use super::journal::file::Journal;
use super::journal::{Entry, Outcome};
use super::plan::{Decision, Plan};
use super::summary::Summary;
use super::verify::Sight;
use crate::checks::Checks;
use crate::collect::{Collector, Host};
use crate::fanout::Stop;
use crate::run::RunFile;
use crate::ui::{Event, HostOutcome};

/// Everything that a run of changes works with.
#[derive(Debug)]
pub struct ChangeRun<'r> {
    /// The run; its id names locks and kept files on the nodes.
    pub file: &'r RunFile,
    pub journal: &'r Journal,
    pub collector: &'r Collector,
    /// The nodes of the plan and all control planes.
    pub hosts: &'r [Host],
    /// Those of them that are control planes, by the inventory or by what was read: the API's word on a node is theirs.
    pub control_planes: &'r [String],
    pub checks: &'r Checks,
    /// Checks whose unknown the user accepted by name.
    pub accept_unknown: &'r [String],
    /// At most so many nodes at once.
    pub width: usize,
    /// When no further action is begun. What runs is not dropped.
    pub stop: &'r Stop,
    pub waits: Waits,
}

/// How long the parts of a change may take.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Between two looks at a node.
    pub poll: Duration,
    /// Until the check passes that an action was done for.
    pub check: Duration,
    /// Until the container runtime loaded a network.
    pub loaded: Duration,
    /// Until the API says Ready.
    pub ready: Duration,
    /// For a command of the playbook, and for `kubeadm reset`.
    pub command: Duration,
    /// Until a node that was lost in the middle of its work answers again: time for a reboot.
    pub reconnect: Duration,
    /// The parts of a join.
    pub join: Limits,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(3),
            check: Duration::from_mins(2),
            loaded: Duration::from_mins(1),
            ready: Duration::from_mins(5),
            command: Duration::from_mins(10),
            reconnect: Duration::from_mins(5),
            join: Limits::default(),
        }
    }
}

impl ChangeRun<'_> {
    pub(super) fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.target.name == name)
    }

    /// Why nothing further is to be begun.
    pub(super) fn is_over(&self) -> Option<Over> {
        if self.stop.interrupt.has_fired() {
            return Some(Over::Interrupted);
        }
        self.stop.deadline.is_some_and(|deadline| Instant::now() >= deadline).then_some(Over::Deadline)
    }

    pub(super) fn tell(&self, event: Event) {
        self.collector.events.send(event);
    }
}

/// Why a run begins nothing further, whatever its nodes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Interrupted,
    Deadline,
}

impl Over {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Interrupted => "the run was interrupted",
            Self::Deadline => "the deadline of the whole run passed",
        }
    }
}

/// Applies a plan; also goes on with one, from where the journal says that it is.
pub async fn run(run: &ChangeRun<'_>, plan: &Plan) -> Summary {
    let sight = Sight::new(run);
    let courses = courses(run, &sight, plan);
    let mut whole = Whole {
        run,
        courses: &courses,
        brake: Mutex::new(Brake { budget: Budget::new(&plan.strategy, courses.len()), stopped: None }),
        ended: Vec::new(),
        parallel: parallel(run, plan),
    };
    let (mut begun, mut fresh) = (Vec::new(), BTreeSet::new());
    for (index, course) in courses.iter().enumerate() {
        match course.standing() {
            Standing::Finished(outcome) => whole.count(index, Ended::Settled(outcome)).await,
            Standing::Begun => begun.push(index),
            Standing::Fresh => {
                fresh.insert(index);
            }
        }
    }
    run.tell(Event::RunStarted { hosts: begun.len() + fresh.len() });
    // What was left in the middle is settled whatever the budget says.
    whole.batch(0, begun, Brakes::Off).await;
    let all: Vec<usize> = (0..courses.len()).collect();
    for (number, batch) in batches(&plan.strategy, &all).into_iter().enumerate() {
        let left: Vec<usize> = batch.into_iter().filter(|index| fresh.contains(index)).collect();
        whole.batch(number + 1, left, Brakes::On).await;
    }
    whole.end().await
}

/// How many nodes at once.
pub(super) fn parallel(run: &ChangeRun<'_>, plan: &Plan) -> usize {
    let most = plan.strategy.parallel.map_or(run.width, |most| usize::try_from(most.get()).unwrap_or(run.width));
    most.min(run.width).max(1)
}

/// The nodes that are to be changed, in the plan's order.
pub(super) fn courses<'r>(run: &'r ChangeRun<'r>, sight: &'r Sight<'r>, plan: &'r Plan) -> Vec<Course<'r>> {
    let wanted = plan.nodes.iter().filter_map(|node| match &node.decision {
        Decision::Change { state, actions } => Some(Course { run, sight, node: &node.node, state, actions }),
        Decision::Nothing { .. } | Decision::Refused { .. } => None,
    });
    wanted.collect()
}

struct Whole<'w> {
    run: &'w ChangeRun<'w>,
    courses: &'w [Course<'w>],
    /// Nodes of a batch that are not begun yet look at it while others of it are at work.
    brake: Mutex<Brake>,
    /// By place among the courses.
    ended: Vec<(usize, Ended)>,
    parallel: usize,
}

struct Brake {
    budget: Budget,
    /// Why no further node is begun.
    stopped: Option<String>,
}

/// Whether a spent budget keeps a node from being taken up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brakes {
    On,
    Off,
}

impl Whole<'_> {
    fn brake(&self) -> MutexGuard<'_, Brake> {
        self.brake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on these nodes at once. Each is begun only if nothing says stop by then.
    async fn batch(&mut self, number: usize, batch: Vec<usize>, brakes: Brakes) {
        if batch.is_empty() || !self.goes_on(brakes) {
            return;
        }
        let nodes = batch.iter().map(|index| self.courses[*index].node.to_owned()).collect();
        if let Err(error) = self.run.journal.note(Entry::Batch { number, nodes }).await {
            return self.stop(error.to_string()).await;
        }
        let this = &*self;
        let work = stream::iter(batch).map(|index| async move {
            if !this.goes_on(brakes) {
                return None;
            }
            let ended = this.node(index).await;
            this.spend(index, &ended).await;
            Some((index, ended))
        });
        let ended: Vec<_> = work.buffer_unordered(self.parallel).collect().await;
        self.ended.extend(ended.into_iter().flatten());
    }

    fn goes_on(&self, brakes: Brakes) -> bool {
        self.run.is_over().is_none() && (brakes == Brakes::Off || self.brake().stopped.is_none())
    }

    async fn node(&self, index: usize) -> Ended {
        let course = &self.courses[index];
        // Nodes are many, and what a node needs is large.
        Box::pin(told(self.run, course.node, course.go())).await
    }

    async fn count(&mut self, index: usize, ended: Ended) {
        self.spend(index, &ended).await;
        self.ended.push((index, ended));
    }

    async fn spend(&self, index: usize, ended: &Ended) {
        let why = match ended {
            Ended::NotKept(error) => Some(error.clone()),
            Ended::Settled(_) | Ended::Unreachable(_) => {
                self.brake().budget.take(self.courses[index].node, &ended.outcome())
            }
        };
        if let Some(why) = why {
            self.stop(why).await;
        }
    }

    /// The first reason stays.
    async fn stop(&self, why: String) {
        if self.brake().stopped.is_some() {
            return;
        }
        self.brake().stopped = Some(why.clone());
        // Where the journal itself is the reason, there is nothing more to be done about it.
        let _ = self.run.journal.note(Entry::Stopped { why }).await;
    }

    async fn end(self) -> Summary {
        let stopped = self.brake().stopped.clone();
        summary(self.run, self.courses, self.ended, stopped).await
    }
}

/// What became of the nodes; the run is noted to have ended.
pub(super) async fn summary(
    run: &ChangeRun<'_>,
    courses: &[Course<'_>],
    mut ended: Vec<(usize, Ended)>,
    stopped: Option<String>,
) -> Summary {
    ended.sort_by_key(|(index, _)| *index);
    let touched: BTreeSet<usize> = ended.iter().map(|(index, _)| *index).collect();
    let name = |index: usize| courses[index].node.to_owned();
    let untouched: Vec<String> = (0..courses.len()).filter(|index| !touched.contains(index)).map(name).collect();
    let late = run.is_over().filter(|over| *over == Over::Deadline && !untouched.is_empty());
    let unreachable = ended.iter().filter(|(_, ended)| matches!(ended, Ended::Unreachable(_)));
    let summary = Summary {
        nodes: ended.iter().map(|(index, ended)| (name(*index), ended.outcome())).collect(),
        stopped: stopped.or(late.map(|over| over.words().to_owned())),
        unreachable: unreachable.map(|(index, _)| name(*index)).collect(),
        untouched,
        interrupted: run.stop.interrupt.has_fired(),
    };
    if let Err(error) = run.journal.note(Entry::Ended).await {
        run.tell(Event::Warning(error.to_string()));
    }
    summary
}

/// Tells progress about the work on one node.
pub(super) async fn told(run: &ChangeRun<'_>, node: &str, work: impl Future<Output = Ended>) -> Ended {
    run.tell(Event::HostStarted { name: node.to_owned() });
    let ended = work.await;
    let outcome = match &ended {
        Ended::Unreachable(failure) => HostOutcome::Failed(failure.kind),
        Ended::Settled(outcome) if is_good(outcome) => HostOutcome::Ok,
        Ended::Settled(_) | Ended::NotKept(_) => HostOutcome::Problems,
    };
    run.tell(Event::HostDone { name: node.to_owned(), outcome });
    ended
}

fn is_good(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. } | Outcome::Skipped { .. })
}
