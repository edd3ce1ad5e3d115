//! The last lines of a service's current life, and which known sentences occur in them.
//!
//! Sentences are data: they change with versions of kubelet and containerd, and a new one is a new line of a table.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::{Reader, clip};
use super::system::LogFinding;

/// How many lines are kept.
const KEPT: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct LogFacts {
    /// The invocation that the lines belong to.
    pub invocation: Fact<String>,
    /// The last lines, oldest first.
    pub lines: Fact<Vec<String>>,
    /// Known sentences by class, with how often they occur and the last one.
    pub found: Fact<BTreeMap<String, LogFinding>>,
}

/// A table of `(class, all of these words)`.
pub(crate) struct Sentences {
    rows: &'static [(&'static str, &'static [&'static str])],
    /// Of all words, in the order of the rows.
    finder: OnceLock<Option<AhoCorasick>>,
}

impl Sentences {
    const fn new(rows: &'static [(&'static str, &'static [&'static str])]) -> Self {
        Self { rows, finder: OnceLock::new() }
    }

    /// Sorts lines into classes; a line belongs to every class whose words it has all of.
    pub(crate) fn classify(&self, text: &str) -> BTreeMap<String, LogFinding> {
        // A table that no automaton can be made of, which a test excludes, has all its lines looked at.
        let finder = self.finder.get_or_init(|| AhoCorasick::new(self.rows.iter().flat_map(|(_, words)| *words)).ok());
        let mut found: BTreeMap<String, LogFinding> = BTreeMap::new();
        for line in text.lines().filter(|line| finder.as_ref().is_none_or(|finder| finder.is_match(line))) {
            for (class, words) in self.rows {
                if words.iter().all(|word| line.contains(word)) {
                    let finding = found
                        .entry((*class).to_owned())
                        .or_insert_with(|| LogFinding { count: 0, last: String::new() });
                    finding.count += 1;
                    finding.last = clip(line, 400);
                }
            }
        }
        found
    }
}

/// Sentences of the kubelet. What occurs on healthy nodes too (`invalid capacity 0`, `pleg has yet to be successful`,
/// `static kubelet mode`) is deliberately not here.
pub(crate) static KUBELET_LOG: Sentences = Sentences::new(&[
    ("standalone", &["Standalone mode, no API client"]),
    ("standalone", &["No API server defined"]),
    ("standalone", &["Kubernetes client is nil"]),
    ("config_missing", &["failed to load Kubelet config file", "no such file"]),
    ("config_missing", &["failed to load kubelet config file", "no such file"]),
    ("unknown_flag", &["unknown flag"]),
    ("bootstrap_missing", &["unable to load bootstrap kubeconfig"]),
    ("client_cert_expired", &["certificate has expired or is not yet valid"]),
    ("unknown_authority", &["certificate signed by unknown authority"]),
    ("swap_on", &["running with swap on is not supported"]),
    ("cgroup_v1", &["configured to not run on a host using cgroup v1"]),
    ("no_webhook_client", &["no client provided, cannot use webhook authentication"]),
    ("runtime_unreachable", &["validate service connection"]),
    ("runtime_down", &["container runtime is down"]),
    ("network_not_ready", &["NetworkReady=false"]),
    ("pleg_unhealthy", &["PLEG is not healthy: pleg was last seen active"]),
    ("register_failed", &["Unable to register node with API server"]),
    ("node_not_found", &["node \"", "\" not found"]),
    ("node_name_forbidden", &["is not allowed to modify node"]),
    ("port_in_use", &["bind: address already in use"]),
    ("too_many_files", &["too many open files"]),
    ("no_space", &["no space left on device"]),
    ("read_only_fs", &["ead-only file system"]),
    ("image_fs_full", &["Disk usage on image filesystem is at"]),
    ("image_gc_failed", &["wanted to free", "but freed"]),
    ("image_gc_failed", &["Failed to garbage collect required amount of images"]),
    ("evicting", &["node was low on resource"]),
    ("evicting", &["attempting to reclaim"]),
    ("orphaned_volumes", &["orphaned pod", "volume paths are still present"]),
    ("stale_nfs", &["Stale file handle"]),
    ("stale_nfs", &["stale NFS file handle"]),
    ("nfs_denied", &["access denied by server while mounting"]),
    ("mount_helper_missing", &["you might need a /sbin/mount."]),
    ("sandbox_changed", &["Pod sandbox changed"]),
    ("checkpoint_mismatch", &["could not restore state from checkpoint"]),
    ("kernel_flags", &["invalid kernel flag"]),
    ("api_unreachable", &["connect: connection refused", ":6443"]),
    ("api_unreachable", &["i/o timeout", ":6443"]),
    ("api_unreachable", &["no route to host", ":6443"]),
    ("assignment_outside_section", &["Assignment outside of section"]),
    ("exec_failed", &["Unable to locate executable"]),
    ("unauthorized", &["Unauthorized"]),
    ("client_cert_missing", &["unable to read client-cert"]),
    ("bootstrap_cert_expired", &["part of the existing bootstrap client certificate"]),
    ("config_invalid", &["failed to decode kubelet config file"]),
    ("config_invalid", &["failed to validate kubelet configuration"]),
]);

