//! What several commands need: usage errors, secret questions, output, and the shared parts of a run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secrecy::SecretString;
use thiserror::Error;

use super::answers::{Answers, Asking};
use crate::checks::{BuiltIn, Checks};
use crate::cli::{BoundsArgs, ChecksArgs, TerminalArgs};
use crate::collect::{Collector, Host, Way};
use crate::config::Config;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::fanout::{Stop, Width};
use crate::interrupt::Interrupt;
use crate::inventory::model::{HostId, Inventory};
use crate::inventory::origin::Overrides;
use crate::parallel;
use crate::password_gate::PasswordGate;
use crate::reach::Visitor;
use crate::report::style::Style;
use crate::run::PlannedHost;
use crate::secret::secret;
use crate::ssh::config::Resolver;
use crate::ssh::known_hosts::{KnownHosts, Learner};
use crate::ssh::resolved::Route;
use crate::ssh::{Agents, Connector, ConnectorOptions, Deadlines, Destinations, KeyRing, limits};
use crate::target::{Role, Target, Via};
use crate::trust::distrust;
use crate::ui::{Display, Event, Events, Progress};

/// Wrong use that clap cannot see; the exit code is 64.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct UsageError(String);

impl UsageError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// For the work on one host once connected, unless told otherwise.
const HOST_DEADLINE: Duration = Duration::from_mins(1);
/// For the whole run, unless told otherwise.
const RUN_DEADLINE: Duration = Duration::from_mins(30);
/// How long the end waits for a terminal that does not read.
const TERMINAL_PATIENCE: Duration = Duration::from_secs(2);

/// Asks on the terminal, without echo. `instead` says what to do where there is none.
pub(super) fn ask_secret(what: &str, instead: &str) -> anyhow::Result<SecretString> {
    rpassword::prompt_password(format!("{what}: "))
        .map(secret)
        .with_context(|| format!("there is no terminal to ask for the {what} on; {instead}"))
}

/// The terminal itself, as standard input may be an inventory.
fn terminal() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

/// There is somebody to ask.
pub(super) fn has_terminal() -> bool {
    terminal().is_ok()
}

/// Asks a question, which may be untrusted text of several lines. No terminal is a no.
pub(super) fn confirm(question: &str, events: &Events) -> bool {
    let ask = || -> io::Result<bool> {
        let mut terminal = terminal()?;
        let _screen = events.hold();
        // Over the progress line.
        terminal.write_all(b"\r\x1b[K")?;
        terminal.write_all(crate::text::sanitize_block(question.as_bytes()).as_bytes())?;
        let mut answer = String::new();
        io::BufReader::new(terminal).read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    };
    ask().unwrap_or(false)
}

/// Prints a part of the result while the display goes on, which keeps quiet meanwhile.
pub(super) fn print_between(
    events: &Events,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let _screen = events.hold();
    if io::stderr().is_terminal() {
        // Nobody is left to see the progress line when standard error is closed.
        let _ = io::stderr().write_all(b"\r\x1b[K");
    }
    print(write)
}

/// Whether somebody still reads standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Reads,
    /// It has seen enough (`| head`).
    Gone,
}

/// Lets `write` fill standard output. A reader that went away is no error.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    print_to_reader(write).map(|_| ())
}

/// The same for whoever wants to print more afterwards.
pub(super) fn print_to_reader(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<Reader> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}

/// Says on standard error what is odd.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        // Nobody is left to read it when standard error is closed.
        let _ = writeln!(io::stderr(), "warning: {}", crate::text::sanitize(warning));
    }
}

/// How text on standard output may look.
pub(super) fn style(terminal: &TerminalArgs, environment: &Environment) -> Style {
    Style::choose(terminal.color, environment.columns(), |name| environment.variable(name))
}

/// The display on standard error.
pub(super) fn display(terminal: &TerminalArgs, environment: &Environment) -> (Events, Display) {
    let unwanted = terminal.no_progress || terminal.quiet;
    let term = environment.variable("TERM");
    let progress = Progress::choose(environment.stderr_terminal, term.as_deref(), unwanted);
    Display::start(progress, style(terminal, environment).unicode)
}

/// Ends the display, so that the report is not drawn over.
pub(super) fn end_display(display: Display) {
    display.finish(TERMINAL_PATIENCE);
}

/// A runtime on all cores.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(limits::MOST_LOOKUPS)
        .enable_all()
        .build()
        .context("cannot start the threads that talk to the hosts; look at this machine's limits (ulimit -a)")
}

/// The bounds of a run: flags over configuration over defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) deadlines: Deadlines,
    pub(super) host: Duration,
    pub(super) run: Duration,
    pub(super) forks: Option<usize>,
    pub(super) reach: crate::reach::Bounds,
}

