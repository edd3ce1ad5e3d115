//! What the kubelet's next start depends on: its program, its flags, its runtime's socket, and what ended it last time.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::kubelet_config::KubeletConfig;
use super::listing::{self, FileKind};
use super::logs::{KUBELET_LOG, LogFacts, exit_classes};
use super::permissions::Permissions;
use super::read::{Reader, clip};
use super::unit::{Process, Unit};
use super::wiring::ConfiguredFlag;
use crate::upgrade::policy::Policy;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Start {
    /// The program that its unit runs.
    pub executable: Fact<String>,
    /// That program is there and can be run.
    pub executable_runs: Fact<bool>,
    /// Flags from files that its version no longer has.
    pub removed_flags: Fact<Vec<ConfiguredFlag>>,
    /// The socket where it looks for the container runtime.
    pub runtime_socket: Fact<String>,
    /// There is nothing at that path.
    pub runtime_socket_missing: Fact<bool>,
    /// The sockets of container runtimes that are there.
    pub runtime_sockets: Fact<Vec<String>>,
    /// The kinds of sentences that it said before it ended, or says in a life that does not last; none of one that stays.
    pub exit_classes: Fact<Vec<String>>,
}

/// What a start is told from.
pub(crate) struct Sources<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) permissions: &'a Permissions,
    pub(crate) unit: &'a Unit,
    pub(crate) process: &'a Fact<Process>,
    pub(crate) running: &'a Fact<bool>,
    pub(crate) flags: &'a [ConfiguredFlag],
    pub(crate) config: &'a KubeletConfig,
    pub(crate) minor: &'a Fact<u32>,
    pub(crate) log: &'a LogFacts,
}

/// Sockets that the probe looks for.
const SOCKETS: [&str; 5] = [
    CONTAINERD,
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/dockershim.sock",
    "/run/k3s/containerd/containerd.sock",
];
const CONTAINERD: &str = "/run/containerd/containerd.sock";

impl Start {
    pub(crate) fn parse(sources: &Sources<'_>) -> Self {
        let executable = sources.unit.exec_start.as_ref().and_then(|command| {
            let program = command.split_whitespace().next().map(|word| word.trim_matches(['"', '\'']));
            Fact::from_option(program.filter(|word| word.starts_with('/')).map(|word| clip(word, 200)))
        });
        let sockets = sockets(sources);
        let socket = runtime_socket(sources);
        Self {
            executable_runs: executable_runs(sources, &executable),
            executable,
            removed_flags: sources.minor.as_ref().map(|minor| {
                let gone = sources.flags.iter().filter(|flag| is_removed(&flag.flag, *minor));
                gone.cloned().collect()
            }),
            runtime_socket_missing: socket.as_ref().and_then(|socket| match &sockets {
                _ if !SOCKETS.contains(&socket.as_str()) => Fact::unknown("nobody looked for that socket"),
                Fact::Known(there) => Fact::Known(!there.contains(socket)),
                Fact::Absent => Fact::Known(true),
                Fact::Unknown(why) => Fact::unknown(why.as_str()),
            }),
            runtime_socket: socket,
            runtime_sockets: sockets,
            exit_classes: classes(sources),
        }
    }
}

/// A running one proves it. Of one that does not run, the file's kind and mode tell, or what systemd got when it tried.
fn executable_runs(sources: &Sources<'_>, executable: &Fact<String>) -> Fact<bool> {
    if sources.running.is_true() {
        return Fact::Known(true);
    }
    // What systemd says of the last start; of a unit that never ran it is 0.
    let refused = sources.unit.exit_status.as_ref().map(|status| *status == 203);
    if refused.is_true() || sources.log.has("exec_failed") {
        return Fact::Known(false);
    }
    executable.as_ref().and_then(|path| match sources.permissions.stat(path) {
        Fact::Known(stat) => match stat.kind {
            FileKind::File => stat.executable(),
            FileKind::Link => refused.map(|refused| !refused),
            _ => Fact::Known(false),
        },
        Fact::Absent => Fact::Known(false),
        Fact::Unknown(_) => refused.map(|refused| !refused),
    })
}

/// By the program's own table, which a test holds to be well-formed.
fn is_removed(flag: &str, minor: u32) -> bool {
    let row = Policy::built_in().ok().and_then(|policy| policy.removed_flag(flag));
    row.is_some_and(|row| minor >= row.removed_in.0)
}

/// The running command line decides, then the flags of files, then the configuration.
fn runtime_socket(sources: &Sources<'_>) -> Fact<String> {
    const FLAG: &str = "container-runtime-endpoint";
    let running = sources.process.as_ref().and_then(|process| process.flag(FLAG));
    let configured = sources.flags.iter().rev().find(|flag| flag.flag == FLAG).map(|flag| flag.value.clone());
    let given = running
        .known()
        .cloned()
        .or(configured)
        .map_or_else(|| sources.config.container_runtime_endpoint.clone(), Fact::Known);
    given.and_then(|endpoint| {
        let path = endpoint.strip_prefix("unix://").unwrap_or(&endpoint);
        let path = path.strip_prefix("/var/run/").map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"));
        Fact::from_option(path.starts_with('/').then(|| clip(&path, 200)))
    })
}

