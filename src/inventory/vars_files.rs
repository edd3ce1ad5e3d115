//! `group_vars/` and `host_vars/` beside an inventory: which of their files belong to whom, as Ansible finds them. Touches
//! the disk.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::inventory::draft::Draft;
use crate::inventory::error::{InventoryError, Warning};
use crate::inventory::load::{list_directory, read_file};
use crate::inventory::value::Entry;
use crate::inventory::{ansible_yaml, detect, yaml};

/// A name without extension comes first: it may be a directory.
const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// How deep directories below `group_vars/NAME/` are followed.
const MAX_DEPTH: usize = 8;

/// A directory that may have the two in it.
#[derive(Debug)]
pub(in crate::inventory) struct VarsDirectory {
    pub(in crate::inventory) path: PathBuf,
    /// As the user would write it.
    pub(in crate::inventory) shown: PathBuf,
}

/// Adds the variables of all groups and hosts that `draft` knows. `bases` learns where relative paths in each file start.
pub(in crate::inventory) fn load(
    directory: &VarsDirectory,
    draft: &mut Draft,
    bases: &mut HashMap<Arc<str>, PathBuf>,
) -> Result<(), InventoryError> {
    for kind in ["group_vars", "host_vars"] {
        let (path, shown) = (directory.path.join(kind), directory.shown.join(kind));
        if !path.is_dir() {
            continue;
        }
        let known = |draft: &Draft, name: &str| match kind {
            "group_vars" => draft.group_id(name).is_some(),
            _ => draft.host_id(name).is_some(),
        };
        for (name, file) in choose(list_directory(&path, &shown)?, |name| known(draft, name)) {
            let (path, shown) = (path.join(&file), shown.join(&file));
            let mut files = Vec::new();
            collect(&path, &shown, 0, &mut files)?;
            for (path, shown) in files {
                let label = shown.display().to_string();
                bases.insert(label.as_str().into(), directory.path.clone());
                let variables = read(&path, &label, draft)?;
                if kind == "group_vars" {
                    if let Some(group) = draft.group_id(&name) {
                        draft.group_file(group, variables);
                    }
                } else if let Some(host) = draft.host_id(&name) {
                    draft.host_file(host, variables);
                }
            }
        }
    }
    Ok(())
}

/// The one file or directory for each known name: `web` before `web.yml` before `web.yaml`.
fn choose(files: Vec<String>, known: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for file in files {
        for (rank, extension) in EXTENSIONS.iter().enumerate() {
            let Some(name) = file.strip_suffix(extension).filter(|name| known(name)) else { continue };
            if chosen.get(name).is_none_or(|(other, _)| rank < *other) {
                chosen.insert(name.to_owned(), (rank, file.clone()));
            }
        }
    }
    chosen.into_iter().map(|(name, (_, file))| (name, file)).collect()
}

/// The file itself, or the files below the directory in order: those with a fitting extension or none, not hidden, no backup.
fn collect(path: &Path, shown: &Path, depth: usize, files: &mut Vec<(PathBuf, PathBuf)>) -> Result<(), InventoryError> {
    if !path.is_dir() {
        files.push((path.to_owned(), shown.to_owned()));
        return Ok(());
    }
    for name in list_directory(path, shown)? {
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let (path, shown) = (path.join(&name), shown.join(&name));
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        let directory = path.is_dir();
        let fits = extension.is_none_or(|extension| !directory && ["yml", "yaml", "json"].contains(&extension));
        if fits && depth < MAX_DEPTH {
            collect(&path, &shown, depth + 1, files)?;
        }
    }
    Ok(())
}

fn read(path: &Path, label: &str, draft: &mut Draft) -> Result<Vec<Entry>, InventoryError> {
    let text = detect::text_of(label, read_file(path, label)?)?;
    if text.starts_with("$ANSIBLE_VAULT") {
        let message = format!("{label} is encrypted with ansible-vault; its variables are not known here");
        draft.warnings.push(Warning::new(message));
        return Ok(Vec::new());
    }
    match yaml::parse(&text, &label.into())? {
        Some(root) => ansible_yaml::variables_file(root, draft),
        None => Ok(Vec::new()),
    }
}
