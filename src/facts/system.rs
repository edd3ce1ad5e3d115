//! The machine below Kubernetes: memory, swap, processes, cgroups, the kernel's log, sleep.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::kernel_log::{self, KernelTrouble};
use super::read::{Reader, clip, number, percent};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct System {
    /// Seconds since boot.
    pub uptime: Fact<u64>,
    /// When the machine started, in seconds since 1970.
    pub booted: Fact<i64>,
    pub cpus: Fact<u32>,
    /// Load average of one minute, in hundredths.
    pub load_hundredths: Fact<u64>,
    pub memory_total_kib: Fact<u64>,
    pub memory_available_kib: Fact<u64>,
    /// Processes against `kernel.pid_max`.
    pub processes_percent: Fact<u32>,
    /// Active swap areas.
    pub swap_devices: Fact<Vec<String>>,
    pub swap_active: Fact<bool>,
    /// Swap lines of fstab: swap comes back with the next boot.
    pub swap_in_fstab: Fact<bool>,
    /// 1 or 2.
    pub cgroup_version: Fact<u32>,
    /// Controllers that the root cgroup offers.
    pub cgroup_controllers: Fact<Vec<String>>,
    /// Of `cpu`, `cpuset`, `memory`, `pids`: those that are missing.
    pub cgroup_missing: Fact<Vec<String>>,
    /// Processes in uninterruptible sleep.
    pub stuck: Fact<Vec<StuckProcess>>,
    pub stuck_count: Fact<u64>,
    /// How many of them wait for NFS or RPC.
    pub stuck_on_nfs: Fact<u64>,
    /// Classes of trouble in the kernel's log; see [`KERNEL_LOG`](super::kernel_log::KERNEL_LOG). Absent when the log was
    /// read and has none.
    pub kernel_log: Fact<BTreeMap<String, KernelTrouble>>,
    /// Processes that the kernel ended since boot because the machine had no memory left.
    pub oom_killed: Fact<Vec<String>>,
    /// `/lib/modules` has no directory for the running kernel: no module can be loaded before a reboot.
    pub running_kernel_removed: Fact<bool>,
    pub reboot_required: Fact<bool>,
    pub kmsg: Fact<bool>,
    /// `static`, `masked`, ... of sleep.target.
    pub sleep_target: Fact<String>,
    pub suspend_target: Fact<String>,
    /// How often the machine slept since it booted.
    pub suspends: Fact<u64>,
    /// When it last slept, in seconds since 1970.
    pub last_suspend: Fact<i64>,
    /// It slept since it booted, and nothing forbids it now.
    pub sleeps: Fact<bool>,
    /// What logind does when nobody is logged in for a while (`suspend`); absent when it is not set.
    pub idle_action: Fact<String>,
    /// Enabled timers whose name says that they put the machine to sleep.
    pub sleep_timers: Fact<Vec<String>>,
    /// It may put itself to sleep: by a timer or by logind, while sleep.target is not masked.
    pub sleeps_by_itself: Fact<bool>,
    /// Processes that hold containers (containerd's shims).
    pub shims: Fact<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct StuckProcess {
    pub pid: u32,
    pub name: String,
    /// The kernel function that it sleeps in.
    pub waits_in: Fact<String>,
}

/// How often a kind of line occurred, and the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct LogFinding {
    pub count: u32,
    pub last: String,
}

