//! containerd's configuration by TOML table, in the layouts of version 1, 2 and 3 files.
//!
//! Paths: version 1 `plugins.cri`, version 2 `plugins."io.containerd.grpc.v1.cri"`, version 3 (containerd 2.x)
//! `plugins."io.containerd.cri.v1.runtime"` and `."io.containerd.cri.v1.images"`. A key in any other table means nothing to
//! containerd 1.x, which says nothing about it; so a textual line and the effective value are two facts.

use schemars::JsonSchema;
use serde::Serialize;
use toml::{Table, Value};

use super::Fact;
use super::memo::Memo;

/// What a configuration text amounts to. Absent keys are absent: the defaults are in the dump only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Config {
    /// `version` of the file; 1 when it says none.
    pub version: Fact<u32>,
    pub root: Fact<String>,
    pub state_dir: Fact<String>,
    /// As written.
    pub disabled_plugins: Fact<Vec<String>>,
    /// `disabled_plugins` names the CRI plugin.
    pub cri_disabled: Fact<bool>,
    /// A version 2 file disables a plugin by its short name: containerd refuses to start.
    pub disabled_name_invalid: Fact<bool>,
    pub default_runtime: Fact<String>,
    /// `SystemdCgroup` of the default runtime's options.
    pub systemd_cgroup: Fact<bool>,
    pub snapshotter: Fact<String>,
    pub sandbox_image: Fact<String>,
    /// Directories of CNI's plugin binaries.
    pub cni_bin_dirs: Fact<Vec<String>>,
    pub cni_conf_dir: Fact<String>,
    /// How many network configurations are loaded; 0 is all.
    pub cni_max_conf_num: Fact<u32>,
    /// `config_path` of the registry.
    pub registry_config_path: Fact<String>,
    pub imports: Fact<Vec<String>>,
}

impl Config {
    /// The text's tables; unknown, with the place of the mistake, when it is no TOML.
    pub(crate) fn parse(text: &str) -> Fact<Self> {
        static KNOWN: Memo<Fact<Config>> = Memo::new();
        Fact::clone(&KNOWN.get(text, Self::read))
    }

    fn read(text: &str) -> Fact<Self> {
        match text.parse::<Table>() {
            Ok(table) => Fact::Known(Self::of(&table)),
            Err(error) => Fact::unknown(match error.span() {
                Some(span) => {
                    let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1;
                    format!("no valid TOML: line {line}: {}", error.message())
                }
                None => format!("no valid TOML: {}", error.message()),
            }),
        }
    }

    /// Every leaf with the same reason.
    pub(crate) fn unknown(why: &str) -> Self {
        Self {
            version: Fact::unknown(why),
            root: Fact::unknown(why),
            state_dir: Fact::unknown(why),
            disabled_plugins: Fact::unknown(why),
            cri_disabled: Fact::unknown(why),
            disabled_name_invalid: Fact::unknown(why),
            default_runtime: Fact::unknown(why),
            systemd_cgroup: Fact::unknown(why),
            snapshotter: Fact::unknown(why),
            sandbox_image: Fact::unknown(why),
            cni_bin_dirs: Fact::unknown(why),
            cni_conf_dir: Fact::unknown(why),
            cni_max_conf_num: Fact::unknown(why),
            registry_config_path: Fact::unknown(why),
            imports: Fact::unknown(why),
        }
    }

