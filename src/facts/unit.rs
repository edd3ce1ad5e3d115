//! A systemd unit as `systemctl show` prints it, and the processes that the probe found.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::{Keys, Reader, flag, number};

/// How a unit stands, from its load, active and sub state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    NotFound,
    Masked,
    /// The unit file is there and systemd cannot use it.
    Broken,
    Running,
    Starting,
    /// It exited, and systemd waits before it starts it again.
    Restarting,
    Failed,
    Stopped,
}

/// One unit. Everything but `state` is absent when systemd does not know the unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Unit {
    pub state: Fact<UnitState>,
    pub running: Fact<bool>,
    /// It ends again and again: systemd waits to restart it, or has just restarted it for at least the third time.
    pub crash_looping: Fact<bool>,
    /// `UnitFileState` is `enabled` (or a form of it that starts at boot).
    pub enabled: Fact<bool>,
    pub masked: Fact<bool>,
    /// `Result` of the last run: `success`, `exit-code`, `signal` ...
    pub result: Fact<String>,
    /// Exit status of the last main process; 203 means that the program could not be run.
    pub exit_status: Fact<i32>,
    /// `NRestarts`.
    pub restarts: Fact<u32>,
    pub main_pid: Fact<u32>,
    /// When it became active, in seconds since 1970.
    pub active_since: Fact<i64>,
    /// The unit's files changed and `systemctl daemon-reload` did not run.
    pub needs_reload: Fact<bool>,
    pub path: Fact<String>,
    /// The drop-ins that systemd has loaded.
    pub drop_ins: Fact<Vec<String>>,
    /// The command line of `ExecStart`, with variables as written.
    pub exec_start: Fact<String>,
    /// `Environment`, as printed.
    pub environment: Fact<String>,
    pub invocation_id: Fact<String>,
}

impl Unit {
    /// `now`: the node's clock in seconds.
    pub(crate) fn parse(reader: Reader<'_>, name: &str, now: Option<i64>) -> Self {
        let keys = reader.keys_of("unit", name);
        let load = match keys.read() {
            Fact::Known(()) => keys.get("LoadState"),
            Fact::Absent => Fact::Known("not-found"),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        let file_state = keys.get("UnitFileState");
        let masked = load.clone().map(|load| load == "masked" || file_state == Fact::Known("masked"));
        if load == Fact::Known("not-found") {
            return Self::not_found();
        }
        let state = load.and_then(|load| state(load, &keys));
        let restarts = keys.number::<u32>("NRestarts");
        let active_since = keys.get("ActiveEnterTimestamp").and_then(timestamp).or_else(|| {
            // Older systemd prints words in some time zone; the time since boot it always prints.
            let since_boot = keys.number::<i64>("ActiveEnterTimestampMonotonic");
            let since_boot =
                since_boot.and_then(|micros| Fact::from_option((micros != 0).then_some(micros / 1_000_000)));
            since_boot.and_then(|seconds| match now.zip(uptime(reader)) {
                Some((now, uptime)) => Fact::Known(now.saturating_sub(uptime).saturating_add(seconds)),
                None => Fact::unknown("the time of the boot is not known"),
            })
        });
        let restarted =
            active_since.is_known_and(|since| restarted_at(reader, name).any(|at| (at..=at + 2).contains(since)));
        let young = now.zip(active_since.known()).is_some_and(|(now, since)| now.saturating_sub(*since) < 30);
        let crash_looping = state.clone().map(|state| match state {
            UnitState::Restarting => true,
            UnitState::Running | UnitState::Starting => {
                young && restarted && restarts.is_known_and(|restarts| *restarts >= 3)
            }
            _ => false,
        });
        Self {
            running: state.clone().map(|state| state == UnitState::Running),
            crash_looping,
            enabled: file_state.map(|state| {
                matches!(
                    state,
                    "enabled" | "enabled-runtime" | "static" | "alias" | "linked" | "indirect" | "generated"
                )
            }),
            masked,
            result: keys.text("Result"),
            exit_status: keys.number("ExecMainStatus"),
            restarts,
            main_pid: keys.number::<u32>("MainPID").and_then(|pid| Fact::from_option((pid != 0).then_some(pid))),
            active_since,
            needs_reload: keys.get("NeedDaemonReload").and_then(flag),
            path: non_empty(keys.get("FragmentPath")),
            drop_ins: keys.get("DropInPaths").map(|paths| paths.split_whitespace().map(str::to_owned).collect()),
            exec_start: keys.get("ExecStart").and_then(argv),
            environment: non_empty(keys.get("Environment")),
            invocation_id: non_empty(keys.get("InvocationID")),
            state,
        }
    }

    fn not_found() -> Self {
        Self {
            state: Fact::Known(UnitState::NotFound),
            running: Fact::Known(false),
            crash_looping: Fact::Known(false),
            enabled: Fact::Absent,
            masked: Fact::Known(false),
            result: Fact::Absent,
            exit_status: Fact::Absent,
            restarts: Fact::Absent,
            main_pid: Fact::Absent,
            active_since: Fact::Absent,
            needs_reload: Fact::Absent,
            path: Fact::Absent,
            drop_ins: Fact::Absent,
            exec_start: Fact::Absent,
            environment: Fact::Absent,
            invocation_id: Fact::Absent,
        }
    }

    pub fn is(&self, state: UnitState) -> bool {
        self.state == Fact::Known(state)
    }
}

/// When systemd restarted the unit by itself, as its journal says. The counter alone does not tell: it outlives a start by
/// hand, so a kubelet that waited for its join and then joined has restarts and is well.
fn restarted_at<'a>(reader: Reader<'a>, name: &'a str) -> impl Iterator<Item = i64> + use<'a> {
    let text = reader.text_of("log-exit", name).known().copied().unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains("Scheduled restart job"));
    lines.filter_map(|line| line.split(['.', ' ']).next()?.parse::<i64>().ok().filter(|at| *at < i64::MAX - 2))
}

