//! From `-i` arguments to an [`Inventory`]: the part of it that touches the world. Reads files and standard input, runs
//! scripts, finds `group_vars/` and `host_vars/`; what the bytes mean is decided elsewhere.
//!
//! Sources are merged in their order, the later wins. Nothing is read that is larger than [`MAX_BYTES`].

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use crate::inventory::detect::{self, Format};
use crate::inventory::draft::Draft;
use crate::inventory::error::{InventoryError, ScriptProblem, Warning};
use crate::inventory::limit;
use crate::inventory::model::{Inventory, KeyFiles, UNGROUPED};
use crate::inventory::script_json::{self, HostVariables, NotAnInventory, ReadError};
use crate::inventory::value::{Node, Place};
use crate::inventory::vars_files::{self, VarsDirectory};
use crate::inventory::yaml::show_line;
use crate::inventory::{ansible_ini, ansible_yaml, script, yaml};

/// The most that a file, a script's output or standard input may have.
pub const MAX_BYTES: u64 = 64 << 20;

/// How long a script may take for `--list`, and for each `--host`.
pub const SCRIPT_DEADLINE: Duration = Duration::from_secs(10);

/// How deep directories in directories are followed.
const MAX_DIRECTORY_DEPTH: usize = 8;

/// One `-i`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `-`
    Stdin,
    /// `host,host:2222,node[01:40]`
    Inline(String),
    /// A file, a script or a directory.
    Path(PathBuf),
}

/// What the loader may know about where it runs.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Relative paths start here.
    pub cwd: PathBuf,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// Usually [`SCRIPT_DEADLINE`].
    pub script_deadline: Duration,
}

/// An inventory, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    pub inventory: Inventory,
    pub warnings: Vec<Warning>,
}

impl Source {
    /// Reads an argument as Ansible does: what has a comma and is no existing file is a list of hosts.
    pub fn from_argument(argument: &str, cwd: &Path) -> Self {
        if argument == "-" {
            Self::Stdin
        } else if argument.contains(',') && !cwd.join(argument).exists() {
            Self::Inline(argument.to_owned())
        } else {
            Self::Path(PathBuf::from(argument))
        }
    }
}

/// Loads all `sources` into one inventory. `stdin` is read only for [`Source::Stdin`].
pub fn load(sources: &[Source], surroundings: &Surroundings, stdin: &mut dyn Read) -> Result<Loaded, InventoryError> {
    let mut loader = Loader { draft: Draft::new(), surroundings, bases: HashMap::new(), vars: Vec::new() };
    for source in sources {
        match source {
            Source::Stdin => {
                let bytes = read_capped(stdin, "(stdin)", 0)?;
                loader.text("(stdin)", &detect::text_of("(stdin)", bytes)?)?;
            }
            Source::Inline(list) => loader.inline(list)?,
            Source::Path(path) => loader.path(path)?,
        }
    }
    if loader.draft.host_count() == 0 {
        let names: Vec<String> = sources.iter().map(describe).collect();
        return Err(InventoryError::NoHosts { sources: names.join(", "), warnings: loader.draft.warnings });
    }
    let Loader { mut draft, vars, mut bases, .. } = loader;
    for directory in &vars {
        vars_files::load(directory, &mut draft, &mut bases)?;
    }
    let files = key_files(&draft, &bases, surroundings);
    let (inventory, warnings) = draft.finish(files)?;
    Ok(Loaded { inventory, warnings })
}

impl Inventory {
    /// An inventory of names and groups alone: what a saved run knows of its hosts, so that `--limit` works on it too.
    pub fn of<'a>(hosts: impl IntoIterator<Item = (&'a str, &'a [String])>) -> Result<Self, InventoryError> {
        let place = Place { source: "(saved run)".into(), at: None };
        let mut draft = Draft::new();
        for (name, groups) in hosts {
            let host = draft.host(name, &place)?;
            for group in groups {
                let group = draft.group(group, &place)?;
                draft.join(host, group);
            }
        }
        let (inventory, _) = draft.finish(KeyFiles::default())?;
        Ok(inventory)
    }
}

fn describe(source: &Source) -> String {
    match source {
        Source::Stdin => "(stdin)".to_owned(),
        Source::Inline(_) => INLINE.to_owned(),
        Source::Path(path) => path.display().to_string(),
    }
}

const INLINE: &str = "(inline list)";

struct Loader<'s> {
    draft: Draft,
    surroundings: &'s Surroundings,
    /// Where relative paths in a source start.
    bases: HashMap<Arc<str>, PathBuf>,
    /// Directories that may have `group_vars/` and `host_vars/`, in order.
    vars: Vec<VarsDirectory>,
}