impl System {
    /// `now`: the node's own clock.
    pub(crate) fn parse(reader: Reader<'_>, now: Option<i64>) -> Self {
        let ident = reader.keys("ident");
        let swap_devices = reader.text("swaps").map(swap_devices);
        let stuck = reader.text("dstate").map(|text| text.lines().filter_map(stuck_process).collect::<Vec<_>>());
        let controllers = controllers(reader);
        let suspend = reader.keys("suspend");
        let counts = reader.keys("counts");
        let processes = counts.number::<u64>("processes").or_else(|| ident.number("processes"));
        let uptime: Fact<u64> =
            ident.get("uptime").and_then(|text| number(text.split(['.', ' ']).next().unwrap_or_default()));
        let booted = match now {
            Some(now) => uptime.as_ref().map(|uptime| now.saturating_sub(i64::try_from(*uptime).unwrap_or(i64::MAX))),
            None => Fact::unknown("the node's clock was not read"),
        };
        let sleep_target = reader.keys_of("unit", "sleep.target").text("UnitFileState");
        let idle_action = suspend.text("idle_action");
        let sleep_timers = suspend.get("sleep_timers").map(|list| list.split_whitespace().map(str::to_owned).collect());
        Self {
            uptime,
            sleeps: suspend.number::<u64>("suspends").map(|times| times > 0 && !masked(&sleep_target)),
            sleeps_by_itself: sleeps_by_itself(&idle_action, &sleep_timers, &sleep_target),
            idle_action,
            sleep_timers,
            oom_killed: reader.text("dmesg").map(kernel_log::killed),
            cpus: ident.number("cpus"),
            load_hundredths: ident.get("loadavg").and_then(load),
            memory_total_kib: memory(reader, "MemTotal:"),
            memory_available_kib: memory(reader, "MemAvailable:"),
            processes_percent: processes.and_then(|used| ident.number("pid_max").and_then(|max| percent(used, max))),
            shims: counts.number("shims"),
            swap_active: swap_devices.as_ref().map(|devices| !devices.is_empty()),
            swap_devices,
            swap_in_fstab: reader
                .text("fstab")
                .map(|text| super::fstab::parse(text).any(|entry| entry.fstype == "swap")),
            cgroup_version: ident.get("cgroup_fs").and_then(cgroup_version),
            cgroup_missing: controllers.as_ref().map(|found| {
                let needed = ["cpu", "cpuset", "memory", "pids"];
                needed
                    .iter()
                    .filter(|name| !found.iter().any(|found| found == *name))
                    .map(|&name| name.to_owned())
                    .collect()
            }),
            cgroup_controllers: controllers,
            stuck_count: stuck.as_ref().map(|stuck| stuck.len() as u64),
            stuck_on_nfs: stuck
                .as_ref()
                .map(|stuck| stuck.iter().filter(|process| process.waits_for_nfs()).count() as u64),
            stuck,
            kernel_log: reader.text("dmesg").and_then(|text| {
                let found = kernel_log::classify(text, &booted);
                Fact::from_option((!found.is_empty()).then_some(found))
            }),
            running_kernel_removed: kernel_removed(reader),
            reboot_required: ident.flag("reboot_required"),
            kmsg: ident.flag("kmsg"),
            booted,
            sleep_target,
            suspend_target: reader.keys_of("unit", "suspend.target").text("UnitFileState"),
            suspends: suspend.number("suspends"),
            last_suspend: suspend.number("last_suspend"),
        }
    }
}

/// A kernel without modules has no directory for them, and a container does not see its host's.
fn kernel_removed(reader: Reader<'_>) -> Fact<bool> {
    let ident = reader.keys("ident");
    if reader.text("modules").is_absent() || ident.get("container").is_known() {
        return Fact::Known(false);
    }
    ident.flag("modules_dir").map(|there| !there)
}

/// Known to be masked: then nothing can send the machine to sleep through systemd.
fn masked(target: &Fact<String>) -> bool {
    target.is_known_and(|state| state.starts_with("masked"))
}

/// Absent counts as "no": a timer list that is not there names no timer.
fn sleeps_by_itself(idle: &Fact<String>, timers: &Fact<Vec<String>>, target: &Fact<String>) -> Fact<bool> {
    if masked(target) {
        return Fact::Known(false);
    }
    let sleeps = ["suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "sleep"];
    let by_idle = idle.as_ref().map(|action| sleeps.contains(&action.as_str()));
    let by_timer = timers.as_ref().map(|timers| !timers.is_empty());
    match (&by_idle, &by_timer) {
        (Fact::Known(true), _) | (_, Fact::Known(true)) => Fact::Known(true),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::unknown(why.as_str()),
        _ => Fact::Known(false),
    }
}

impl StuckProcess {
    fn waits_for_nfs(&self) -> bool {
        self.waits_in.is_known_and(|function| function.contains("nfs") || function.contains("rpc"))
    }
}

fn memory(reader: Reader<'_>, field: &str) -> Fact<u64> {
    reader.text("meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        Fact::from_option(line).and_then(|rest| number(rest.trim_end_matches("kB")))
    })
}