    fn of(table: &Table) -> Self {
        let version = table.get("version").and_then(Value::as_integer).unwrap_or(1);
        let plugins = table.get("plugins");
        let plugin = |name: &str| plugins.and_then(|plugins| plugins.get(name));
        // The file's version alone decides which place is read; what stands in another is ignored without a word.
        let old = match version {
            ..=1 => plugin("cri"),
            2 => plugin("io.containerd.grpc.v1.cri"),
            _ => None,
        };
        let new = |name| plugin(name).filter(|_| version >= 3);
        let runtime = new("io.containerd.cri.v1.runtime").or(old);
        let images = new("io.containerd.cri.v1.images");
        let containerd = runtime.and_then(|runtime| runtime.get("containerd"));
        let default_runtime = containerd.and_then(|c| c.get("default_runtime_name")).and_then(Value::as_str);
        let options = containerd
            .and_then(|c| c.get("runtimes"))
            .and_then(|runtimes| runtimes.get(default_runtime.unwrap_or("runc")))
            .and_then(|runtime| runtime.get("options"));
        let systemd_cgroup = options.and_then(|options| options.get("SystemdCgroup")).and_then(Value::as_bool);
        let cni = runtime.and_then(|runtime| runtime.get("cni"));
        let disabled = table.get("disabled_plugins").map(strings);
        let snapshotter = images.and_then(|images| images.get("snapshotter"));
        let pinned = images.and_then(|images| images.get("pinned_images")).and_then(|pinned| pinned.get("sandbox"));
        let registry = images.or(old).and_then(|plugin| plugin.get("registry"));
        Self {
            version: u32::try_from(version).map_or_else(|_| Fact::unknown("version out of range"), Fact::Known),
            root: text(table.get("root")),
            state_dir: text(table.get("state")),
            cri_disabled: Fact::Known(disabled.as_ref().is_some_and(|names| names.iter().any(|name| is_cri(name)))),
            disabled_name_invalid: Fact::Known(
                version >= 2 && disabled.as_ref().is_some_and(|names| names.iter().any(|name| !name.contains('.'))),
            ),
            disabled_plugins: Fact::from_option(disabled),
            default_runtime: Fact::from_option(default_runtime.map(str::to_owned)),
            systemd_cgroup: Fact::from_option(systemd_cgroup),
            snapshotter: text(snapshotter.or_else(|| containerd.and_then(|c| c.get("snapshotter")))),
            sandbox_image: text(pinned.or_else(|| old.and_then(|old| old.get("sandbox_image")))),
            cni_bin_dirs: Fact::from_option(cni.and_then(bin_dirs)),
            cni_conf_dir: text(cni.and_then(|cni| cni.get("conf_dir"))),
            cni_max_conf_num: Fact::from_option(
                cni.and_then(|cni| cni.get("max_conf_num"))
                    .and_then(Value::as_integer)
                    .and_then(|number| u32::try_from(number).ok()),
            ),
            registry_config_path: text(registry.and_then(|registry| registry.get("config_path"))),
            imports: Fact::from_option(table.get("imports").map(strings)),
        }
    }
}

/// `bin_dirs` since 2.1, `bin_dir` before; an empty list means the older key.
fn bin_dirs(cni: &Value) -> Option<Vec<String>> {
    let list = cni.get("bin_dirs").map(strings).filter(|dirs| !dirs.is_empty());
    list.or_else(|| Some(vec![cni.get("bin_dir")?.as_str()?.to_owned()]))
}

fn is_cri(name: &str) -> bool {
    matches!(name, "cri" | "io.containerd.grpc.v1.cri") || name.starts_with("io.containerd.cri.v1.")
}

fn text(value: Option<&Value>) -> Fact<String> {
    Fact::from_option(value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned))
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A line that sets `SystemdCgroup`, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct SystemdCgroupLine {
    pub path: String,
    /// Counted from 1.
    pub line: u32,
    /// The table as its header writes it; empty at the top level.
    pub table: String,
    pub value: bool,
    /// It stands in the options of a runtime, where containerd reads it.
    pub effective: bool,
}

/// `version` of a file; its line stands before the first table.
pub(crate) fn file_version(text: &str) -> Option<i64> {
    let head = text.lines().map(str::trim).take_while(|line| !line.starts_with('['));
    let mut lines = head.filter_map(|line| line.split_once('='));
    let (_, value) = lines.find(|(key, _)| key.trim() == "version")?;
    value.split('#').next()?.trim().parse().ok()
}

/// Every uncommented line of a file that sets `SystemdCgroup`, wherever it stands. `version` is the file's.
pub(crate) fn systemd_cgroup_lines(path: &str, text: &str, version: i64) -> Vec<SystemdCgroupLine> {
    let mut table = String::new();
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let end = header.rfind(']').unwrap_or(header.len());
            header[..end].trim_matches(['[', ']']).trim().clone_into(&mut table);
        } else if let Some((key, value)) = line.split_once('=') {
            if key.trim() != "SystemdCgroup" {
                continue;
            }
            found.push(SystemdCgroupLine {
                path: path.to_owned(),
                line: u32::try_from(index + 1).unwrap_or(u32::MAX),
                value: value.trim().starts_with("true"),
                effective: is_runtime_options(&table, version),
                table: table.clone(),
            });
        }
    }
    found
}