fn uptime(reader: Reader<'_>) -> Option<i64> {
    let uptime = reader.keys("ident").get("uptime");
    uptime.known().and_then(|text| text.split(['.', ' ']).next()?.parse().ok())
}

fn state(load: &str, keys: &Keys<'_>) -> Fact<UnitState> {
    match load {
        "masked" => return Fact::Known(UnitState::Masked),
        "loaded" => {}
        _ => return Fact::Known(UnitState::Broken),
    }
    let sub = keys.get("SubState");
    keys.get("ActiveState").and_then(|active| {
        Fact::Known(match active {
            "active" => UnitState::Running,
            "activating" if sub == Fact::Known("auto-restart") => UnitState::Restarting,
            "activating" | "reloading" | "refreshing" => UnitState::Starting,
            "failed" => UnitState::Failed,
            "inactive" | "deactivating" | "maintenance" => UnitState::Stopped,
            other => return Fact::unknown(format!("unknown state {}", super::read::clip(other, 40))),
        })
    })
}

fn non_empty(text: Fact<&str>) -> Fact<String> {
    text.and_then(|text| Fact::from_option((!text.is_empty()).then(|| text.to_owned())))
}

/// `@1694367294` (`--timestamp=unix`); anything else depends on a time zone's name.
fn timestamp(text: &str) -> Fact<i64> {
    match text.trim().strip_prefix('@') {
        Some(seconds) => number(seconds),
        None if text.trim().is_empty() || text.trim() == "n/a" => Fact::Absent,
        None => Fact::unknown("this systemd does not print times in seconds"),
    }
}

/// The `argv[]=` of `{ path=... ; argv[]=... ; ignore_errors=no ; ... }`; of several commands, the last.
fn argv(text: &str) -> Fact<String> {
    let Some((_, rest)) = text.rsplit_once("argv[]=") else {
        return Fact::from_option((!text.trim().is_empty()).then(|| text.trim().to_owned()));
    };
    let end = rest.find(" ; ").unwrap_or(rest.len());
    Fact::Known(rest[..end].trim().to_owned())
}

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Process {
    pub pid: Fact<u32>,
    /// Seconds since 1970.
    pub started: Fact<i64>,
    pub executable: Fact<String>,
    /// The command line as the kernel has it, the program first.
    pub arguments: Fact<Vec<String>>,
}

