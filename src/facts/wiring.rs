//! How the kubelet is started: its unit's drop-ins and the flags that files give it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::listing;
use super::read::{Reader, clip};
use super::unit::Unit;

/// One `kubelet.service.d/*.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct DropIn {
    pub path: String,
    /// systemd has loaded it.
    pub loaded: Fact<bool>,
    /// The first line, counted from 1, that stands before any section header; systemd ignores it.
    pub outside_section: Fact<u32>,
    /// It sets `ExecStart` to a command.
    pub sets_command: Fact<bool>,
    /// It gives the kubelet a kubeconfig, by flag or by kubeadm's variable.
    pub gives_kubeconfig: Fact<bool>,
}

/// What became of the drop-in that kubeadm's package installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DropInState {
    Loaded,
    /// It is on disk and systemd has not read it: `daemon-reload` is due, or the unit is masked.
    NotLoaded,
    /// It has lines before its first section header, or no command.
    Malformed,
    Missing,
}

/// A flag and the file that gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct ConfiguredFlag {
    /// Without dashes.
    pub flag: String,
    pub value: String,
    pub source: String,
}

/// Every drop-in of the kubelet that the probe read.
pub(crate) fn drop_ins(reader: Reader<'_>, unit: &Unit) -> Fact<Vec<DropIn>> {
    let mut found: Vec<DropIn> = reader
        .each("unit-file")
        .filter(|(path, text)| path.contains("/kubelet.service.d/") && !text.is_absent())
        .map(|(path, text)| drop_in(path, &text, unit))
        .collect();
    // Loaded ones whose text did not come are known by name at least.
    for path in unit.drop_ins.known().into_iter().flatten() {
        if path.contains("/kubelet.service.d/") && !found.iter().any(|drop_in| plain(&drop_in.path) == plain(path)) {
            found.push(drop_in(path, &reader.nothing("unit-file"), unit));
        }
    }
    found.sort_by(|a, b| file_name(&a.path).cmp(file_name(&b.path)).then_with(|| a.path.cmp(&b.path)));
    if found.is_empty() { unit.state.as_ref().map(|_| found) } else { Fact::Known(found) }
}

