//! What stands out about containerd once its service, its configuration and its answers are laid side by side.
//!
//! `containerd` reads the sections; here they are compared. Knows nothing of the kubelet or of CNI.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Fact;
use super::containerd_config::Config;
use super::crictl::Cri;
use super::read::{Reader, clip};
use super::unit::{Unit, UnitState};
use crate::record::rc;

/// How containerd stands, in the words of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Running,
    Starting,
    Restarting,
    Down,
    Masked,
    #[serde(rename = "broken unit")]
    Broken,
    #[serde(rename = "not installed")]
    Missing,
}

/// An image that could not be pulled because its registry could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct PullFailure {
    pub image: Fact<String>,
    /// The last part of containerd's own words: `dial tcp 192.0.2.7:443: i/o timeout`.
    pub reason: String,
    /// Seconds since then.
    pub age: Fact<i64>,
}

/// By systemd, else by the process. Absent when there is none and another runtime does its work.
pub(super) fn service(unit: &Unit, process: &Fact<bool>, replaced: bool) -> Fact<Service> {
    let by_process = match process {
        Fact::Known(true) => Fact::Known(Service::Running),
        Fact::Known(false) => Fact::Known(Service::Down),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(why) => Fact::unknown(why.as_str()),
    };
    let Fact::Known(state) = &unit.state else { return by_process };
    let service = match state {
        UnitState::Running if unit.crash_looping.is_true() => Service::Restarting,
        UnitState::Running => Service::Running,
        UnitState::NotFound if process.is_true() => Service::Running,
        UnitState::NotFound => Service::Missing,
        UnitState::Masked => Service::Masked,
        UnitState::Broken => Service::Broken,
        UnitState::Starting => Service::Starting,
        UnitState::Restarting => Service::Restarting,
        UnitState::Failed | UnitState::Stopped => Service::Down,
    };
    if replaced && !process.is_true() && service != Service::Running { Fact::Absent } else { Fact::Known(service) }
}

/// What containerd or the parser says against the configuration; absent when it can be read.
pub(super) fn config_error(reader: Reader<'_>, parsed: &Fact<super::containerd::ConfigSource>) -> Fact<String> {
    let dump = reader.sections("containerd-dump").next();
    if let Some(dump) =
        dump.filter(|dump| !matches!(dump.rc, rc::OK | rc::ABSENT | rc::DENIED | rc::TIMEOUT | rc::NO_TOOL))
    {
        let line = dump.text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given");
        // Whoever may not read the file learns nothing about it.
        if !line.contains("permission denied") {
            return Fact::Known(clip(line, 400));
        }
    }
    match parsed {
        Fact::Known(_) | Fact::Absent => Fact::Absent,
        Fact::Unknown(why) if why.starts_with("no valid TOML") => Fact::Known(String::clone(why)),
        Fact::Unknown(why) => Fact::unknown(why.as_str()),
    }
}

/// Why the CRI serves nobody. Absent when it answers, and when nobody could ask it and the configuration has it on.
pub(super) fn cri_problem(cri: &Cri, config: &Config) -> Fact<String> {
    match &cri.answers {
        Fact::Known(true) if cri.runtime_ready.is_false() => {
            Fact::Known("it answers that the runtime is not ready".to_owned())
        }
        Fact::Known(true) | Fact::Absent => Fact::Absent,
        Fact::Known(false) => Fact::Known(cri.error.known().map_or("no reason given", String::as_str).to_owned()),
        Fact::Unknown(_) if config.cri_disabled.is_false() => Fact::Absent,
        Fact::Unknown(why) => Fact::unknown(why.as_str()),
    }
}

/// Settings that the configuration has and the running daemon has not: it was not restarted since.
pub(super) fn not_applied(config: &Config, cri: &Cri) -> Fact<Vec<String>> {
    fn differs<T: PartialEq>(name: &str, written: Option<T>, running: Option<T>) -> Option<String> {
        (written? != running?).then(|| name.to_owned())
    }
    cri.answers.as_ref().map(|_| {
        let systemd = Some(config.systemd_cgroup.is_true()).filter(|_| !config.systemd_cgroup.is_unknown());
        let differing = [
            differs("SystemdCgroup", systemd, cri.systemd_cgroup.known().copied()),
            differs("bin_dir", config.cni_bin_dirs.known(), cri.cni_bin_dirs.known()),
            differs("conf_dir", config.cni_conf_dir.known(), cri.cni_conf_dir.known()),
            differs("max_conf_num", config.cni_max_conf_num.known(), cri.cni_max_conf_num.known()),
            differs("sandbox_image", config.sandbox_image.known(), cri.sandbox_image.known()),
        ];
        differing.into_iter().flatten().collect()
    })
}