impl Loader<'_> {
    fn inline(&mut self, list: &str) -> Result<(), InventoryError> {
        let place = Place::whole(&INLINE.into());
        limit::cut(list, ',').into_iter().try_for_each(|host| self.draft.add_hosts(host, &place, UNGROUPED, Vec::new()))
    }

    fn path(&mut self, shown: &Path) -> Result<(), InventoryError> {
        let path = self.surroundings.cwd.join(shown);
        let directory = path.is_dir();
        if directory {
            self.directory(&path, shown, 0)?;
        } else {
            self.file(&path, shown, Within::Alone)?;
        }
        let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
        let vars = if directory {
            VarsDirectory { path, shown: shown.to_owned() }
        } else {
            VarsDirectory { path: parent(&path), shown: parent(shown) }
        };
        // Two sources side by side share their variables; the later position counts.
        self.vars.retain(|other| other.path != vars.path);
        self.vars.push(vars);
        Ok(())
    }

    fn directory(&mut self, path: &Path, shown: &Path, depth: usize) -> Result<(), InventoryError> {
        let mut skipped = Vec::new();
        let mut used = false;
        for name in list_directory(path, shown)? {
            if ignored_in_directory(&name) {
                skipped.push(name);
                continue;
            }
            let (path, shown) = (path.join(&name), shown.join(&name));
            if path.is_dir() {
                if depth < MAX_DIRECTORY_DEPTH {
                    match self.directory(&path, &shown, depth + 1) {
                        Err(InventoryError::EmptyDirectory { .. }) => continue,
                        other => other?,
                    }
                    used = true;
                }
            } else {
                used |= self.file(&path, &shown, Within::Directory)?;
            }
        }
        if used { Ok(()) } else { Err(InventoryError::EmptyDirectory { path: shown.display().to_string(), skipped }) }
    }

    /// Whether the file was used; one in a directory may be left out.
    fn file(&mut self, path: &Path, shown: &Path, within: Within) -> Result<bool, InventoryError> {
        let label = shown.display().to_string();
        let mut file = File::open(path).map_err(|error| open_error(&label, &error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&label, &error))?;
        let bytes = read_capped(&mut file, &label, metadata.len())?;
        let executable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
        let script = bytes.starts_with(b"#!");
        if executable && (script || bytes.starts_with(b"\x7fELF")) {
            drop(file);
            self.script(path, &label)?;
            return Ok(true);
        }
        if script {
            return match within {
                Within::Alone => Err(InventoryError::NotExecutable { path: label }),
                Within::Directory => {
                    let message = format!("{label} starts with `#!` but is not executable, and is left out");
                    self.draft.warnings.push(Warning::new(message));
                    Ok(false)
                }
            };
        }
        let text = detect::text_of(&label, bytes)?;
        if within == Within::Directory && detect::format(&text).is_none() {
            return Ok(false);
        }
        self.bases.insert(label.as_str().into(), path.parent().map(Path::to_owned).unwrap_or_default());
        self.text(&label, &text)?;
        Ok(true)
    }

    fn text(&mut self, label: &str, text: &str) -> Result<(), InventoryError> {
        let path = || label.to_owned();
        if text.starts_with("$ANSIBLE_VAULT") {
            return Err(InventoryError::Vaulted { path: path() });
        }
        let source: Arc<str> = label.into();
        match detect::format(text) {
            None => Err(InventoryError::Empty { path: path() }),
            Some(Format::Ini) => ansible_ini::read(text, &source, &mut self.draft),
            Some(Format::Yaml) => self.yaml(text, &source),
            Some(Format::Json) => match script_json::parse(text, &source) {
                Ok(root) if script_json::is_script_output(&root) => match self.groups(root) {
                    Ok(_) => Ok(()),
                    Err(ReadError::Inventory(error)) => Err(error),
                    Err(ReadError::Shape(NotAnInventory(reason))) => {
                        let (found, wanted) = (reason, "what `ansible-inventory --list` prints".to_owned());
                        Err(InventoryError::Shape {
                            place: Place::whole(&source),
                            what: "the inventory".into(),
                            found,
                            wanted,
                        })
                    }
                },
                // JSON is YAML, and so are braces with a comment or a tag inside.
                _ => self.yaml(text, &source),
            },
        }
    }

    fn yaml(&mut self, text: &str, source: &Arc<str>) -> Result<(), InventoryError> {
        match yaml::parse(text, source)? {
            Some(root) => ansible_yaml::read(root, &mut self.draft),
            None => Err(InventoryError::Empty { path: source.to_string() }),
        }
    }

    fn groups(&mut self, root: Node) -> Result<HostVariables, ReadError> {
        script_json::read(root, &mut self.draft)
    }

    fn script(&mut self, path: &Path, label: &str) -> Result<(), InventoryError> {
        let fail = |problem| InventoryError::Script { path: label.to_owned(), problem };
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        let root = self.ask(path, label, &["--list"])?;
        let source = Arc::clone(&root.place.source);
        self.bases.insert(source, base.clone());
        let hosts = match self.groups(root) {
            Ok(HostVariables::Given) => return Ok(()),
            Ok(HostVariables::ToAsk(hosts)) => hosts,
            Err(ReadError::Inventory(error)) => return Err(error),
            Err(ReadError::Shape(NotAnInventory(reason))) => {
                let arguments = "--list".to_owned();
                return Err(fail(ScriptProblem::Output { arguments, reason, output: String::new() }));
            }
        };
        let mut asked = std::collections::HashSet::new();
        for host in hosts.into_iter().filter(|host| asked.insert(host.clone())) {
            let root = self.ask(path, label, &["--host", &host])?;
            self.bases.insert(Arc::clone(&root.place.source), base.clone());
            let variables = ansible_yaml::variables_file(root, &mut self.draft)?;
            if let Some(id) = self.draft.host_id(&host) {
                self.draft.host_variables(id, variables);
            }
        }
        Ok(())
    }

    /// Runs the script and reads its JSON; no output at all means an empty object.
    fn ask(&self, path: &Path, label: &str, arguments: &[&str]) -> Result<Node, InventoryError> {
        let shown = arguments.join(" ");
        let fail = |problem| InventoryError::Script { path: label.to_owned(), problem };
        let Surroundings { cwd, script_deadline, .. } = self.surroundings;
        let bytes = script::run(path, arguments, cwd, MAX_BYTES, *script_deadline).map_err(fail)?;
        let command = format!("{label} {shown}");
        if bytes.len() as u64 > MAX_BYTES {
            return Err(InventoryError::TooLarge { path: command, limit_mib: MAX_BYTES >> 20 });
        }
        let bytes = Zeroizing::new(bytes);
        let text = String::from_utf8_lossy(&bytes);
        let source: Arc<str> = command.into();
        let json = if text.trim().is_empty() && arguments.len() > 1 { "{}" } else { &text };
        script_json::parse(json, &source).map_err(|error| {
            let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            let reason = if first.is_empty() { "nothing at all".to_owned() } else { format!("no JSON, {error}") };
            fail(ScriptProblem::Output { arguments: shown, reason, output: show_line(first) })
        })
    }
}