impl Process {
    /// The value of `--name value` or `--name=value`; the last one counts, and a flag without value is `""`.
    pub(crate) fn flag(&self, name: &str) -> Fact<String> {
        self.arguments.as_ref().and_then(|arguments| Fact::from_option(flag_value(arguments, name)))
    }
}

/// See [`Process::flag`]; one or two dashes, as Go's flag packages accept them.
pub(crate) fn flag_value(arguments: &[String], name: &str) -> Option<String> {
    let mut value = None;
    for (index, argument) in arguments.iter().enumerate() {
        let Some(rest) = argument.trim_start_matches('-').strip_prefix(name) else { continue };
        if !argument.starts_with('-') {
            continue;
        }
        if let Some(inline) = rest.strip_prefix('=') {
            value = Some(inline.to_owned());
        } else if rest.is_empty() {
            let next = arguments.get(index + 1).filter(|next| !next.starts_with('-'));
            value = Some(next.cloned().unwrap_or_default());
        }
    }
    value
}

/// The processes of that name; absent when the probe looked and found none.
pub(crate) fn processes(reader: Reader<'_>, name: &str) -> Fact<Vec<Process>> {
    let found: Vec<_> = reader.each("process").filter(|(arg, _)| *arg == name).map(|(_, text)| text).collect();
    if found.is_empty() {
        return reader.none_of("process");
    }
    if found.iter().all(|text| !text.is_known()) {
        let why = found.iter().find_map(|text| text.reason());
        return why.map_or(Fact::Absent, Fact::unknown);
    }
    let read = found.into_iter().filter(Fact::is_known).map(Keys::new);
    let processes: Vec<_> = read
        .filter(|keys| !has_ended(keys))
        .map(|keys| Process {
            pid: keys.number("pid"),
            started: keys.number("start"),
            executable: keys.text("exe"),
            arguments: keys.values("arg"),
        })
        .collect();
    if processes.is_empty() { Fact::Absent } else { Fact::Known(processes) }
}

