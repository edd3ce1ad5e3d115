//! Prometheus' text format: read back here, and by promtool where there is one.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use seaworthy::report::Format;

use super::{fixture, render};
use crate::report::fixture as plain;

/// Every line is a comment or a sample; samples of a metric stand together below their help and type; no series is there
/// twice (the collector would refuse the file).
pub(super) fn check(text: &str) {
    let mut series = BTreeSet::new();
    let mut families = BTreeSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind, format!("{family} gauge"));
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next().unwrap(), family, "{line}");
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
            assert!(series.insert(name), "{line} twice");
            if let Some(labels) = name.split_once('{').map(|(_, labels)| labels) {
                check_labels(labels.strip_suffix('}').unwrap());
            }
        }
    }
}

/// `a="b",c="d"`, with the escapes of the format and no others.
fn check_labels(mut rest: &str) {
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let mut escaped = false;
        let end = after.find(|char| {
            let ends = char == '"' && !escaped;
            assert!(!escaped || matches!(char, '\\' | '"' | 'n'), "{after}");
            escaped = char == '\\' && !escaped;
            ends
        });
        let value = &after[..end.unwrap()];
        assert!(value.len() < 1_000, "{name}");
        rest = after[value.len() + 1..].trim_start_matches(',');
    }
}

#[test]
fn one_node() {
    let text = render(Format::Prometheus, &fixture::one());
    check(&text);
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for sample in [
        "seaworthy_run_timestamp_seconds 1785073262",
        "seaworthy_run_duration_seconds 8.412",
        "seaworthy_run_nodes{verdict=\"fail\"} 1",
        "seaworthy_root_cause{check=\"kubelet/drop-in-missing\",severity=\"blocker\",confidence=\"certain\",scope=\"node\",verdict=\"fail\"} 1",
        "seaworthy_node_up{node=\"storagenode\"} 1",
        "seaworthy_node_verdict{node=\"storagenode\",verdict=\"fail\"} 1",
        "seaworthy_node_verdict{node=\"storagenode\",verdict=\"ok\"} 0",
        "seaworthy_check_failed{node=\"storagenode\",check=\"kubelet/standalone\",severity=\"blocker\",explained=\"true\"} 1",
        "seaworthy_check_warned{node=\"storagenode\",check=\"time/not-synchronized\",severity=\"medium\",explained=\"false\"} 1",
        "seaworthy_node_checks{node=\"storagenode\",verdict=\"pass\"} 20",
        "seaworthy_node_clock_skew_seconds{node=\"storagenode\"} -0.051",
        "seaworthy_node_filesystem_used_ratio{node=\"storagenode\",holds=\"images\"} 0.93",
        "seaworthy_node_hung_mounts{node=\"storagenode\"} 1",
        // A file with two certificates ends with the first of them.
        "seaworthy_node_certificate_expiration_timestamp_seconds{node=\"storagenode\",path=\"/etc/kubernetes/pki/ca.crt\"} 1000",
    ] {
        assert!(samples.contains(&sample), "{sample}\n{text}");
    }
    // What was not read has no sample, and no zero.
    assert!(!text.contains("synchronized{") && !text.contains("holds=\"pods\""), "{text}");
}

#[test]
fn a_node_that_was_not_read_is_down_and_says_why() {
    let text = render(Format::Prometheus, &plain::fleet_of(&["homelab"]));
    check(&text);
    assert!(text.contains("seaworthy_node_up{node=\"homelab\"} 0\n"), "{text}");
    assert!(text.contains("seaworthy_node_failure{node=\"homelab\",kind=\"no-route\"} 1\n"), "{text}");
    assert!(!text.contains("skew") && !text.contains("node_info"), "{text}");
}

#[test]
fn names_that_become_equal_are_told_apart() {
    let long = "x".repeat(500);
    let names = ["a\nb".to_owned(), "a\\nb".to_owned(), format!("{long}1"), format!("{long}2")];
    check(&render(Format::Prometheus, &plain::report(names.iter().map(|name| plain::healthy(name, 1)).collect())));
}

/// `SEAWORTHY_PROMTOOL`, or the one of PATH; says aloud when there is none.
fn promtool() -> Option<PathBuf> {
    let named = std::env::var_os("SEAWORTHY_PROMTOOL").map(PathBuf::from);
    let found = named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("promtool")).find(|file| file.is_file())
    });
    if found.is_none() {
        eprintln!(
            "SKIPPED: there is no promtool in PATH, and SEAWORTHY_PROMTOOL names none (Debian: package prometheus)"
        );
    }
    found
}

#[test]
fn promtool_finds_nothing_to_criticise() {
    let Some(promtool) = promtool() else { return };
    for report in [fixture::fleet(), fixture::one(), plain::hostile(), plain::fleet()] {
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(render(Format::Prometheus, &report).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.trim().is_empty(), "{said}");
    }
}

#[test]
fn the_alert_rules_do_what_they_say() {
    let Some(promtool) = promtool() else { return };
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts");
    for arguments in [["check", "rules", "seaworthy.rules.yaml"], ["test", "rules", "seaworthy.rules.test.yaml"]] {
        let output = Command::new(&promtool).args(arguments).current_dir(docs).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn the_alert_rules_name_metrics_that_exist() {
    let rules = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts/seaworthy.rules.yaml"));
    let text = render(Format::Prometheus, &fixture::one());
    let names = rules.lines().filter(|line| line.trim_start().starts_with("expr:"));
    let names: BTreeSet<&str> = names
        .flat_map(|line| line.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')))
        .filter(|word| word.starts_with("seaworthy_"))
        .collect();
    assert!(names.len() > 5);
    for name in names {
        assert!(text.contains(&format!("# TYPE {name} gauge\n")), "{name}");
    }
}