/// Sentences that look like faults and that healthy kubelets print, too: at each start, and for ever.
pub const HARMLESS: &[&str] = &[
    "invalid capacity 0 on image filesystem",
    "pleg has yet to be successful",
    "because we are in static kubelet mode",
];

/// Sentences of containerd.
pub(crate) static RUNTIME_LOG: Sentences = Sentences::new(&[
    ("no_network_config", &["no network config found"]),
    ("cni_invalid", &["failed to load CNI config"]),
    ("cri_failed", &["failed to create CRI service"]),
    ("too_many_files", &["too many open files"]),
    ("toml_invalid", &["failed to load TOML"]),
    ("disabled_name_invalid", &["invalid disabled plugin URI"]),
    ("sandbox_image", &["failed to get sandbox image"]),
    ("plugin_missing", &["failed to find plugin"]),
    ("plugin_bridge_failed", &["plugin type=\"bridge\" failed"]),
    ("plugin_flannel_failed", &["plugin type=\"flannel\" failed"]),
    ("subnet_env_missing", &["subnet.env", "no such file or directory"]),
    ("ignored_toml_key", &["Ignoring unknown key in TOML"]),
    ("no_space", &["no space left on device"]),
    ("read_only_fs", &["ead-only file system"]),
    ("exec_format", &["exec format error"]),
]);

impl LogFacts {
    pub(crate) fn parse(reader: Reader<'_>, unit: &str, table: &Sentences) -> Self {
        let text = reader.text_of("log", unit);
        let lines = text.as_ref().map(|text| {
            text.lines().filter(|line| !line.starts_with("invocation=") && !line.trim().is_empty()).collect::<Vec<_>>()
        });
        Self {
            invocation: text.as_ref().and_then(|text| {
                let id = text.lines().next().and_then(|line| line.strip_prefix("invocation="));
                Fact::from_option(id.filter(|id| !id.is_empty()).map(str::to_owned))
            }),
            found: text.map(|text| table.classify(text)),
            lines: lines.map(|lines| {
                let skipped = lines.len().saturating_sub(KEPT);
                lines[skipped..].iter().map(|line| clip(line, 400)).collect()
            }),
        }
    }

    /// A sentence of that class occurred.
    pub fn has(&self, class: &str) -> bool {
        self.found.is_known_and(|found| found.contains_key(class))
    }

    /// The last line of that class.
    pub fn last(&self, class: &str) -> Option<&str> {
        self.found.known()?.get(class).map(|finding| finding.last.as_str())
    }
}

/// What a service said last before its last exit. The journal holds lines of its present life too, and of earlier ones;
/// what counts is between the last exit and the one before.
pub(crate) fn exit_reason(text: &str) -> Option<String> {
    let (before, life) = last_life(text)?;
    last_error(life).or_else(|| last_error(before))
}

/// The kinds of sentences between the last exit and the one before.
pub(crate) fn exit_classes(text: &str, table: &Sentences) -> Vec<String> {
    let life = last_life(text).map_or("", |(_, life)| life);
    table.classify(life).into_keys().collect()
}

/// Everything before the last exit, and what of it came after the exit before.
fn last_life(text: &str) -> Option<(&str, &str)> {
    const EXIT: &str = "Main process exited";
    let (before, _) = text.rsplit_once(EXIT)?;
    // The line of the exit itself is only begun here; it is systemd's.
    let before = before.rsplit_once('\n').map_or("", |(lines, _)| lines);
    Some((before, before.rsplit_once(EXIT).map_or(before, |(_, life)| life)))
}

/// Seconds since the last sentence of a class, by the stamp at the beginning of its line.
pub(crate) fn age(log: &LogFacts, class: &str, now: Option<i64>) -> Fact<i64> {
    let last = log.found.as_ref().and_then(|found| Fact::from_option(found.get(class)));
    last.and_then(|finding| {
        let stamp = finding.last.split(['.', ' ']).next().and_then(|seconds| seconds.parse::<i64>().ok());
        match (stamp, now) {
            (Some(stamp), Some(now)) => Fact::Known(now.saturating_sub(stamp).max(0)),
            (None, _) => Fact::unknown("the line of the log has no stamp"),
            (_, None) => Fact::unknown("the node's clock is not known"),
        }
    })
}