fn swap_devices(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with("Filename"))
        .filter_map(|line| line.split_ascii_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn load(text: &str) -> Fact<u64> {
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    let (whole, fraction) = first.split_once('.').unwrap_or((first, "0"));
    let fraction: String = fraction.chars().chain("00".chars()).take(2).collect();
    number(&format!("{whole}{fraction}"))
}

fn cgroup_version(fs: &str) -> Fact<u32> {
    match fs {
        "cgroup2fs" | "cgroup2" => Fact::Known(2),
        "tmpfs" | "cgroup" => Fact::Known(1),
        other => Fact::unknown(format!("/sys/fs/cgroup is a {}", clip(other, 20))),
    }
}

/// Of the unified hierarchy, else of `/proc/cgroups`, where the fourth column says enabled.
fn controllers(reader: Reader<'_>) -> Fact<Vec<String>> {
    let unified = reader.keys("ident").get("cgroup_controllers");
    let unified = unified.and_then(|list| Fact::from_option((!list.trim().is_empty()).then_some(list)));
    unified.map(|list| list.split_whitespace().map(str::to_owned).collect()).or_else(|| {
        reader.text("cgroups").map(|text| {
            let rows = text.lines().filter(|line| !line.starts_with('#'));
            let enabled = rows.filter_map(|row| {
                let mut columns = row.split_ascii_whitespace();
                let name = columns.next()?;
                (columns.nth(2)? == "1").then(|| name.to_owned())
            });
            enabled.collect()
        })
    })
}

fn stuck_process(line: &str) -> Option<StuckProcess> {
    // `pid wchan comm`: a process's name may hold spaces.
    let mut fields = line.trim().splitn(3, ' ');
    let pid = fields.next()?.parse().ok()?;
    let function = fields.next()?;
    let name = fields.next().unwrap_or_default();
    let waits_in = match function {
        "" | "-" | "0" => Fact::unknown("the kernel does not say"),
        function => Fact::Known(function.to_owned()),
    };
    Some(StuckProcess { pid, name: name.to_owned(), waits_in })
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;

    fn parse(sections: &[(&str, &str, &str)]) -> System {
        System::parse(Reader::new(&record(sections)), Some(1_000_000))
    }

    #[test]
    fn memory_load_and_swap() {
        let system = parse(&[
            ("meminfo", "", "MemTotal:        8071280 kB\nMemFree:  1 kB\nMemAvailable:    7500000 kB\n"),
            (
                "ident",
                "",
                "uptime=181260.48 700000.1\nloadavg=0.06 0.08 0.02 1/214 9\ncpus=8\nprocesses=50\npid_max=200\n",
            ),
            ("swaps", "", "Filename\tType\tSize\tUsed\tPriority\n/dev/dm-1 partition 1 0 -2\n"),
            ("fstab", "", "# old\n/dev/mapper/vg-swap none swap sw 0 0\n"),
        ]);
        assert_eq!(system.memory_total_kib, Fact::Known(8_071_280));
        assert_eq!(system.uptime, Fact::Known(181_260));
        assert_eq!(system.load_hundredths, Fact::Known(6));
        assert_eq!(system.processes_percent, Fact::Known(25));
        assert_eq!(system.swap_devices, Fact::Known(vec!["/dev/dm-1".to_owned()]));
        assert_eq!(system.swap_in_fstab, Fact::Known(true));
    }

    #[test]
    fn a_missing_module_directory_counts_only_where_one_belongs() {
        let removed = |ident: &'static str, modules: Option<&'static str>| {
            let mut sections = vec![section("ident", "", 0, ident)];
            sections.push(section("modules", "", if modules.is_some() { 0 } else { 66 }, modules.unwrap_or_default()));
            System::parse(Reader::new(&record_of(sections)), None).running_kernel_removed
        };
        assert_eq!(removed("modules_dir=no\ncontainer-\n", Some("vxlan\n")), Fact::Known(true));
        assert_eq!(removed("modules_dir=yes\ncontainer-\n", Some("vxlan\n")), Fact::Known(false));
        assert_eq!(removed("modules_dir=no\ncontainer=lxc\n", Some("vxlan\n")), Fact::Known(false));
        assert_eq!(removed("modules_dir=no\ncontainer-\n", None), Fact::Known(false));
    }

    #[test]
    fn no_swap_is_not_unknown_swap() {
        assert_eq!(parse(&[("swaps", "", "Filename\tType\tSize\tUsed\tPriority\n")]).swap_active, Fact::Known(false));
        assert!(parse(&[]).swap_active.is_unknown());
    }

    #[test]
    fn cgroups_of_both_versions() {
        let two = parse(&[("ident", "", "cgroup_fs=cgroup2fs\ncgroup_controllers=cpuset cpu io memory pids\n")]);
        assert_eq!((two.cgroup_version, two.cgroup_missing), (Fact::Known(2), Fact::Known(vec![])));
        let one = parse(&[
            ("ident", "", "cgroup_fs=tmpfs\ncgroup_controllers-\n"),
            (
                "cgroups",
                "",
                "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t4\t1\t1\ncpu\t2\t1\t1\nmemory\t0\t1\t0\npids\t3\t1\t1\n",
            ),
        ]);
        assert_eq!((one.cgroup_version, one.cgroup_missing), (Fact::Known(1), Fact::Known(vec!["memory".to_owned()])));
    }

    #[test]
    fn processes_stuck_on_nfs_are_told_apart() {
        let system = parse(&[("dstate", "", "812 rpc_wait_bit_killable df\n9 folio_wait my name\n10 - x\n")]);
        assert_eq!(system.stuck_count, Fact::Known(3));
        assert_eq!(system.stuck_on_nfs, Fact::Known(1));
        assert_eq!(system.stuck.known().unwrap()[1].name, "my name");
    }

    #[test]
    fn the_kernel_log_is_dated_by_the_uptime() {
        let system = parse(&[
            ("ident", "", "uptime=1000.5 1\n"),
            ("dmesg", "", "[20.0] Out of memory: Killed process 812 (kubelet) total-vm:1kB\n"),
        ]);
        assert_eq!(system.booted, Fact::Known(999_000));
        assert_eq!(system.kernel_log.known().unwrap()["oom_kill"].first, Fact::Known(999_020));
        assert_eq!(system.oom_killed, Fact::Known(vec!["kubelet".to_owned()]));
        assert_eq!(parse(&[("dmesg", "", "")]).kernel_log, Fact::Absent);
        assert!(parse(&[]).kernel_log.is_unknown());
    }

    #[test]
    fn a_machine_that_puts_itself_to_sleep() {
        let sleeps = |suspend: &str, target: &str| {
            let unit = format!("UnitFileState={target}\n");
            parse(&[("suspend", "", suspend), ("unit", "sleep.target", &unit)]).sleeps_by_itself
        };
        assert_eq!(sleeps("idle_action=suspend\nsleep_timers-\n", "static"), Fact::Known(true));
        assert_eq!(sleeps("idle_action-\nsleep_timers=auto-sleep.timer\n", "static"), Fact::Known(true));
        assert_eq!(sleeps("idle_action=suspend\nsleep_timers-\n", "masked"), Fact::Known(false));
        assert_eq!(sleeps("idle_action=ignore\nsleep_timers-\n", "static"), Fact::Known(false));
        assert!(sleeps("suspends=0\n", "static").is_unknown());
    }
}