/// Of the rows of `ctr plugins ls` that end in `error`: the CRI's, and the snapshotter's that the CRI uses.
pub(super) fn needed_plugins<'a>(failed: &'a [String], snapshotter: &str) -> Vec<String> {
    let needed = |row: &&'a String| {
        let mut words = row.split(' ');
        match (words.next(), words.next()) {
            (Some("io.containerd.grpc.v1"), Some("cri")) => true,
            (Some("io.containerd.snapshotter.v1"), Some(name)) => name == snapshotter,
            (Some(kind), _) => kind == "io.containerd.cri.v1",
            _ => false,
        }
    };
    failed.iter().filter(needed).cloned().collect()
}

/// Sockets of the runtimes that run; kubeadm does not choose between several.
pub(super) fn runtimes(reader: Reader<'_>, now: Option<i64>, containerd: &Fact<bool>) -> Fact<Vec<String>> {
    let runs = |unit| Unit::parse(reader, unit, now).running.is_true();
    let mut running = Vec::new();
    for (name, socket, there) in [
        ("containerd", "/run/containerd/containerd.sock", containerd.is_true()),
        ("crio", "/run/crio/crio.sock", runs("crio")),
        ("cri-docker", "/run/cri-dockerd.sock", runs("cri-docker")),
    ] {
        if there {
            running.push((name, socket));
        }
    }
    if running.len() < 2 {
        return containerd.as_ref().map(|_| running.into_iter().map(|(_, socket)| socket.to_owned()).collect());
    }
    reader.text("cri-sockets").map(|listing| {
        let there = |socket: &str| listing.lines().any(|line| line.ends_with(&format!("s\t{socket}")));
        running.into_iter().filter(|(_, socket)| there(socket)).map(|(_, socket)| socket.to_owned()).collect()
    })
}

/// The last pull that failed on the way to the registry. That an image does not exist is its user's matter.
pub(super) fn pull_failure(reader: Reader<'_>, now: Option<i64>) -> Fact<PullFailure> {
    const ON_THE_WAY: [&str; 8] = [
        "i/o timeout",
        "no such host",
        "connection refused",
        "no route to host",
        "network is unreachable",
        "TLS handshake timeout",
        "Temporary failure in name resolution",
        "context deadline exceeded",
    ];
    reader.text_of("log", "containerd").and_then(|text| {
        let failed = text
            .lines()
            .rfind(|line| line.contains("failed to pull") && ON_THE_WAY.iter().any(|reason| line.contains(reason)));
        Fact::from_option(failed.map(|line| {
            let at = line.split(['.', ' ']).next().and_then(|seconds| seconds.parse::<i64>().ok());
            let age = now.zip(at).map(|(now, at)| now.saturating_sub(at).max(0));
            let image = line.split_once("PullImage \\\"").and_then(|(_, rest)| rest.split(['\\', '"']).next());
            let reason = line.rfind("dial tcp").or_else(|| line.rfind("failed to pull")).map_or(line, |at| &line[at..]);
            PullFailure {
                image: Fact::from_option(image.filter(|image| !image.is_empty()).map(|image| clip(image, 200))),
                reason: clip(reason.trim_end_matches('"'), 300),
                age: age.map_or_else(|| Fact::unknown("the line has no time"), Fact::Known),
            }
        }))
    })
}

/// Whether `crictl images` lists the image under that name.
pub(super) fn has_image(images: &Value, image: &str) -> bool {
    let list = images.get("images").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let tags = list.iter().filter_map(|image| image.get("repoTags")?.as_array()).flatten();
    tags.filter_map(Value::as_str).any(|tag| tag == image)
}

#[cfg(test)]
mod tests {
    use super::super::containerd::ConfigSource;
    use super::super::read::test_support::{record, record_of, section};
    use super::*;

