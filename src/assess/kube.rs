//! The areas of Kubernetes itself: containerd, CNI, kubelet, API.

use std::fmt::Write as _;

use super::Context;
use super::cell::{Cell, few};
use crate::facts::Fact;
use crate::facts::cni::{Cni, PluginProblem};
use crate::facts::unit::UnitState;
use crate::facts::wiring::DropInState;
use crate::verdict::{Area, AreaCell, Phase, Verdict};

/// How long a node may be without network after it joined, in seconds: flannel's pod has to be pulled and started.
const STARTING: i64 = 300;

pub(super) fn containerd(context: &Context<'_>) -> AreaCell {
    let containerd = &context.facts.containerd;
    let mut cell = Cell::new(Area::Containerd);
    let state = containerd.unit.state.known().copied();
    let running = containerd.unit.running.clone().or_else(|| containerd.process.clone());
    if !containerd.process.is_true() && matches!(state, None | Some(UnitState::NotFound)) && !running.is_true() {
        if let Some(other) = containerd.other_runtimes.first() {
            return cell.finish(other.as_str());
        }
        if context.is_unprepared() {
            return Cell::not_applicable(Area::Containerd);
        }
    }
    match state {
        Some(UnitState::Running) => {}
        Some(UnitState::NotFound) if containerd.process.is_true() => {}
        Some(state) => cell.fail(state_word(state), format!("containerd {}", state_sentence(state))),
        None if running.is_false() => cell.fail("down", "containerd is down: no such process runs"),
        None => {}
    }
    if containerd.unit.crash_looping.is_true() && state == Some(UnitState::Running) {
        cell.fail("restarting", "containerd restarts again and again");
    }
    if cell.need("containerd", &running).is_some_and(|running| *running) {
        cri(context, &mut cell);
    }
    if containerd.config.disabled_name_invalid.is_true() {
        cell.fail("config", "containerd's configuration disables a plugin by its short name: it will not start");
    } else if let Some(why) = containerd.config_source.reason().filter(|why| why.starts_with("no valid TOML")) {
        cell.warn("config", format!("containerd's configuration cannot be read: {why}"));
    }
    if containerd.config_newer_than_daemon.is_true() {
        cell.warn("restart due", "containerd's configuration changed after it started: restart it to apply the change");
    }
    cell.finish(containerd.version.known().map_or("running", String::as_str))
}

/// What the running daemon serves.
fn cri(context: &Context<'_>, cell: &mut Cell) {
    let containerd = &context.facts.containerd;
    let cri = &containerd.cri;
    if containerd.config.cri_disabled.is_true() || cri.unimplemented.is_true() {
        cell.fail("CRI disabled", "containerd's CRI plugin is off: the kubelet cannot use it");
        return;
    }
    if cri.answers.is_false() {
        let why = cri.error.known().map_or("no reason given", String::as_str);
        cell.fail("CRI fails", format!("containerd's CRI does not answer: {why}"));
    } else if !cri.answers.is_true() && !containerd.config.cri_disabled.is_known() {
        // Either would do: the answer of the CRI, or a configuration that has it on.
        cell.need("CRI", &containerd.config.cri_disabled);
    }
    if cri.runtime_ready.is_false() {
        cell.fail("not ready", "the container runtime says that it is not ready");
    }
    let standalone = context.facts.kubelet.standalone.is_true();
    let kubelet = &context.facts.kubelet;
    if kubelet.cgroup_driver_differs.is_true() && !standalone {
        let driver = kubelet.cgroup_driver.known().map_or("another", String::as_str);
        let own = if containerd.systemd_cgroup.is_true() { "systemd" } else { "cgroupfs" };
        let mut reason = format!("cgroup drivers differ: kubelet {driver}, containerd {own}");
        let lines = containerd.systemd_cgroup_lines.known().map_or(&[][..], Vec::as_slice);
        if let (true, Some(line)) =
            (containerd.systemd_cgroup_misplaced.is_true(), lines.iter().find(|line| line.value))
        {
            let _ = write!(reason, " (line {} of {} stands outside the runtime's table)", line.line, line.path);
        }
        cell.add(if context.is_joined() { Verdict::Fail } else { Verdict::Warn }, "cgroup driver", reason);
    } else if containerd.systemd_cgroup_misplaced.is_true() {
        cell.warn("config", "a SystemdCgroup line stands where containerd does not read it");
    }
}