impl Bounds {
    pub(super) fn new(args: &BoundsArgs, config: &Config) -> Self {
        let file = &config.timeouts;
        let default = Deadlines::default();
        let forks = args.forks.or(config.forks.map(std::num::NonZeroU32::get));
        Self {
            deadlines: Deadlines {
                dns: args.dns_timeout.or(file.dns).unwrap_or(default.dns),
                tcp: args.connect_timeout.or(file.connect).unwrap_or(default.tcp),
                handshake: args.kex_timeout.or(file.kex).unwrap_or(default.handshake),
                auth: args.auth_timeout.or(file.auth).unwrap_or(default.auth),
                open: args.open_timeout.or(file.open).unwrap_or(default.open),
            },
            host: args.timeout.or(file.host).unwrap_or(HOST_DEADLINE),
            run: args.deadline.or(file.run).unwrap_or(RUN_DEADLINE),
            forks: forks.and_then(|forks| usize::try_from(forks).ok()),
            reach: crate::reach::Bounds::default(),
        }
    }
}

/// A host of the plan: what the inventory makes of it.
pub(super) struct Planned {
    pub(super) host: PlannedHost,
    pub(super) target: Result<Target, Failure>,
    /// It is another shard's to read.
    pub(super) elsewhere: bool,
}

/// The chosen hosts with their settings. One that cannot be used keeps its failure.
pub(super) fn plan(inventory: &Inventory, hosts: &[HostId], overrides: &Overrides) -> Vec<Planned> {
    let plan = |host: &HostId| Planned {
        host: PlannedHost {
            name: inventory.host_name(*host).to_owned(),
            groups: inventory.groups_of(*host).into_iter().map(str::to_owned).collect(),
            role: inventory.role(*host),
        },
        target: inventory.target(*host, overrides),
        elsewhere: false,
    };
    parallel::map(hosts, plan)
}

/// Everything that is ready before the first connection.
pub(super) struct Fleet {
    pub(super) hosts: Vec<Host>,
    pub(super) collector: Arc<Collector>,
    pub(super) width: Width,
    pub(super) stop: Stop,
    pub(super) known_hosts: Arc<KnownHosts>,
    /// Whether somebody can be asked about unknown host keys.
    pub(super) asking: Asking,
    learner: Learner,
}

/// Resolves every connection, unlocks the keys, and sets the bounds. Call within a runtime.
pub(super) async fn prepare(
    planned: Vec<Planned>,
    bounds: Bounds,
    environment: &Environment,
    interrupt: Interrupt,
    events: &Events,
    answers: &mut Answers,
) -> anyhow::Result<Fleet> {
    let destinations = Destinations::new(Resolver::new(crate::ssh::config::Environment::from_process()));
    let mut hosts = Vec::with_capacity(planned.len());
    // Of all shards, so that each of them guesses the same.
    let mut control_plane = None;
    for Planned { host, target, elsewhere } in planned {
        let guide = control_plane.is_none() && host.role == Some(Role::ControlPlane);
        if elsewhere && !guide {
            continue;
        }
        let host = resolve(host, target, &destinations).await;
        if guide {
            control_plane = dialled(&host);
        }
        if !elsewhere {
            hosts.push(host);
        }
    }
    for warning in destinations.resolver().take_warnings() {
        events.send(Event::Warning(warning));
    }

    let agents = Agents::new(environment.agent_socket.clone());
    let keys = unlock(&hosts, &agents, events, answers).await;
    let known_hosts = Arc::new(KnownHosts::new());
    let learner = Learner::start(Arc::clone(&known_hosts));
    let connector = Connector::new(ConnectorOptions {
        deadlines: bounds.deadlines,
        known_hosts: Arc::clone(&known_hosts),
        keys,
        agents,
        keepalive: Duration::from_secs(15),
    });
    let open_files = limits::raise_open_files();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let automatic = || {
        let width = limits::auto_width(hosts.len(), open_files, cores);
        if hosts.iter().any(has_proxy_command) { width.at_most(limits::MOST_PROCESSES) } else { width }
    };
    let width = bounds.forks.map_or_else(automatic, Width::exactly);
    let collector = Collector {
        connector,
        deadline: bounds.host,
        events: events.clone(),
        unknown_keys: Mutex::default(),
        learned: Mutex::default(),
        passwords: PasswordGate::default(),
        visitor: Visitor::new(bounds.reach),
        control_plane,
        waiting: Mutex::default(),
    };
    let (mut interrupted, told) = (interrupt.clone(), events.clone());
    tokio::spawn(async move {
        interrupted.wait().await;
        told.send(Event::Interrupted);
    });
    let stop = Stop { interrupt, deadline: Instant::now().checked_add(bounds.run) };
    Ok(Fleet { hosts, collector: Arc::new(collector), width, stop, known_hosts, asking: answers.asking(), learner })
}