/// Whether a file was named by the user or found in a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Alone,
    Directory,
}

/// What Ansible leaves out of a directory: hidden files, variables, backups, and what is no inventory by its name.
fn ignored_in_directory(name: &str) -> bool {
    const NAMES: [&str; 3] = ["group_vars", "host_vars", "vars_plugins"];
    const ENDS: [&str; 12] =
        [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];
    name.starts_with('.') || NAMES.contains(&name) || ENDS.iter().any(|end| name.ends_with(end))
}

/// The names in a directory, sorted. Names that are not UTF-8 are left out.
pub(in crate::inventory) fn list_directory(path: &Path, shown: &Path) -> Result<Vec<String>, InventoryError> {
    let fail = |error: io::Error| unreadable(&shown.display().to_string(), &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        names.extend(entry.map_err(fail)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

pub(in crate::inventory) fn read_file(path: &Path, label: &str) -> Result<Vec<u8>, InventoryError> {
    let mut file = File::open(path).map_err(|error| open_error(label, &error))?;
    let expected = file.metadata().map_or(0, |metadata| metadata.len());
    read_capped(&mut file, label, expected)
}

/// Reads everything. Room for the `expected` bytes is taken at once, so that no part of them stays behind where they moved from.
fn read_capped(reader: &mut dyn Read, label: &str, expected: u64) -> Result<Vec<u8>, InventoryError> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected.min(MAX_BYTES) + 1).unwrap_or_default());
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(label, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(InventoryError::TooLarge { path: label.to_owned(), limit_mib: MAX_BYTES >> 20 });
    }
    Ok(bytes)
}

fn open_error(label: &str, error: &io::Error) -> InventoryError {
    if error.kind() != io::ErrorKind::NotFound {
        return unreadable(label, error);
    }
    let hint = if label.contains('/') { "" } else { " (a list of hosts needs a comma: -i host,)" };
    InventoryError::Missing { path: label.to_owned(), hint }
}

fn unreadable(label: &str, error: &io::Error) -> InventoryError {
    InventoryError::Unreadable { path: label.to_owned(), reason: error.to_string() }
}

/// Finds the keys with relative paths that lie beside the source that names them.
fn key_files(draft: &Draft, bases: &HashMap<Arc<str>, PathBuf>, surroundings: &Surroundings) -> KeyFiles {
    let beside = draft
        .key_texts()
        .into_iter()
        .filter_map(|(source, text)| {
            let path = bases.get(&source)?.join(text.trim());
            (!text.starts_with(['~', '/']) && path.is_file()).then(|| ((source, text.trim().to_owned()), path))
        })
        .collect();
    KeyFiles { home: surroundings.home.clone(), cwd: surroundings.cwd.clone(), beside }
}