/// Which of [`HARMLESS`] occur in a unit's log.
pub(crate) fn harmless(reader: Reader<'_>, unit: &str) -> Fact<Vec<String>> {
    reader.text_of("log", unit).map(|text| {
        let said = HARMLESS.iter().filter(|sentence| text.contains(**sentence));
        said.map(|sentence| (*sentence).to_owned()).collect()
    })
}

/// The last line that reports an error, without the journal's and klog's headings; else the last line.
pub(crate) fn last_error(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(message).filter(|line| !line.is_empty() && !is_systemd(line)).collect();
    let error = lines.iter().rev().find(|line| {
        ["err=", "rror:", "failed", "unknown flag", "unable", "invalid", "cannot"]
            .iter()
            .any(|word| line.contains(word))
    });
    error.or(lines.last()).map(|line| clip(line, 300))
}

fn is_systemd(line: &str) -> bool {
    [
        "Main process exited",
        "Failed with result",
        "Scheduled restart job",
        "Started kubelet",
        "Stopped kubelet",
        "Consumed ",
    ]
    .iter()
    .any(|word| line.contains(word))
}

/// The text of a line in the form of a container's log: `2025-09-10T13:41:28.1Z stderr F text`.
pub(crate) fn container_line(line: &str) -> &str {
    let mut fields = line.splitn(4, ' ');
    match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(_), Some("stdout" | "stderr"), Some("F" | "P"), Some(text)) => text,
        _ => line,
    }
}

/// `Sep 10 13:41:28 host kubelet[369]: E0910 13:41:28.9 369 run.go:74] "command failed" err="x"` -> from the quote on.
fn message(line: &str) -> &str {
    let line = line.trim();
    let line = match line.split_once("]: ") {
        Some((heading, rest)) if heading.contains('[') && !heading.contains('"') => rest.trim(),
        _ => line,
    };
    let klog = line.starts_with(['I', 'W', 'E', 'F']) && line.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    match line.split_once("] ") {
        Some((_, rest)) if klog => rest.trim(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    #[test]
    fn a_standalone_kubelet_says_so() {
        let text = "invocation=abc\nSep 10 13:41:27 n kubelet[1]: I0910 server.go:655] \"Standalone mode, no API client\"\n\
                    Sep 10 13:41:28 n kubelet[1]: I0910 status_manager.go:213] \"Kubernetes client is nil, not starting status manager\"\n";
        let record = record(&[("log", "kubelet", text)]);
        let log = LogFacts::parse(Reader::new(&record), "kubelet", &KUBELET_LOG);
        assert_eq!(log.invocation, Fact::Known("abc".to_owned()));
        assert!(log.has("standalone") && !log.has("network_not_ready"));
        assert_eq!(log.found.known().unwrap()["standalone"].count, 2);
        assert_eq!(log.lines.known().unwrap().len(), 2);
    }

    #[test]
    fn what_healthy_nodes_print_too_is_no_finding() {
        let text = "invocation=a\n\"Not starting ClusterTrustBundle informer because we are in static kubelet mode\"\n\
                    invalid capacity 0 on image filesystem\nPLEG is not healthy: pleg has yet to be successful\n";
        let record = record(&[("log", "kubelet", text)]);
        let log = LogFacts::parse(Reader::new(&record), "kubelet", &KUBELET_LOG);
        assert_eq!(log.found, Fact::Known(BTreeMap::new()));
    }

    #[test]
    fn the_reason_of_an_exit() {
        let text = "Sep 12 h kubelet[9]: I0912 10:00:00.1 9 server.go:1] \"Starting\"\n\
            Sep 12 h kubelet[9]: E0912 10:00:00.2 9 run.go:74] \"command failed\" err=\"failed to load kubelet config file, path: /var/lib/kubelet/config.yaml\"\n\
            Sep 12 h systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE\n\
            Sep 12 h systemd[1]: kubelet.service: Failed with result 'exit-code'.\n";
        let reason = exit_reason(text).unwrap();
        assert_eq!(
            reason,
            "\"command failed\" err=\"failed to load kubelet config file, path: /var/lib/kubelet/config.yaml\""
        );
        let present =
            format!("{text}Sep 12 h kubelet[10]: E0912 10:00:11.2 10 aws.go:7] while getting credentials: failed\n");
        assert_eq!(exit_reason(&present).unwrap(), reason, "its present life is not what ended");
        let twice = format!("{text}{}", text.replace("failed to load", "unable to load"));
        assert!(exit_reason(&twice).unwrap().contains("unable to load"));
        assert_eq!(exit_reason("h kubelet[1]: \"error\"\n"), None, "nothing has exited");
    }
}
