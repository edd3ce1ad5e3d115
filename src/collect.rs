//! The read side of a run: reaches each host, runs one thing there, and turns what came into a record or an output. Beside the
//! probe and after it, what the node can reach itself is tried over the same connection.
//!
//! A host's failure is part of its result. Nothing here judges what a node said, prints, or touches the disk.

mod answer;
mod open;

pub use open::Opened;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::failure::{Failure, FailureKind};
use crate::fanout::Stopped;
use crate::password_gate::PasswordGate;
use crate::probe::{self, Nonce, ScriptOptions};
use crate::reach::endpoint::{self, Candidate};
use crate::reach::visit::Notes;
use crate::reach::{ReachCapture, Visitor};
use crate::record::Record;
use crate::report::outputs::NodeOutput;
use crate::ssh::{Connector, Destination, ExecOutcome, ExecRequest, Exit, UnknownKey};
use crate::target::{Role, Sudo, Target};
use crate::timings::{Timings, millis};
use crate::ui::{Event, Events, HostOutcome};

/// A command's output beyond this is a failure, not a reason to fill the memory.
const COMMAND_STDOUT_CAP: usize = 16 << 20;
const COMMAND_STDERR_CAP: usize = 256 << 10;
/// Room for a control plane of 5,000 nodes and for noise.
const PROBE_STDOUT_CAP: usize = 20 << 20;
/// What login shells, sudo and a broken `sh` have to say.
const PROBE_STDERR_CAP: usize = 16 << 10;

/// One host of a run and the way to it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    pub target: Arc<Target>,
    pub way: Way,
}

/// How a host is reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// As a child of this process.
    Local,
    Ssh(Arc<Destination>),
    /// Its settings cannot be used.
    None(Failure),
}

impl Host {
    /// The jump host that it shares with others, nearest to this machine; `None` for a host that is reached directly.
    pub fn gate(&self) -> Option<String> {
        match &self.way {
            Way::Ssh(destination) => destination.hops.first().map(|hop| hop.address()),
            Way::Local | Way::None(_) => None,
        }
    }

    fn address(&self) -> String {
        match &self.way {
            Way::Local => "local".to_owned(),
            Way::Ssh(destination) => destination.resolved.endpoint(),
            Way::None(_) => String::new(),
        }
    }
}

/// What all hosts of a run share.
#[derive(Debug)]
pub struct Collector {
    pub connector: Connector,
    /// For the work on one host, once connected.
    pub deadline: Duration,
    pub events: Events,
    /// Keys that were refused because the user is to be asked about them, collected over all hosts.
    pub unknown_keys: Mutex<Vec<UnknownKey>>,
    /// The hosts whose keys were learned, by the names that the keys are filed under.
    pub learned: Mutex<BTreeMap<String, String>>,
    pub passwords: PasswordGate,
    pub visitor: Visitor,
    /// What is dialled for the run's first control plane.
    pub control_plane: Option<String>,
    /// Records of nodes whose probe is done and whose connections are still tried: a run that stops now keeps them.
    pub waiting: Mutex<BTreeMap<String, (Record, Notes)>>,
}

/// The probe's script for one run, with the word that marks its frames.
#[derive(Debug)]
pub struct Script {
    nonce: Nonce,
    /// For what may be a control plane.
    full: String,
    /// For hosts that the inventory calls workers: shorter, as it does not ask an API.
    worker: String,
}

impl Script {
    /// With a word that no node can have known.
    pub fn new(options: &ScriptOptions) -> Self {
        let nonce = Nonce::random();
        let full = probe::script(&nonce, options);
        let worker = probe::script(&nonce, &ScriptOptions { api: false, ..options.clone() });
        Self { nonce, full, worker }
    }

    fn text_for(&self, target: &Target) -> &str {
        if target.role == Some(Role::Worker) { &self.worker } else { &self.full }
    }
}

/// What came of one request on one host.
struct Reached {
    timings: Timings,
    outcome: Option<ExecOutcome>,
    failure: Option<Failure>,
}