const fn state_word(state: UnitState) -> &'static str {
    match state {
        UnitState::NotFound => "not installed",
        UnitState::Masked => "masked",
        UnitState::Broken => "broken unit",
        UnitState::Running => "running",
        UnitState::Starting => "starting",
        UnitState::Restarting => "restarting",
        UnitState::Failed | UnitState::Stopped => "down",
    }
}

const fn state_sentence(state: UnitState) -> &'static str {
    match state {
        UnitState::NotFound => "is not installed: systemd knows no such unit",
        UnitState::Masked => "is masked: systemd will not start it",
        UnitState::Broken => "cannot be started: its unit file is broken",
        UnitState::Running => "runs",
        UnitState::Starting => "is starting",
        UnitState::Restarting => "restarts again and again",
        UnitState::Failed => "is down: it failed",
        UnitState::Stopped => "is down: it was stopped",
    }
}

pub(super) fn cni(context: &Context<'_>) -> AreaCell {
    if context.is_unprepared() {
        return Cell::not_applicable(Area::Cni);
    }
    let cni = &context.facts.cni;
    let mut cell = Cell::new(Area::Cni);
    let Some(count) = cell.need("CNI configuration", &cni.file_count) else { return cell.finish("") };
    if *count == 0 {
        no_config(context, &mut cell);
        return cell.finish("");
    }
    // A fault of the configuration stops pods; before a join there are none.
    let severity = if context.is_joined() { Verdict::Fail } else { Verdict::Warn };
    if let (Some(false), Fact::Known(why)) = (cell.need("CNI configuration", &cni.valid), &cni.error) {
        cell.add(severity, "invalid", format!("the CNI config that decides is invalid: {why}"));
    }
    if let Some((first, hidden)) = shadowed(cni) {
        let plugin = cni.first_plugins.known().and_then(|plugins| plugins.first()).map_or("?", String::as_str);
        cell.add(severity, plugin, format!("another CNI config shadows flannel's: {first} sorts before {hidden}"));
    }
    if context.is_joined() {
        running_network(context, &mut cell);
    }
    let network = cni.first_plugins.known().and_then(|plugins| plugins.first());
    cell.finish(network.map_or("ok", String::as_str))
}

fn no_config(context: &Context<'_>, cell: &mut Cell) {
    let dir = context.facts.cni.conf_dir.known().map_or("/etc/cni/net.d", String::as_str);
    match context.joined {
        Some(true) if just_joined(context) => {
            cell.expected("none, starting", format!("no CNI config yet: the node joined less than {STARTING} s ago"));
        }
        Some(true) => cell.fail("none", format!("no CNI config: {dir} has none")),
        Some(false) => {
            cell.expected("none, expected", format!("no CNI config: {dir} has none, which is normal before a join"));
        }
        None => cell.unread("CNI configuration", "there is none, and whether the node has joined is not known"),
    }
}

/// The kubelet's identity is younger than flannel needs to start.
fn just_joined(context: &Context<'_>) -> bool {
    let written = context.facts.permissions.stat("/etc/kubernetes/kubelet.conf").and_then(|stat| stat.modified.clone());
    match (written, &context.facts.time.epoch) {
        (Fact::Known(written), Fact::Known(now)) => (0..STARTING).contains(&now.saturating_sub(written)),
        _ => false,
    }
}

/// The file that decides is not flannel's although a later one is.
fn shadowed(cni: &Cni) -> Option<(&str, &str)> {
    let files = cni.files.known()?;
    let is_flannel = |plugins: &Vec<String>| plugins.iter().any(|plugin| plugin == "flannel");
    let first =
        files.first().filter(|first| first.decides && first.plugins.is_known_and(|plugins| !is_flannel(plugins)))?;
    let flannel = files.iter().find(|file| !file.decides && file.plugins.is_known_and(is_flannel))?;
    Some((&first.name, &flannel.name))
}