fn is_runtime_options(table: &str, version: i64) -> bool {
    let plain = table.replace(['"', '\''], "");
    let plugin = match version {
        ..=1 => "plugins.cri.",
        2 => "plugins.io.containerd.grpc.v1.cri.",
        _ => "plugins.io.containerd.cri.v1.runtime.",
    };
    plain
        .strip_prefix(plugin)
        .and_then(|rest| rest.strip_prefix("containerd.runtimes."))
        .is_some_and(|rest| rest.ends_with(".options"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text).known().cloned().unwrap()
    }

    const VERSION_2: &str = r#"
version = 2
root = "/var/lib/containerd"
disabled_plugins = []
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.6"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
    max_conf_num = 1
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
"#;

    #[test]
    fn version_2() {
        let config = parse(VERSION_2);
        assert_eq!(config.systemd_cgroup, Fact::Known(true));
        assert_eq!(config.cni_bin_dirs, Fact::Known(vec!["/usr/lib/cni".to_owned()]));
        assert_eq!(config.cni_max_conf_num, Fact::Known(1));
        assert_eq!(config.sandbox_image, Fact::Known("registry.k8s.io/pause:3.6".to_owned()));
        assert_eq!((config.cri_disabled, config.disabled_name_invalid), (Fact::Known(false), Fact::Known(false)));
    }

    #[test]
    fn version_3() {
        let config = parse(
            "version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'overlayfs'\n\
             [plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'registry.k8s.io/pause:3.10'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'crun'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]\nSystemdCgroup = true\n\
             [plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = ''\nbin_dirs = ['/opt/cni/bin', '/usr/lib/cni']\n",
        );
        assert_eq!(config.version, Fact::Known(3));
        assert_eq!(config.systemd_cgroup, Fact::Known(true));
        assert_eq!(config.sandbox_image, Fact::Known("registry.k8s.io/pause:3.10".to_owned()));
        assert_eq!(config.cni_bin_dirs.known().unwrap().len(), 2);
    }

    #[test]
    fn version_1_and_its_short_names() {
        let config = parse(
            "disabled_plugins = [\"cri\"]\n[plugins.cri]\nsandbox_image = \"k8s.gcr.io/pause:3.1\"\n[plugins.cri.cni]\nbin_dir=\"/opt/cni/bin\"\n",
        );
        assert_eq!((config.version, config.cri_disabled), (Fact::Known(1), Fact::Known(true)));
        assert_eq!(config.disabled_name_invalid, Fact::Known(false));
        assert_eq!(config.sandbox_image, Fact::Known("k8s.gcr.io/pause:3.1".to_owned()));
    }

    #[test]
    fn a_short_name_in_a_version_2_file_keeps_containerd_from_starting() {
        let config = parse("version = 2\ndisabled_plugins = [\"cri\"]\n");
        assert_eq!((config.cri_disabled, config.disabled_name_invalid), (Fact::Known(true), Fact::Known(true)));
    }

    #[test]
    fn a_line_in_the_wrong_table_changes_nothing() {
        let text = "version = 2\n#SystemdCgroup = true\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"x\"\nSystemdCgroup = true\n";
        assert_eq!(parse(text).systemd_cgroup, Fact::Absent);
        let lines = systemd_cgroup_lines("/etc/containerd/config.toml", text, 2);
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].line, lines[0].value, lines[0].effective), (5, true, false));
        assert_eq!(lines[0].table, "plugins.\"io.containerd.grpc.v1.cri\".containerd");
        assert!(systemd_cgroup_lines("x", VERSION_2, 2)[0].effective);
    }

    #[test]
    fn the_layout_of_another_version_means_nothing() {
        let of_2 = VERSION_2.replace("version = 2", "");
        assert_eq!((file_version(&of_2), file_version(VERSION_2)), (None, Some(2)));
        assert_eq!(parse(&of_2).systemd_cgroup, Fact::Absent, "without a version the file is one of version 1");
        assert!(!systemd_cgroup_lines("x", &of_2, 1)[0].effective);
        let as_3 = VERSION_2.replace("version = 2", "version = 3 # new");
        assert_eq!((parse(&as_3).systemd_cgroup, file_version(&as_3)), (Fact::Absent, Some(3)));
        assert!(!systemd_cgroup_lines("x", &as_3, 3)[0].effective);
    }

    #[test]
    fn no_toml_names_the_line() {
        let why = Config::parse("version = 2\nroot = \n");
        assert!(why.reason().unwrap().starts_with("no valid TOML: line 2"), "{why:?}");
    }
}
