//! Inventories as users have them: loaded from files, scripts and standard input, and refused where they are wrong.

mod bad_input;
mod limits;
mod printing;
mod scripts;
mod settings;
mod shapes;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use seaworthy::commands::inventory::{self as command, InventoryFormat};
use seaworthy::failure::{Failure, FailureKind};
use seaworthy::inventory::error::InventoryError;
use seaworthy::inventory::limit::{Limit, LimitError};
use seaworthy::inventory::load::{self, Loaded, Source, Surroundings};
use seaworthy::inventory::model::Inventory;
use seaworthy::inventory::origin::{Connection, Origin, Overrides, Told};
use seaworthy::target::{Role, SshSettings, Target, Via};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

fn surroundings(cwd: &Path) -> Surroundings {
    Surroundings { cwd: cwd.to_owned(), home: Some("/home/op".into()), script_deadline: Duration::from_secs(20) }
}

/// Loads `text` as if it came on standard input.
fn try_text(text: &str) -> Result<Loaded, InventoryError> {
    load::load(&[Source::Stdin], &surroundings(Path::new("/work")), &mut text.as_bytes())
}

fn text(text: &str) -> Inventory {
    let Loaded { inventory, warnings } = try_text(text).unwrap();
    assert_eq!(warnings, [], "unexpected warnings");
    inventory
}

fn warnings(text: &str) -> String {
    lines(try_text(text).unwrap().warnings)
}

/// One line for each.
fn lines<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string() + "\n").collect()
}

fn error(text: &str) -> String {
    try_text(text).unwrap_err().to_string()
}

/// A directory of files, each a (name, content).
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn try_load(directory: &TempDir, arguments: &[&str]) -> Result<Loaded, InventoryError> {
    let cwd = directory.path();
    let sources: Vec<Source> = arguments.iter().map(|argument| Source::from_argument(argument, cwd)).collect();
    load::load(&sources, &surroundings(cwd), &mut std::io::empty())
}

fn load_error(directory: &TempDir, argument: &str) -> String {
    try_load(directory, &[argument]).unwrap_err().to_string()
}

/// Writes an executable through another process: while this one held it open for writing, a process started by a
/// neighbouring test would inherit that, and running the script would fail with "text file busy".
fn script(directory: &TempDir, name: &str, content: &str) {
    use std::io::Write as _;
    let path = directory.path().join(name);
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

fn target(inventory: &Inventory, host: &str) -> Result<Target, Failure> {
    inventory.target(inventory.host(host).unwrap(), &Overrides::default())
}

fn ssh(inventory: &Inventory, host: &str) -> SshSettings {
    match target(inventory, host).unwrap().via {
        Via::Ssh(settings) => *settings,
        Via::Local => panic!("{host} is local"),
    }
}

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.hosts().map(|host| inventory.host_name(host)).collect()
}

fn groups_of<'i>(inventory: &'i Inventory, host: &str) -> Vec<&'i str> {
    inventory.groups_of(inventory.host(host).unwrap())
}

fn flag<T>(value: T) -> Told<T> {
    Told { value, origin: Origin::Flag("--flag") }
}

fn limit(inventory: &Inventory, arguments: &[&str]) -> Result<Vec<String>, LimitError> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let read = |path: &Path| match path.to_str() {
        Some("failed") => Ok("# last run\nweb2\r\n\n db1 \n".to_owned()),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let selection = inventory.select(&Limit::parse(&arguments, &read)?)?;
    Ok(selection.hosts.iter().map(|host| inventory.host_name(*host).to_owned()).collect())
}