/// `/lib` is a link to `/usr/lib`, and systemd prints either.
fn plain(path: &str) -> &str {
    path.strip_prefix("/usr").filter(|rest| rest.starts_with("/lib/")).unwrap_or(path)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn drop_in(path: &str, text: &Fact<&str>, unit: &Unit) -> DropIn {
    let has = |test: fn(&str) -> bool| text.as_ref().map(|text| settings(text).any(test));
    DropIn {
        path: path.to_owned(),
        loaded: match &unit.drop_ins {
            Fact::Known(loaded) => Fact::Known(loaded.iter().any(|loaded| plain(loaded) == plain(path))),
            Fact::Absent => Fact::Known(false),
            Fact::Unknown(why) => Fact::unknown(why.as_str()),
        },
        outside_section: text.as_ref().and_then(|text| Fact::from_option(outside_section(text))),
        sets_command: has(|line| line.strip_prefix("ExecStart=").is_some_and(|command| !command.trim().is_empty())),
        gives_kubeconfig: has(gives_kubeconfig),
    }
}

fn settings(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

fn outside_section(text: &str) -> Option<u32> {
    let lines = text.lines().enumerate().map(|(index, line)| (index, line.trim()));
    let (index, first) = lines.into_iter().find(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']))?;
    if first.starts_with('[') { None } else { u32::try_from(index + 1).ok() }
}

fn gives_kubeconfig(text: &str) -> bool {
    text.contains("KUBELET_KUBECONFIG_ARGS") || text.contains("--kubeconfig")
}

/// kubeadm's own drop-in among them.
pub(crate) fn kubeadm_drop_in(drop_ins: &Fact<Vec<DropIn>>) -> Fact<DropInState> {
    drop_ins.as_ref().map(|drop_ins| {
        let kubeadms = drop_ins.iter().filter(|drop_in| drop_in.path.ends_with("kubeadm.conf"));
        let states = kubeadms.map(|drop_in| {
            if drop_in.outside_section.is_known() || drop_in.sets_command.is_false() {
                DropInState::Malformed
            } else if drop_in.loaded.is_false() {
                DropInState::NotLoaded
            } else {
                DropInState::Loaded
            }
        });
        // A sound one outweighs a broken namesake in another directory.
        states.min_by_key(|state| *state as u8).unwrap_or(DropInState::Missing)
    })
}

/// The command that systemd would run gives the kubelet a kubeconfig.
///
/// Where it passes variables, their content is looked for in the unit's environment and the environment files; unknown when
/// systemd did not say what the environment is.
pub(crate) fn wired(reader: Reader<'_>, unit: &Unit) -> Fact<bool> {
    unit.exec_start.as_ref().and_then(|command| {
        if gives_kubeconfig(command) {
            return Fact::Known(true);
        }
        if !command.contains('$') {
            return Fact::Known(false);
        }
        let in_files = reader
            .each("env-file")
            .any(|(_, text)| text.known().is_some_and(|text| settings(text).any(|line| line.contains("--kubeconfig"))));
        match &unit.environment {
            Fact::Known(environment) => Fact::Known(in_files || environment.contains("--kubeconfig")),
            _ if in_files => Fact::Known(true),
            Fact::Absent => Fact::Known(false),
            Fact::Unknown(_) => Fact::unknown("the command line is made of variables that were not read"),
        }
    })
}

/// Why the command does not give it one.
pub(crate) fn fault(reader: Reader<'_>, unit: &Unit, wired: &Fact<bool>, drop_ins: &Fact<Vec<DropIn>>) -> Fact<String> {
    wired.as_ref().and_then(|wired| {
        if *wired {
            return Fact::Absent;
        }
        drop_ins.as_ref().map(|drop_ins| why_unwired(reader, unit, drop_ins))
    })
}

fn why_unwired(reader: Reader<'_>, unit: &Unit, drop_ins: &[DropIn]) -> String {
    let kubeadms = || drop_ins.iter().filter(|drop_in| drop_in.path.ends_with("kubeadm.conf"));
    if let Some((path, line)) = kubeadms().find_map(|drop_in| Some((&drop_in.path, *drop_in.outside_section.known()?)))
    {
        return format!("line {line} of {path} stands before any section header, so that systemd ignores it");
    }
    if let Some(empty) = kubeadms().find(|drop_in| drop_in.sets_command.is_false()) {
        return format!("{} sets no command", empty.path);
    }
    if let Some(unread) = kubeadms().find(|drop_in| drop_in.loaded.is_false()) {
        return format!("{} is on disk, and systemd has not read it", unread.path);
    }
    if let Some(loaded) = kubeadms().next() {
        return format!("{} is in force, and the command that counts does not use it", loaded.path);
    }
    if unit.drop_ins.is_known_and(|paths| !paths.is_empty()) {
        return "none of its drop-ins is kubeadm's".to_owned();
    }
    match drop_in_directory(reader) {
        Some(true) => "its drop-in directory holds no 10-kubeadm.conf".to_owned(),
        Some(false) => "it has no drop-in directory".to_owned(),
        None => "it has no drop-in".to_owned(),
    }
}

/// Whether there is a directory for the kubelet's drop-ins; `None` where nobody looked.
fn drop_in_directory(reader: Reader<'_>) -> Option<bool> {
    let listing = reader.text("unit-paths");
    let text = listing.known()?;
    let there = listing::parse(text).any(|entry| entry.path.ends_with("/kubelet.service.d") && entry.stat.is_known());
    Some(there)
}

/// The flags in the environment files, drop-ins and unit file, in that order.
pub(crate) fn configured_flags(reader: Reader<'_>) -> Vec<ConfiguredFlag> {
    let env = reader.each("env-file");
    let units = reader.each("unit-file").filter(|(path, _)| path.contains("kubelet.service"));
    let mut flags = Vec::new();
    for (path, text) in env.chain(units) {
        for line in text.known().into_iter().flat_map(|text| settings(text)) {
            flags.extend(flags_of(line).map(|(flag, value)| ConfiguredFlag { flag, value, source: path.to_owned() }));
        }
    }
    flags
}

/// The `--flag=value` words of a line, whatever quotes and `NAME=` stand before them.
fn flags_of(line: &str) -> impl Iterator<Item = (String, String)> {
    line.split_whitespace().filter_map(|word| {
        let start = word.find("--")?;
        let clean = word[..start].chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '"' | '\''));
        let flag = word[start + 2..].trim_end_matches(['"', '\'']);
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        (clean && !name.is_empty()).then(|| (clip(name, 80), clip(value, 200)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    const DIR: &str = "/usr/lib/systemd/system/kubelet.service.d";
    const GOOD: &str = "# comes with kubeadm\n[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/b --kubeconfig=/k\"\n\
        EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS\n";

    fn state(text: &str, loaded: &str) -> DropInState {
        let path = format!("{DIR}/10-kubeadm.conf");
        let unit = format!("LoadState=loaded\nActiveState=active\nSubState=running\nDropInPaths={loaded}\n");
        let record = record(&[("unit-file", &path, text), ("unit", "kubelet", &unit)]);
        let reader = Reader::new(&record);
        let unit = Unit::parse(reader, "kubelet", None);
        *kubeadm_drop_in(&drop_ins(reader, &unit)).known().unwrap()
    }

    #[test]
    fn the_states_of_kubeadms_drop_in() {
        let path = format!("{DIR}/10-kubeadm.conf");
        assert_eq!(state(GOOD, &path), DropInState::Loaded);
        assert_eq!(state(GOOD, ""), DropInState::NotLoaded);
        assert_eq!(state(&GOOD.replace("[Service]\n", ""), &path), DropInState::Malformed);
        assert_eq!(state("[Service]\nExecStart=\n", &path), DropInState::Malformed);
    }

    #[test]
    fn none_is_missing_only_when_systemd_was_asked() {
        let asked =
            record(&[("unit", "kubelet", "LoadState=loaded\nActiveState=active\nSubState=running\nDropInPaths=\n")]);
        let reader = Reader::new(&asked);
        let unit = Unit::parse(reader, "kubelet", None);
        assert_eq!(kubeadm_drop_in(&drop_ins(reader, &unit)), Fact::Known(DropInState::Missing));
        let silent = record(&[]);
        let reader = Reader::new(&silent);
        assert!(drop_ins(reader, &Unit::parse(reader, "kubelet", None)).is_unknown());
    }

    #[test]
    fn a_drop_in_without_header_names_its_line() {
        assert_eq!(outside_section("# x\n\nEnvironment=A=b\n"), Some(3));
        assert_eq!(outside_section("\n[Service]\nA=b\n"), None);
        assert_eq!(outside_section("# only comments\n"), None);
    }

    #[test]
    fn flags_of_files() {
        let record = record(&[
            (
                "env-file",
                "/var/lib/kubelet/kubeadm-flags.env",
                "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/c.sock --network-plugin=cni\"\n",
            ),
            ("env-file", "/etc/default/kubelet", "#KUBELET_EXTRA_ARGS=--commented\nKUBELET_EXTRA_ARGS='--v=2'\n"),
            ("unit-file", "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", GOOD),
        ]);
        let flags = configured_flags(Reader::new(&record));
        let names: Vec<_> = flags.iter().map(|flag| flag.flag.as_str()).collect();
        assert_eq!(names, ["container-runtime-endpoint", "network-plugin", "v", "bootstrap-kubeconfig", "kubeconfig"]);
        assert_eq!(flags[1].value, "cni");
        assert_eq!(flags[2].value, "2");
    }

    #[test]
    fn wiring_by_the_command_and_its_variables() {
        let wired = |command: &str, environment: Fact<String>, file: &str| {
            let unit = Unit { exec_start: Fact::Known(command.to_owned()), environment, ..Unit::default() };
            let record = record(&[("env-file", "/etc/default/kubelet", file)]);
            super::wired(Reader::new(&record), &unit)
        };
        let unread = || Fact::unknown("x");
        assert_eq!(wired("/usr/bin/kubelet", unread(), ""), Fact::Known(false));
        assert_eq!(wired("/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS", unread(), ""), Fact::Known(true));
        assert_eq!(wired("/usr/bin/kubelet --kubeconfig=/x", unread(), ""), Fact::Known(true));
        assert!(wired("/usr/local/bin/kubelet $KUBELET_ARGS", unread(), "").is_unknown());
        assert_eq!(wired("/usr/bin/kubelet $ARGS", unread(), "ARGS=--kubeconfig=/x\n"), Fact::Known(true));
        // Only half of kubeadm's drop-in is left.
        let half = Fact::Known("KUBELET_CONFIG_ARGS=--config=/c".to_owned());
        assert_eq!(wired("/usr/bin/kubelet $KUBELET_CONFIG_ARGS", half, ""), Fact::Known(false));
    }

    #[test]
    fn why_it_is_not_wired() {
        let path = format!("{DIR}/10-kubeadm.conf");
        let why = |text: Option<&str>, directory: &str| {
            let unit = "LoadState=loaded\nActiveState=active\nSubState=running\nDropInPaths=\n\
                        ExecStart={ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet ; }\n";
            let mut sections = vec![("unit", "kubelet", unit), ("unit-paths", "", directory)];
            sections.extend(text.map(|text| ("unit-file", path.as_str(), text)));
            let record = record(&sections);
            let reader = Reader::new(&record);
            let unit = Unit::parse(reader, "kubelet", None);
            fault(reader, &unit, &super::wired(reader, &unit), &drop_ins(reader, &unit)).known().unwrap().clone()
        };
        let directory = format!("755 0:0 1 1 d\t{DIR}\n");
        assert!(why(Some(&GOOD.replace("[Service]\n", "")), &directory).starts_with("line 2 of"));
        assert!(why(Some(GOOD), &directory).ends_with("systemd has not read it"));
        assert_eq!(why(None, &directory), "its drop-in directory holds no 10-kubeadm.conf");
        assert_eq!(
            why(None, "644 0:0 1 1 f\t/usr/lib/systemd/system/kubelet.service\n"),
            "it has no drop-in directory"
        );
    }
}