fn sockets(sources: &Sources<'_>) -> Fact<Vec<String>> {
    let listed = sources.reader.text("cri-sockets").map(|text| {
        let there = listing::parse(text).filter(|entry| entry.stat.is_known());
        there.map(|entry| entry.path.to_owned()).collect::<Vec<_>>()
    });
    match listed {
        Fact::Known(_) => listed,
        Fact::Absent => Fact::Known(Vec::new()),
        // A record without that list still tells about the one that most nodes have.
        Fact::Unknown(why) => match sources.permissions.exists(CONTAINERD) {
            Fact::Known(true) => Fact::Known(vec![CONTAINERD.to_owned()]),
            _ => Fact::Unknown(why),
        },
    }
}

fn classes(sources: &Sources<'_>) -> Fact<Vec<String>> {
    if sources.running.is_true() && !sources.unit.crash_looping.is_true() {
        return Fact::Known(Vec::new());
    }
    let present = sources.log.found.as_ref().map(|found| found.keys().cloned().collect::<Vec<_>>());
    let last = sources.reader.text_of("log-exit", "kubelet").map(|text| exit_classes(text, &KUBELET_LOG));
    match (present, last) {
        (Fact::Unknown(why), Fact::Unknown(_)) => Fact::Unknown(why),
        (present, last) => {
            let mut all: Vec<String> = present.known().into_iter().chain(last.known()).flatten().cloned().collect();
            all.sort_unstable();
            all.dedup();
            Fact::Known(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::containerd::Containerd;
    use super::super::kubelet::Kubelet;
    use super::super::packages::Packages;
    use super::super::read::test_support::record;
    use super::*;

    fn start(sections: &[(&str, &str, &str)]) -> Start {
        let record = record(sections);
        let reader = Reader::new(&record);
        let permissions = Permissions::parse(reader);
        let containerd = Containerd::parse(reader, &permissions, None);
        let kubelet = Kubelet::parse(reader, &permissions, &Packages::parse(reader), &containerd, Some(1000));
        Start::clone(&kubelet.start)
    }

    fn unit(status: i32) -> String {
        format!(
            "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nExecMainStatus={status}\n\
             ExecStart={{ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet $A ; ignore_errors=no }}\n"
        )
    }

    #[test]
    fn a_program_that_is_gone_or_cannot_be_run() {
        let runs =
            |status: i32, stat: &str| start(&[("unit", "kubelet", &unit(status)), ("stat", "", stat)]).executable_runs;
        assert_eq!(runs(1, "-\t/usr/bin/kubelet\n"), Fact::Known(false));
        assert_eq!(runs(1, "644 0:0 9 1 f\t/usr/bin/kubelet\n"), Fact::Known(false));
        assert_eq!(runs(1, "755 0:0 9 1 d\t/usr/bin/kubelet\n"), Fact::Known(false));
        assert_eq!(runs(1, "755 0:0 9 1 f\t/usr/bin/kubelet\n"), Fact::Known(true));
        assert_eq!(runs(203, "755 0:0 9 1 f\t/usr/bin/kubelet\n"), Fact::Known(false));
    }

    #[test]
    fn removed_flags_are_those_of_the_version() {
        let removed = |version: &str| {
            let package = format!("kubelet {version} ii\n");
            let env = "KUBELET_EXTRA_ARGS=\"--network-plugin=cni --pod-infra-container-image=x\"\n";
            let start = start(&[("packages", "", &package), ("env-file", "/etc/sysconfig/kubelet", env)]);
            start.removed_flags.map(|flags| flags.into_iter().map(|flag| flag.flag).collect::<Vec<_>>())
        };
        assert_eq!(removed("1.23.1"), Fact::Known(vec![]));
        assert_eq!(removed("1.29.15-1.1"), Fact::Known(vec!["network-plugin".to_owned()]));
        assert_eq!(
            removed("1.35.0"),
            Fact::Known(vec!["network-plugin".to_owned(), "pod-infra-container-image".to_owned()])
        );
    }

    #[test]
    fn the_socket_it_looks_for() {
        let env = (
            "env-file",
            "/var/lib/kubelet/kubeadm-flags.env",
            "A=\"--container-runtime-endpoint=unix:///var/run/crio/crio.sock\"\n",
        );
        let other = start(&[env, ("cri-sockets", "", "660 0:0 0 1 s\t/run/containerd/containerd.sock\n")]);
        assert_eq!(other.runtime_socket, Fact::Known("/run/crio/crio.sock".to_owned()));
        assert_eq!(other.runtime_socket_missing, Fact::Known(true));
        let same = start(&[env, ("cri-sockets", "", "660 0:0 0 1 s\t/run/crio/crio.sock\n")]);
        assert_eq!(same.runtime_socket_missing, Fact::Known(false));
        assert!(start(&[env]).runtime_socket_missing.is_unknown());
        assert!(!start(&[]).runtime_socket_missing.is_true());
    }

    #[test]
    fn what_ended_it() {
        let exit = "1.0 n kubelet[9]: E run.go:74] \"command failed\" err=\"failed to parse kubelet flag: unknown flag: --network-plugin\"\n\
                    1.1 n systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE\n";
        let looping = start(&[("unit", "kubelet", &unit(1)), ("log-exit", "kubelet", exit)]);
        assert_eq!(looping.exit_classes, Fact::Known(vec!["unknown_flag".to_owned()]));
        let stays = "LoadState=loaded\nActiveState=active\nSubState=running\n";
        let running = [
            ("unit", "kubelet", stays),
            ("process", "kubelet", "pid=9\narg=/usr/bin/kubelet\n"),
            ("log-exit", "kubelet", exit),
        ];
        assert_eq!(start(&running).exit_classes, Fact::Known(vec![]));
    }
}