fn has_proxy_command(host: &Host) -> bool {
    match &host.way {
        Way::Ssh(destination) => matches!(destination.resolved.route, Route::Command(_)),
        Way::Local | Way::None(_) => false,
    }
}

/// What is dialled for a host. For the first control plane it is as good a guess as there is at where the API is.
fn dialled(host: &Host) -> Option<String> {
    match &host.way {
        Way::Ssh(destination) => Some(destination.resolved.host.clone()),
        Way::Local | Way::None(_) => None,
    }
}

async fn resolve(host: PlannedHost, target: Result<Target, Failure>, destinations: &Destinations) -> Host {
    let target = match target {
        Ok(target) => target,
        Err(failure) => {
            let PlannedHost { name, groups, role } = host;
            let target = Target { name, groups, role, via: Via::Local, sudo: None, api_endpoint: None };
            return Host { target: Arc::new(target), way: Way::None(failure) };
        }
    };
    let way = match &target.via {
        Via::Local => Way::Local,
        Via::Ssh(settings) => match destinations.resolve(&target.name, settings).await {
            Ok(destination) => Way::Ssh(Arc::new(destination)),
            Err(failure) => Way::None(failure),
        },
    };
    Host { target: Arc::new(target), way }
}

/// Reads all key files, and asks once for each encrypted one that nothing else stands in for.
async fn unlock(hosts: &[Host], agents: &Agents, events: &Events, answers: &mut Answers) -> KeyRing {
    let connections = || {
        hosts.iter().filter_map(|host| match &host.way {
            Way::Ssh(destination) => Some(destination.connections()),
            Way::Local | Way::None(_) => None,
        })
    };
    let mut keys = KeyRing::load(connections().flatten());
    let locked = keys.locked(connections().flatten(), agents).await;
    keys.unlock_all(&locked, |key, wrong_so_far| answers.passphrase(key, wrong_so_far, events));
    keys
}

impl Fleet {
    /// Writes the host keys that were learned, and says aloud what could not be written. Returns the hosts for which another
    /// run learned a different key meanwhile: the key that they showed us is not the known one.
    pub(super) async fn settle_host_keys(&mut self) -> BTreeMap<String, Failure> {
        let Self { collector, learner, known_hosts, .. } = self;
        // What is learned from now on is the next one's.
        let report = std::mem::replace(learner, Learner::start(Arc::clone(known_hosts))).finish().await;
        for error in &report.errors {
            collector.events.send(Event::Warning(format!("host keys were not kept: {error}")));
        }
        for complaint in known_hosts.complaints() {
            collector.events.send(Event::Warning(complaint));
        }
        let learned = collector.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = report.conflicts.into_iter().filter_map(|(key, answer)| {
            let host = learned.get(&key.name)?;
            Some((host.clone(), answer.refusal()?))
        });
        refused.collect()
    }
}

/// The built-in checks with the user's own: those of `--checks`, else of the directory `checks` beside each inventory, unless
/// somebody else may write it.
pub(super) fn checks(args: &ChecksArgs, sources: &[String]) -> anyhow::Result<Checks> {
    own_checks(BuiltIn::load()?, args, sources)
}

/// The same, while something else is done that tells the sources. Both take as long as a key exchange or two.
pub(super) fn checks_beside<T>(
    args: &ChecksArgs,
    work: impl FnOnce() -> anyhow::Result<T>,
    sources: impl FnOnce(&T) -> &[String],
) -> anyhow::Result<(T, Checks)> {
    let (done, built_in) = thread::scope(|scope| {
        let built_in = scope.spawn(BuiltIn::load);
        let done = work();
        (done, built_in.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let done = done?;
    let checks = own_checks(built_in?, args, sources(&done))?;
    Ok((done, checks))
}

fn own_checks(built_in: BuiltIn, args: &ChecksArgs, sources: &[String]) -> anyhow::Result<Checks> {
    let beside = |source: &String| {
        let dir = Some(Path::new(source).parent()?.join("checks")).filter(|dir| dir.is_dir())?;
        let Some(why) = distrust(&dir) else { return Some(dir) };
        let which = dir.display();
        warn(&[format!("the checks in {which} are not obeyed: {why}; if you trust them, pass --checks {which}")]);
        None
    };
    let mut dirs: Vec<PathBuf> = match &args.dir {
        Some(dir) => vec![dir.clone()],
        None => sources.iter().filter_map(beside).collect(),
    };
    dirs.dedup();
    Ok(Checks::with(built_in, &dirs)?)
}

/// Where runs are kept.
pub(super) fn runs_directory(
    args: Option<&Path>,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<PathBuf> {
    let flag = args.or(config.run_dir.as_deref()).map(|path| environment.directory.join(path));
    Ok(crate::run::runs_directory(flag.as_deref(), environment.xdg_state.as_deref(), environment.home.as_deref())?)
}