/// What the pods of a joined node need beyond a valid file.
fn running_network(context: &Context<'_>, cell: &mut Cell) {
    let (facts, cni) = (context.facts, &context.facts.cni);
    if let Some(broken) = cni.broken.known().filter(|broken| !broken.is_empty()) {
        let optional = |name: &str| matches!(name, "portmap" | "bandwidth");
        let words: Vec<String> =
            broken.iter().map(|(name, problem)| format!("{name} {}", problem_word(*problem))).collect();
        let verdict = if broken.keys().all(|name| optional(name)) { Verdict::Warn } else { Verdict::Fail };
        cell.add(verdict, "plugins", format!("CNI plugins cannot run: {}", few(&words)));
    }
    if cni.valid.is_true() && cni.disk_differs_from_runtime.is_true() {
        cell.fail("not loaded", "containerd has not loaded the CNI config on disk: restart containerd");
    } else if cni.valid.is_true() && facts.containerd.cri.network_ready.is_false() {
        let why = facts.containerd.cri.network_message.known().map_or("no reason given", String::as_str);
        cell.fail("not ready", format!("the pod network is not ready: {why}"));
    }
    // The subnet file lies in memory: after a boot flannel needs a moment to write it.
    let settled = !facts.system.uptime.is_known_and(|uptime| *uptime < 120) && !just_joined(context);
    if settled && facts.flannel.config_without_runtime.is_true() {
        let reason = "flannel is configured and does not run: no subnet.env, no flannel.1";
        match context.member.flannel_pod {
            Fact::Known(_) => cell.fail("no flannel", reason),
            Fact::Unknown(_) => cell.warn("no flannel", reason),
            // The cluster runs flannel in another way, or none at all: to be judged with the whole cluster in view.
            Fact::Absent => {}
        }
    }
    if facts.flannel.cni0_differs.is_true() {
        cell.fail("cni0", "the bridge cni0 has another address than flannel's subnet");
    }
}

const fn problem_word(problem: PluginProblem) -> &'static str {
    match problem {
        PluginProblem::Missing => "is missing",
        PluginProblem::Directory => "is a directory",
        PluginProblem::NotExecutable => "is not executable",
        PluginProblem::WrongMachine => "is for another machine",
        PluginProblem::NotAProgram => "is no program",
    }
}

pub(super) fn kubelet(context: &Context<'_>) -> AreaCell {
    if context.is_unprepared() {
        return Cell::not_applicable(Area::Kubelet);
    }
    let kubelet = &context.facts.kubelet;
    let mut cell = Cell::new(Area::Kubelet);
    let running = cell.need("kubelet", &kubelet.running).copied();
    if kubelet.standalone.is_true() {
        cell.fail(
            "standalone",
            "the kubelet runs standalone: no --kubeconfig on its command line, it never contacts the API",
        );
    }
    if kubelet.wired.is_false() && kubelet.unit.state.is_known_and(|state| *state != UnitState::Masked) {
        let why = match kubelet.kubeadm_drop_in.known() {
            Some(DropInState::NotLoaded) => "it is on disk, and systemd has not loaded it",
            Some(DropInState::Malformed) => "it is malformed, and systemd ignores it",
            Some(DropInState::Loaded) => "it does not set --kubeconfig",
            Some(DropInState::Missing) | None => "there is none",
        };
        cell.fail("no drop-in", format!("the kubelet lacks kubeadm's drop-in: {why}"));
    }
    if running.is_some() {
        service(context, &mut cell);
    }
    if let Some(paths) = kubelet.malformed_drop_ins.known().filter(|paths| !paths.is_empty()) {
        cell.warn("drop-in", format!("systemd ignores lines of a drop-in that stand before a section: {}", few(paths)));
    }
    if kubelet.unit.needs_reload.is_true() {
        cell.warn("reload due", "the kubelet's unit files changed: systemctl daemon-reload is due");
    }
    if context.is_joined() {
        if kubelet.config.present.is_false() {
            cell.fail("no config", "the kubelet's configuration is gone: no /var/lib/kubelet/config.yaml");
        }
        if kubelet.unit.enabled.is_false() {
            cell.warn("disabled", "the kubelet is not enabled: it stays off after a reboot");
        }
    }
    cell.finish("running")
}