    #[test]
    fn a_service_in_words() {
        let of = |state: Fact<UnitState>, process: bool, replaced: bool| {
            let unit = Unit { state, ..Unit::default() };
            service(&unit, &Fact::Known(process), replaced)
        };
        let known = |state| Fact::Known(state);
        assert_eq!(of(known(UnitState::Running), true, false), Fact::Known(Service::Running));
        assert_eq!(of(known(UnitState::Failed), true, false), Fact::Known(Service::Down));
        assert_eq!(of(known(UnitState::NotFound), true, false), Fact::Known(Service::Running));
        assert_eq!(of(known(UnitState::NotFound), false, false), Fact::Known(Service::Missing));
        assert_eq!(of(known(UnitState::NotFound), false, true), Fact::Absent);
        assert_eq!(of(Fact::unknown("no systemctl"), false, false), Fact::Known(Service::Down));
        assert_eq!(serde_json::to_string(&Service::Missing).unwrap(), "\"not installed\"");
    }

    #[test]
    fn what_containerd_says_against_its_configuration() {
        let of = |code, text: &str, parsed| {
            config_error(Reader::new(&record_of(vec![section("containerd-dump", "", code, text)])), &parsed)
        };
        let said = of(1, "containerd: failed to load TOML: (7, 3): bad\n", Fact::Known(ConfigSource::File));
        assert!(said.is_known_and(|said| said.contains("failed to load TOML")));
        assert_eq!(of(0, "version = 2", Fact::Known(ConfigSource::Dump)), Fact::Absent);
        assert!(
            of(1, "open /etc/containerd/config.toml: permission denied", Fact::unknown("permission denied"))
                .is_unknown()
        );
        assert!(of(127, "", Fact::unknown("no valid TOML: line 2: x")).is_known());
    }

    #[test]
    fn only_plugins_that_pods_need_count() {
        let rows: Vec<String> = [
            "io.containerd.snapshotter.v1 devmapper linux/amd64 error",
            "io.containerd.snapshotter.v1 overlayfs linux/amd64 error",
            "io.containerd.grpc.v1 cri linux/amd64 error",
            "io.containerd.internal.v1 tracing - error",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(needed_plugins(&rows, "overlayfs"), rows[1..3]);
        assert_eq!(needed_plugins(&rows, "native"), rows[2..3]);
    }

    #[test]
    fn several_runtimes_need_several_sockets() {
        let running = "LoadState=loaded\nActiveState=active\nSubState=running\n";
        let both = "660 0:0 0 1 s\t/run/containerd/containerd.sock\n660 0:0 0 1 s\t/run/crio/crio.sock\n";
        let of = |sockets: &str| {
            let record = record(&[("unit", "crio", running), ("cri-sockets", "", sockets)]);
            runtimes(Reader::new(&record), None, &Fact::Known(true)).known().unwrap().len()
        };
        assert_eq!((of(both), of("660 0:0 0 1 s\t/run/containerd/containerd.sock\n")), (2, 1));
        let alone = record(&[]);
        assert_eq!(runtimes(Reader::new(&alone), None, &Fact::Known(true)).known().unwrap().len(), 1);
    }

    #[test]
    fn a_pull_that_did_not_reach_its_registry() {
        let text = "invocation=a\n1000.5 n containerd[1]: level=error msg=\"PullImage \\\"a\\\" failed\" error=\"failed to pull and unpack image: dial tcp: i/o timeout\"\n\
                    1300.0 n containerd[1]: error=\"failed to pull and unpack image: not found\"\n";
        let failure = pull_failure(Reader::new(&record(&[("log", "containerd", text)])), Some(1600));
        let failure = failure.known().unwrap();
        assert_eq!((&failure.age, &failure.image), (&Fact::Known(600), &Fact::Known("a".to_owned())));
        assert_eq!(failure.reason, "dial tcp: i/o timeout");
        let record = record(&[("log", "containerd", "invocation=a\n1 n containerd[1]: not found\n")]);
        assert_eq!(pull_failure(Reader::new(&record), Some(1600)), Fact::Absent);
    }

    #[test]
    fn a_configuration_that_waits_for_a_restart() {
        let config = Config::parse(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
        );
        let cri = Cri { answers: Fact::Known(true), systemd_cgroup: Fact::Known(false), ..Cri::default() };
        assert_eq!(not_applied(config.known().unwrap(), &cri), Fact::Known(vec!["SystemdCgroup".to_owned()]));
        assert!(not_applied(config.known().unwrap(), &Cri::default()).is_unknown());
    }
}