impl Collector {
    /// Reads one host with the probe, and tries what the host can reach itself.
    pub async fn probe(&self, host: &Host, script: &Script) -> Record {
        self.begin(host);
        let record = self.look(host, script).await;
        self.done(host, record.failure.as_ref(), HostOutcome::Ok);
        record
    }

    /// The same for a host that is at work anyway: its progress is somebody else's to tell.
    pub async fn look(&self, host: &Host, script: &Script) -> Record {
        let command = probe::COMMAND.join(" ");
        let request = ExecRequest {
            command: &command,
            stdin: script.text_for(&host.target).as_bytes(),
            sudo: host.target.sudo.as_ref(),
            deadline: self.deadline,
            stdout_cap: PROBE_STDOUT_CAP,
            stderr_cap: PROBE_STDERR_CAP,
        };
        let mut record = blank(host);
        match self.open(host).await {
            Ok(opened) => {
                record = self.read(host, record, &opened, request, script).await;
                record.timings.total_ms = Some(millis(opened.close().await));
            }
            Err((failure, timings)) => {
                record.timings = timings;
                record.failure = Some(failure);
            }
        }
        record
    }

    /// The probe and, beside and after it, the visit to what the host can reach. The visit waits for nothing but itself: the
    /// probe's record is whole whatever comes of it.
    async fn read(
        &self,
        host: &Host,
        mut record: Record,
        opened: &Opened,
        request: ExecRequest<'_>,
        script: &Script,
    ) -> Record {
        let visit = self.visitor.visit(opened.line(), self.endpoint(&host.target));
        let (tell, told) = oneshot::channel();
        let mut visiting = Box::pin(visit.run(told));
        let reached = {
            let mut probing = Box::pin(self.run(host, opened, request));
            tokio::select! {
                biased;
                reached = &mut probing => reached,
                () = &mut visiting => probing.await,
            }
        };
        record.timings = reached.timings;
        record.failure = reached.failure;
        if let Some(outcome) = reached.outcome {
            answer::read(&mut record, &outcome, &script.nonce);
        }
        // A host that used up its time, or that is gone, gets no more of it.
        if record.failure.is_none() {
            let _ = tell.send(crate::facts::reach::wanted(&record));
            let name = record.name.clone();
            self.waiting().insert(name.clone(), (record, visit.notes()));
            let patience = self.visitor.bounds().after.min(self.deadline);
            let _ = timeout(patience, visiting).await;
            return self.finished(&name).unwrap_or_else(|| blank(host));
        }
        drop(visiting);
        record.reach = Some(take(&visit.notes()));
        record
    }