/// The kubelet's service against what is normal in the phase.
fn service(context: &Context<'_>, cell: &mut Cell) {
    let kubelet = &context.facts.kubelet;
    let state = kubelet.unit.state.known().copied();
    let runs = kubelet.running.is_true();
    match state {
        Some(UnitState::Masked) => cell.fail("masked", "the kubelet is masked: systemd will not start it"),
        Some(UnitState::NotFound) if !runs => cell.fail("no unit", "the kubelet has no unit: reinstall its package"),
        Some(UnitState::Broken) => cell.fail("broken unit", "the kubelet cannot be started: its unit file is broken"),
        _ if context.is_joined() => {
            let why = || kubelet.exit_reason.known().map_or("no reason was logged", String::as_str);
            if kubelet.unit.crash_looping.is_true() {
                cell.fail("restarting", format!("the kubelet ends again and again: {}", why()));
            } else if !runs {
                cell.fail("down", format!("the kubelet is down: {}", why()));
            }
        }
        // Caught alive between two restarts, it is about to end: it is told to read a configuration that is not there.
        _ if runs && !kubelet.unit.crash_looping.is_true() && !doomed(context) => {
            if context.phase == Some(Phase::Prepared) && !kubelet.standalone.is_true() {
                cell.warn("running", "the kubelet runs before a join: it should wait for its configuration");
            }
        }
        _ if context.joined == Some(false) => {
            cell.expected(
                "waiting, expected",
                "the kubelet does not run: before a join it has no configuration to run with",
            );
        }
        _ => cell.unread("kubelet", "it does not run, and whether the node has joined is not known"),
    }
}

/// The kubelet was started by kubeadm's drop-in and lacks the configuration that only a join writes.
fn doomed(context: &Context<'_>) -> bool {
    let kubelet = &context.facts.kubelet;
    context.phase == Some(Phase::Prepared) && kubelet.config.present.is_false() && !kubelet.standalone.is_true()
}

pub(super) fn api(context: &Context<'_>) -> AreaCell {
    let facts = context.facts;
    let mut cell = Cell::new(Area::Api);
    if context.joined == Some(false) {
        return Cell::not_applicable(Area::Api);
    }
    let client = &facts.certs.kubelet_client;
    if client.expired.is_true() {
        cell.fail("certificate", "the kubelet's client certificate has expired");
    } else if client.not_yet_valid.is_true() {
        cell.fail("certificate", "the kubelet's client certificate is not valid yet: the clock is wrong");
    }
    if context.phase == Some(Phase::ControlPlane) {
        if facts.api.answers.is_false() {
            let why = facts.api.error.known().map_or("no reason given", String::as_str);
            cell.fail("down", format!("the API server does not answer: {why}"));
        } else if facts.api.ready.is_false() {
            let parts = facts.api.not_ready.known().map_or(&[][..], Vec::as_slice);
            cell.fail("not ready", format!("the API server is not ready: {}", few(parts)));
        }
    }
    match &context.member.node {
        Fact::Known(node) => {
            if node.ready.is_false() {
                let why = node.ready_message.known().or(node.ready_reason.known());
                cell.fail(
                    "NotReady",
                    format!("the API says NotReady: {}", why.map_or("no reason given", String::as_str)),
                );
            }
            if !node.pressures.is_empty() {
                cell.fail("pressure", format!("the API reports pressure: {}", few(&node.pressures)));
            }
            if node.cordoned {
                cell.warn("cordoned", "the node is cordoned");
            }
            cell.need("Ready condition", &node.ready);
        }
        Fact::Absent => cell.fail("no Node", "the API knows no such node: it has an identity and never registered"),
        Fact::Unknown(why) => cell.unread("API", why),
    }
    cell.finish("ok")
}