/// A zombie, or what ended between the list of processes and the look at this one: neither has a command line. One that
/// hangs in the kernel (`D`) lives, and its command line may not be readable in time.
fn has_ended(keys: &Keys<'_>) -> bool {
    keys.get("state") == Fact::Known("Z")
        || (keys.get("state") != Fact::Known("D") && keys.all().iter().all(|(key, _)| *key != "arg"))
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;

    fn unit(text: &str) -> Unit {
        Unit::parse(Reader::new(&record(&[("unit", "kubelet", text)])), "kubelet", Some(1000))
    }

    #[test]
    fn states() {
        let cases = [
            ("LoadState=not-found\nActiveState=inactive\nSubState=dead\n", UnitState::NotFound),
            ("LoadState=masked\nActiveState=inactive\nSubState=dead\n", UnitState::Masked),
            ("LoadState=bad-setting\nActiveState=inactive\nSubState=dead\n", UnitState::Broken),
            ("LoadState=loaded\nActiveState=active\nSubState=running\n", UnitState::Running),
            ("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n", UnitState::Restarting),
            ("LoadState=loaded\nActiveState=activating\nSubState=start\n", UnitState::Starting),
            ("LoadState=loaded\nActiveState=failed\nSubState=failed\n", UnitState::Failed),
            ("LoadState=loaded\nActiveState=inactive\nSubState=dead\n", UnitState::Stopped),
        ];
        for (text, expected) in cases {
            assert_eq!(unit(text).state, Fact::Known(expected), "{text}");
        }
        assert!(unit("LoadState=loaded\nActiveState=levitating\n").state.is_unknown());
    }

    #[test]
    fn a_unit_that_systemd_has_just_brought_back_is_crash_looping() {
        let looping = |restarts: u32, since: i64, scheduled: i64| {
            let unit = format!(
                "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts={restarts}\nActiveEnterTimestamp=@{since}\n"
            );
            let log = format!(
                "{scheduled}.5 n systemd[1]: kubelet.service: Scheduled restart job, restart counter is at 3.\n"
            );
            let record = record(&[("unit", "kubelet", &unit), ("log-exit", "kubelet", &log)]);
            Unit::parse(Reader::new(&record), "kubelet", Some(1000)).crash_looping
        };
        assert_eq!(looping(7, 995, 995), Fact::Known(true));
        assert_eq!(looping(7, 500, 500), Fact::Known(false), "it has run for a while");
        assert_eq!(looping(0, 995, 995), Fact::Known(false));
        assert_eq!(looping(3, 995, 986), Fact::Known(false), "kubeadm started it, after it had waited in a loop");
    }

    #[test]
    fn paths_times_and_the_command_line() {
        let unit = unit(
            "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=0\nDropInPaths=/a/10-kubeadm.conf /b/20.conf\n\
             ExecStart={ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS ; ignore_errors=no ; pid=1 }\n\
             ActiveEnterTimestamp=Wed 2025-09-10 13:40:54 EDT\nFragmentPath=\nUnitFileState=enabled\n",
        );
        assert_eq!(unit.drop_ins, Fact::Known(vec!["/a/10-kubeadm.conf".to_owned(), "/b/20.conf".to_owned()]));
        assert_eq!(unit.exec_start, Fact::Known("/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS".to_owned()));
        assert_eq!(unit.main_pid, Fact::Absent);
        assert_eq!(unit.path, Fact::Absent);
        assert!(unit.active_since.is_unknown());
        assert_eq!(unit.enabled, Fact::Known(true));
    }

    #[test]
    fn the_time_since_boot_serves_where_systemd_prints_words() {
        let text = "LoadState=loaded\nActiveState=active\nSubState=running\nActiveEnterTimestamp=Wed 2025-09-10 13:40:54 EDT\n\
                    ActiveEnterTimestampMonotonic=100000000\n";
        let record = record(&[("unit", "kubelet", text), ("ident", "", "uptime=600.25 9.9\n")]);
        assert_eq!(Unit::parse(Reader::new(&record), "kubelet", Some(1000)).active_since, Fact::Known(500));
    }

    #[test]
    fn without_systemctl_everything_is_unknown() {
        let record = record_of(vec![section("unit", "kubelet", 127, "")]);
        let unit = Unit::parse(Reader::new(&record), "kubelet", None);
        assert_eq!(unit.state, Fact::unknown("systemctl is not installed"));
        assert!(unit.running.is_unknown());
    }

    #[test]
    fn flags_of_both_forms() {
        let arguments: Vec<String> =
            ["/usr/bin/kubelet", "--config=/a", "--kubeconfig", "/b", "--config=/c", "-v", "--x"]
                .map(str::to_owned)
                .to_vec();
        assert_eq!(flag_value(&arguments, "config").as_deref(), Some("/c"));
        assert_eq!(flag_value(&arguments, "kubeconfig").as_deref(), Some("/b"));
        assert_eq!(flag_value(&arguments, "x").as_deref(), Some(""));
        assert_eq!(flag_value(&arguments, "kube"), None);
    }

    #[test]
    fn no_process_is_absent_only_when_the_probe_looked() {
        let with =
            record(&[("process", "kubelet", "pid=2214\nstart=900\nexe=/usr/bin/kubelet\narg=/usr/bin/kubelet\n")]);
        let found = processes(Reader::new(&with), "kubelet");
        assert_eq!(found.known().unwrap()[0].arguments, Fact::Known(vec!["/usr/bin/kubelet".to_owned()]));
        assert_eq!(processes(Reader::new(&with), "k3s"), Fact::Absent);
        let mut cut = record(&[]);
        cut.probe.as_mut().unwrap().complete = false;
        assert!(processes(Reader::new(&cut), "kubelet").is_unknown());
    }

    #[test]
    fn what_ended_while_it_was_looked_at_does_not_run_and_what_hangs_does() {
        let of = |state: &str| {
            let text = format!("pid=2214\nppid=1\nstate={state}\nstart=900\nexe!permission denied\ncgroup=\n");
            processes(Reader::new(&record(&[("process", "kubelet", &text)])), "kubelet")
        };
        assert_eq!((of("S"), of("R"), of("Z")), (Fact::Absent, Fact::Absent, Fact::Absent));
        assert!(of("D").is_known());
    }
}