    /// The endpoint of the API that the run names for a host. A control plane that has none of its own is not up yet.
    fn endpoint(&self, target: &Target) -> Option<Candidate> {
        let guess = if target.role == Some(Role::ControlPlane) { None } else { self.control_plane.as_deref() };
        endpoint::of_run(target.api_endpoint.as_deref(), guess)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, (Record, Notes)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of a host whose probe is done, with what its visit found up to now.
    pub fn finished(&self, name: &str) -> Option<Record> {
        let (mut record, notes) = self.waiting().remove(name)?;
        record.reach = Some(take(&notes));
        Some(record)
    }

    /// Runs any command on one host.
    pub async fn command(&self, host: &Host, command: &str) -> NodeOutput {
        let request = ExecRequest {
            command,
            stdin: &[],
            sudo: host.target.sudo.as_ref(),
            deadline: self.deadline,
            stdout_cap: COMMAND_STDOUT_CAP,
            stderr_cap: COMMAND_STDERR_CAP,
        };
        self.begin(host);
        let Reached { outcome, mut failure, .. } = match self.open(host).await {
            Ok(opened) => {
                let reached = self.run(host, &opened, request).await;
                opened.close().await;
                reached
            }
            Err((failure, timings)) => Reached { timings, outcome: None, failure: Some(failure) },
        };
        let mut output = NodeOutput {
            name: host.target.name.clone(),
            exit: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            failure: None,
        };
        if let Some(outcome) = outcome {
            match &outcome.exit {
                Exit::Code(code) => output.exit = i32::try_from(*code).ok(),
                Exit::Signal(signal) => {
                    failure.get_or_insert_with(|| {
                        Failure::new(
                            FailureKind::ConnectionLost,
                            format!("the command was killed by signal {signal}"),
                            "look at the node's kernel log for the reason (out of memory?)",
                        )
                    });
                }
                Exit::Missing => {}
            }
            output.stdout = outcome.stdout;
            output.stderr = outcome.stderr;
        }
        let outcome = if output.exit == Some(0) { HostOutcome::Ok } else { HostOutcome::Problems };
        self.done(host, failure.as_ref(), outcome);
        output.failure = failure;
        output
    }

    /// The keys that the user is to be asked about.
    pub fn take_unknown_keys(&self) -> Vec<UnknownKey> {
        std::mem::take(&mut *self.unknown_keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs one command there.
    async fn run(&self, host: &Host, opened: &Opened, request: ExecRequest<'_>) -> Reached {
        let mut timings = opened.timings();
        match self.exec(host, request.sudo, opened.exec(request)).await {
            Ok(outcome) => {
                outcome.add_to(&mut timings);
                timings.total_ms = Some(millis(opened.begun.elapsed()));
                Reached { timings, failure: outcome.failure.clone(), outcome: Some(outcome) }
            }
            Err(failure) => Reached { timings, outcome: None, failure: Some(failure) },
        }
    }

    /// Lets a command run once its sudo password is not known to be wrong.
    async fn exec(
        &self,
        host: &Host,
        sudo: Option<&Sudo>,
        command: impl Future<Output = ExecOutcome>,
    ) -> Result<ExecOutcome, Failure> {
        let leave = self.passwords.enter(sudo.and_then(|sudo| sudo.password.as_ref())).await?;
        let outcome = command.await;
        leave.settle(&host.target.name, outcome.failure.as_ref());
        Ok(outcome)
    }

    fn begin(&self, host: &Host) {
        self.events.send(Event::HostStarted { name: host.target.name.clone() });
    }

    fn done(&self, host: &Host, failure: Option<&Failure>, otherwise: HostOutcome) {
        let outcome = failure.map_or(otherwise, |failure| HostOutcome::Failed(failure.kind));
        self.events.send(Event::HostDone { name: host.target.name.clone(), outcome });
    }
}

fn take(notes: &Notes) -> ReachCapture {
    std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The record of a host that nothing is known of yet.
fn blank(host: &Host) -> Record {
    let Target { name, groups, role, .. } = &*host.target;
    Record { address: host.address(), ..Record::blank(name.clone(), groups.clone(), *role) }
}

/// The failure of a host that was given up.
pub fn stopped(reason: &Stopped) -> Failure {
    match reason {
        Stopped::Interrupted => Failure::new(
            FailureKind::Interrupted,
            "the run was interrupted before this host was done",
            "sweep it again with --rerun unreachable",
        ),
        Stopped::Deadline => Failure::new(
            FailureKind::RunDeadline,
            "the deadline of the whole run came before this host was done",
            "sweep it again with --rerun unreachable, or give the run more time with --deadline",
        ),
        Stopped::Broken(error) => Failure::new(
            FailureKind::Local,
            format!("seaworthy itself broke on this host: {error}"),
            "please report this with the command that you ran",
        ),
    }
}

/// The record of a host that was given up.
pub fn stopped_record(host: &Host, reason: &Stopped) -> Record {
    Record { failure: Some(stopped(reason)), ..blank(host) }
}

/// The output of a host that was given up.
pub fn stopped_output(host: &Host, reason: &Stopped) -> NodeOutput {
    NodeOutput {
        name: host.target.name.clone(),
        exit: None,
        stdout: Vec::new(),
        stderr: Vec::new(),
        failure: Some(stopped(reason)),
    }
}
