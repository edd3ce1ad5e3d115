//! containerd: its service, its configuration as written, as effective and as running, and what the CRI answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::containerd_config::{Config, SystemdCgroupLine, file_version, systemd_cgroup_lines};
use super::crictl::{Cri, json, shared_json};
use super::logs::{LogFacts, RUNTIME_LOG};
use super::permissions::Permissions;
use super::read::{Reader, clip};
use super::runtime::{self, PullFailure, Service};
use super::unit::{Unit, UnitState, processes};

const SOCKET: &str = "/run/containerd/containerd.sock";
const CONFIG_FILE: &str = "/etc/containerd/config.toml";

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Containerd {
    pub unit: Unit,
    /// A containerd process runs, whatever systemd says.
    pub process: Fact<bool>,
    /// Service and process in one word; absent when there is none and another runtime does its work.
    pub service: Fact<Service>,
    pub socket: Fact<bool>,
    /// Without epoch and distribution suffix (`1.6.20`).
    pub version: Fact<String>,
    pub version_major: Fact<u32>,
    pub version_minor: Fact<u32>,
    pub runc_version: Fact<String>,
    /// Where `config` comes from.
    pub config_source: Fact<ConfigSource>,
    /// The effective configuration: `containerd config dump` (file and defaults), else the file alone.
    pub config: Alike<Config>,
    /// `/etc/containerd/config.toml` exists.
    pub config_file: Fact<bool>,
    /// Why the configuration cannot be read.
    pub config_error: Fact<String>,
    /// Settings that the effective configuration has and the running daemon has not.
    pub config_not_applied: Fact<Vec<String>>,
    /// The file changed after containerd started: what it says is not what runs.
    pub config_newer_than_daemon: Fact<bool>,
    /// Every line of the files that sets `SystemdCgroup`.
    pub systemd_cgroup_lines: Fact<Vec<SystemdCgroupLine>>,
    /// A line says `SystemdCgroup = true` where containerd does not read it, and none where it does.
    pub systemd_cgroup_misplaced: Fact<bool>,
    /// Where that line stands: `line 8 of /etc/containerd/config.toml`.
    pub systemd_cgroup_misplaced_at: Fact<String>,
    /// The cgroup driver that applies to pods: of the running daemon, else of the configuration, whose default is cgroupfs.
    pub systemd_cgroup: Fact<bool>,
    /// The same by its name: `systemd` or `cgroupfs`.
    pub cgroup_driver: Fact<String>,
    /// CNI's directories that apply, of the running daemon or else of the configuration, whose defaults are
    /// `/opt/cni/bin` and `/etc/cni/net.d`.
    pub cni_bin_dirs: Fact<Vec<String>>,
    pub cni_conf_dir: Fact<String>,
    /// How many network configurations are loaded; 0 is all, the default is 1.
    pub cni_max_conf_num: Fact<u32>,
    pub sandbox_image: Fact<String>,
    /// The sandbox image is on the node.
    pub sandbox_image_present: Fact<bool>,
    pub cri: Alike<Cri>,
    /// Why the CRI serves nobody. Absent when it answers, and when nobody could ask it and the configuration has it on.
    pub cri_problem: Fact<String>,
    /// Plugins that failed to load, with their error; skipped ones are left out.
    pub failed_plugins: Fact<Vec<String>>,
    /// Those of them that pods need: the CRI and its snapshotter.
    pub needed_plugins_failed: Fact<Vec<String>>,
    /// The last pull of an image that failed on the way to its registry.
    pub pull_failure: Fact<PullFailure>,
    pub deprecations: Fact<Vec<String>>,
    /// Pods that the runtime knows, by state (`ready`, `notready`).
    pub pods: Fact<BTreeMap<String, u64>>,
    pub log: Alike<LogFacts>,
    /// Other container runtimes whose service runs.
    pub other_runtimes: Vec<String>,
    /// Sockets of all runtimes that run and serve the CRI.
    pub runtimes: Fact<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigSource {
    /// `containerd config dump`: the file and the defaults.
    Dump,
    /// The file only; defaults are not in it.
    File,
    /// There is no file: the defaults hold.
    Defaults,
}

impl Containerd {
    pub(crate) fn parse(reader: Reader<'_>, permissions: &Permissions, now: Option<i64>) -> Self {
        let unit = Unit::parse(reader, "containerd", now);
        let version = reader.text("containerd-version").and_then(version_in);
        let (config_source, config) = config(reader);
        let cri = Cri::parse(reader);
        let lines = lines(reader);
        let configured = |value: &Fact<String>, default: &str| match &config_source {
            Fact::Known(_) => Fact::Known(value.known().cloned().unwrap_or_else(|| default.to_owned())),
            _ => value.clone(),
        };
        let sandbox_image = cri.sandbox_image.clone().or_else(|| config.sandbox_image.clone());
        let systemd_cgroup = cri.systemd_cgroup.clone().or_else(|| match &config_source {
            Fact::Known(_) => Fact::Known(config.systemd_cgroup.is_true()),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::unknown(why.as_str()),
        });
        let process = match processes(reader, "containerd") {
            Fact::Known(_) => Fact::Known(true),
            Fact::Absent => Fact::Known(false),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        let running = |name: &str| Unit::parse(reader, name, now).running.is_true();
        let other_runtimes: Vec<String> =
            ["crio", "docker"].into_iter().filter(|name| running(name)).map(str::to_owned).collect();
        // Docker alone serves no kubelet, and it brings a containerd of its own.
        let replaced =
            running("crio") || running("cri-docker") || (unit.is(UnitState::NotFound) && !other_runtimes.is_empty());
        let failed_plugins = reader.text("ctr-plugins").map(|text| {
            let rows = text.lines().filter(|row| row.split_whitespace().last() == Some("error"));
            rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        });
        let snapshotter = cri.snapshotter.known().or(config.snapshotter.known()).map_or("overlayfs", String::as_str);
        Self {
            service: runtime::service(&unit, &process, replaced),
            config_error: runtime::config_error(reader, &config_source),
            config_not_applied: match &config_source {
                Fact::Known(ConfigSource::Dump) => runtime::not_applied(&config, &cri),
                _ => Fact::unknown("containerd config dump was not read"),
            },
            cri_problem: runtime::cri_problem(&cri, &config),
            needed_plugins_failed: failed_plugins.as_ref().map(|rows| runtime::needed_plugins(rows, snapshotter)),
            failed_plugins,
            pull_failure: runtime::pull_failure(reader, now),
            runtimes: runtime::runtimes(reader, now, &process),
            process,
            socket: permissions.exists(SOCKET),
            version_major: number(&version, 0),
            version_minor: number(&version, 1),
            version,
            runc_version: reader.text("runc-version").and_then(version_in),
            config_file: permissions.exists(CONFIG_FILE),
            config_newer_than_daemon: permissions
                .stat(CONFIG_FILE)
                .and_then(|file| file.modified.clone())
                .and_then(|modified| unit.active_since.as_ref().map(|since| modified > *since)),
            systemd_cgroup_misplaced: lines.as_ref().map(|lines| {
                lines.iter().any(|line| line.value && !line.effective)
                    && !lines.iter().any(|line| line.value && line.effective)
            }),
            systemd_cgroup_misplaced_at: lines.as_ref().and_then(|lines| {
                let line = lines.iter().find(|line| line.value && !line.effective);
                Fact::from_option(line.map(|line| format!("line {} of {}", line.line, line.path)))
            }),
            systemd_cgroup_lines: lines,
            cgroup_driver: systemd_cgroup.as_ref().map(|on| if *on { "systemd" } else { "cgroupfs" }.to_owned()),
            systemd_cgroup,
            cni_bin_dirs: cri.cni_bin_dirs.clone().or_else(|| match &config_source {
                Fact::Known(_) => {
                    Fact::Known(config.cni_bin_dirs.known().cloned().unwrap_or_else(|| vec!["/opt/cni/bin".to_owned()]))
                }
                _ => config.cni_bin_dirs.clone(),
            }),
            cni_conf_dir: cri.cni_conf_dir.clone().or_else(|| configured(&config.cni_conf_dir, "/etc/cni/net.d")),
            cni_max_conf_num: cri.cni_max_conf_num.clone().or_else(|| match &config_source {
                Fact::Known(_) => Fact::Known(config.cni_max_conf_num.known().copied().unwrap_or(1)),
                _ => config.cni_max_conf_num.clone(),
            }),
            sandbox_image_present: present(reader, &sandbox_image),
            sandbox_image,
            deprecations: reader.text("ctr-deprecations").map(|text| {
                let rows = text.lines().filter_map(|row| row.split_whitespace().next());
                rows.filter(|word| word.starts_with("io.containerd.deprecation/")).map(str::to_owned).collect()
            }),
            pods: reader.whole("crictl-pods").and_then(json).map(|pods| pods_by_state(&pods)),
            log: LogFacts::parse(reader, "containerd", &RUNTIME_LOG).into(),
            other_runtimes,
            config_source,
            config: config.into(),
            cri: cri.into(),
            unit,
        }
    }

    /// Where containerd keeps its data, if that is not the default or was read.
    pub fn root(&self) -> Option<&str> {
        self.config.root.known().map(String::as_str)
    }
}

fn config(reader: Reader<'_>) -> (Fact<ConfigSource>, Config) {
    let dump = reader.whole("containerd-dump").and_then(Config::parse);
    if let Fact::Known(config) = dump {
        return (Fact::Known(ConfigSource::Dump), config);
    }
    let mut files = reader.each_whole("containerd-config").filter(|(path, _)| *path == CONFIG_FILE || path.is_empty());
    match files.next().map_or_else(|| reader.nothing("containerd-config"), |(_, text)| text) {
        Fact::Known(text) => match Config::parse(text) {
            Fact::Known(config) => (Fact::Known(ConfigSource::File), config),
            Fact::Unknown(why) => (Fact::unknown(why.as_str()), Config::unknown(&why)),
            Fact::Absent => (Fact::Absent, Config::default()),
        },
        Fact::Absent => (Fact::Known(ConfigSource::Defaults), Config::parse("").known().cloned().unwrap_or_default()),
        // The dump's reason says more: it is the better source of the two.
        Fact::Unknown(why) => {
            let why = dump.reason().filter(|why| *why != "not collected").map_or(why, Alike::from);
            (Fact::unknown(why.as_str()), Config::unknown(&why))
        }
    }
}

fn lines(reader: Reader<'_>) -> Fact<Vec<SystemdCgroupLine>> {
    let mut found = Vec::new();
    let mut answer = reader.nothing("containerd-config");
    let main = reader.text_of("containerd-config", CONFIG_FILE).known().copied().and_then(file_version);
    for (path, text) in reader.each("containerd-config") {
        match text {
            Fact::Known(text) => {
                let version = file_version(text).or(main).unwrap_or(1);
                found.extend(systemd_cgroup_lines(path, text, version));
                answer = Fact::Known(Vec::new());
            }
            Fact::Absent if !answer.is_known() => answer = Fact::Absent,
            Fact::Unknown(why) if !answer.is_known() => answer = Fact::Unknown(why),
            _ => {}
        }
    }
    answer.map(|_: Vec<SystemdCgroupLine>| found)
}

/// `containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1`, `containerd containerd.io 1.7.27 05044ec`,
/// `runc version 1.1.5+ds1`
fn version_in(text: &str) -> Fact<String> {
    let line = text.lines().next().unwrap_or_default();
    let word = line
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    match word {
        Some(word) => Fact::Known(word.split(['~', '+']).next().unwrap_or(word).to_owned()),
        None => Fact::unknown(format!("no version in: {}", clip(line, 80))),
    }
}

fn number(version: &Fact<String>, index: usize) -> Fact<u32> {
    version.as_ref().and_then(|version| version.split('.').nth(index).map_or(Fact::Absent, super::read::number))
}

/// Whether the image is on the node.
fn present(reader: Reader<'_>, image: &Fact<String>) -> Fact<bool> {
    image.as_ref().and_then(|image| {
        reader.whole("crictl-images").and_then(shared_json).map(|images| runtime::has_image(&images, image))
    })
}

fn pods_by_state(pods: &serde_json::Value) -> BTreeMap<String, u64> {
    let list = pods.get("items").and_then(serde_json::Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut counts = BTreeMap::new();
    for state in list.iter().filter_map(|pod| pod.get("state")?.as_str()) {
        *counts.entry(clip(state.trim_start_matches("SANDBOX_"), 20).to_lowercase()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;
    use crate::record::Record;

    fn parse(record: &Record) -> Containerd {
        let reader = Reader::new(record);
        Containerd::parse(reader, &Permissions::parse(reader), Some(10_000))
    }

    #[test]
    fn versions_of_debian_docker_and_runc() {
        let cases = [
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1\n", "1.6.20"),
            ("containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da\n", "1.7.27"),
            ("containerd github.com/containerd/containerd/v2 v2.1.3 abc\n", "2.1.3"),
            ("runc version 1.1.5+ds1\ncommit: 1.1.5\n", "1.1.5"),
        ];
        for (text, expected) in cases {
            assert_eq!(version_in(text), Fact::Known(expected.to_owned()));
        }
        assert!(version_in("segmentation fault").is_unknown());
    }

    #[test]
    fn the_file_serves_when_there_is_no_dump_and_defaults_when_there_is_no_file() {
        let file = record(&[("containerd-config", CONFIG_FILE, "version = 2\n")]);
        let containerd = parse(&file);
        assert_eq!(containerd.config_source, Fact::Known(ConfigSource::File));
        assert_eq!(containerd.cni_conf_dir, Fact::Known("/etc/cni/net.d".to_owned()));
        assert_eq!(containerd.systemd_cgroup, Fact::Known(false));
        let none = parse(&record_of(vec![section("containerd-config", CONFIG_FILE, 66, "")]));
        assert_eq!(none.config_source, Fact::Known(ConfigSource::Defaults));
        assert_eq!(none.config.cri_disabled, Fact::Known(false));
        let denied = parse(&record_of(vec![section("containerd-config", CONFIG_FILE, 77, "")]));
        assert!(denied.systemd_cgroup.is_unknown());
        assert_eq!(denied.config.cri_disabled, Fact::unknown("permission denied"));
    }

    #[test]
    fn the_running_value_wins_over_the_written_one() {
        let record = record(&[
            (
                "containerd-dump",
                "",
                "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
            ),
            (
                "crictl-info",
                "",
                r#"{"config":{"containerd":{"defaultRuntimeName":"runc","runtimes":{"runc":{"options":{"SystemdCgroup":false}}}}}}"#,
            ),
        ]);
        let containerd = parse(&record);
        assert_eq!(containerd.systemd_cgroup, Fact::Known(false));
        assert_eq!(containerd.config.systemd_cgroup, Fact::Known(true));
    }

    #[test]
    fn a_line_outside_its_table_is_misplaced() {
        let record =
            record(&[("containerd-config", CONFIG_FILE, "#disabled_plugins = [\"cri\"]\nSystemdCgroup = true\n")]);
        let containerd = parse(&record);
        assert_eq!(containerd.systemd_cgroup_misplaced, Fact::Known(true));
        assert_eq!(containerd.config.cri_disabled, Fact::Known(false));
    }

    #[test]
    fn a_file_edited_after_the_start_is_not_what_runs() {
        let newer = |modified: &str| {
            let stat = format!("644 0:0 10 {modified} f\t{CONFIG_FILE}\n");
            let unit = "LoadState=loaded\nActiveState=active\nSubState=running\nActiveEnterTimestamp=@500\n";
            parse(&record(&[("stat", "", &stat), ("unit", "containerd", unit)])).config_newer_than_daemon
        };
        assert_eq!(newer("400"), Fact::Known(false));
        assert_eq!(newer("600"), Fact::Known(true));
    }

    #[test]
    fn failed_plugins_and_the_sandbox_image() {
        let record = record(&[
            (
                "ctr-plugins",
                "",
                "TYPE ID PLATFORMS STATUS\nio.containerd.grpc.v1 cri - error\nio.containerd.snapshotter.v1 aufs - skip\n",
            ),
            ("crictl-info", "", r#"{"config":{"sandboxImage":"registry.k8s.io/pause:3.6"}}"#),
            ("crictl-images", "", r#"{"images":[{"repoTags":["registry.k8s.io/pause:3.9"]}]}"#),
        ]);
        let containerd = parse(&record);
        assert_eq!(containerd.failed_plugins, Fact::Known(vec!["io.containerd.grpc.v1 cri - error".to_owned()]));
        assert_eq!(containerd.sandbox_image_present, Fact::Known(false));
    }
}
