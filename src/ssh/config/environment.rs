//! Everything that resolving reads from the process and the machine, as one value, so that tests use a directory of their own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who runs this, where, and with what.
#[derive(Clone)]
pub struct Environment {
    /// Holds `.ssh`.
    pub home: PathBuf,
    /// The local user's name and id (`%u`, `%i`).
    pub user: String,
    pub uid: u32,
    /// This machine's name (`%l`).
    pub hostname: String,
    /// `SSH_AUTH_SOCK`, if it is set and not empty: what `AgentChoice::Environment` means.
    pub agent: Option<PathBuf>,
    /// Environment variables, for `${NAME}` in settings that allow it.
    pub variables: BTreeMap<String, String>,
    /// `/etc/ssh`: the system's `ssh_config` and `ssh_known_hosts`.
    pub system: PathBuf,
    /// The ssh program that is asked with `-G`; `None` to rely on the own reading. It must see the same home.
    pub ssh: Option<PathBuf>,
}

/// The variables stay out: they hold other programs' secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("home", &self.home)
            .field("user", &self.user)
            .field("ssh", &self.ssh)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// As this process sees it.
    pub fn from_process() -> Self {
        let variables: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let said = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        let uid = rustix::process::getuid().as_raw();
        let account = account(uid);
        let own_home = account.as_ref().map(|account| account.home.clone());
        let home = said("HOME").map(PathBuf::from).or_else(|| own_home.clone()).unwrap_or_else(|| PathBuf::from("/"));
        let user =
            account.map(|account| account.name).or_else(|| said("USER").cloned()).unwrap_or_else(|| uid.to_string());
        // ssh takes the home of the account and not HOME; where they differ, it would read another configuration.
        let same_home = own_home.as_ref() == Some(&home);
        let ssh = if same_home { said("PATH").and_then(|path| find("ssh", path)) } else { None };
        Self {
            user,
            uid,
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            agent: said("SSH_AUTH_SOCK").map(PathBuf::from),
            system: PathBuf::from("/etc/ssh"),
            home,
            ssh,
            variables,
        }
    }
}

struct Account {
    name: String,
    home: PathBuf,
}

/// The account of `uid`: from the file, or, where accounts live elsewhere (LDAP), from `getent`.
fn account(uid: u32) -> Option<Account> {
    let find = |text: &str| text.lines().find_map(|line| account_of(line, uid));
    fs::read_to_string("/etc/passwd").ok().and_then(|text| find(&text)).or_else(|| {
        let output = Command::new("getent").arg("passwd").arg(uid.to_string()).stdin(Stdio::null()).output().ok()?;
        find(&String::from_utf8_lossy(&output.stdout))
    })
}

fn account_of(line: &str, uid: u32) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, id, _, _, home, ..] = fields[..] else { return None };
    (id.parse() == Ok(uid)).then(|| Account { name: name.to_owned(), home: PathBuf::from(home) })
}

fn find(program: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_id() {
        let text = "root:x:0:0::/root:/bin/sh\nbroken\nann:x:1000:1000:Ann:/home/ann:/bin/bash\n";
        let found = text.lines().find_map(|line| account_of(line, 1000)).unwrap();
        assert_eq!((found.name.as_str(), found.home.as_path()), ("ann", Path::new("/home/ann")));
        assert!(text.lines().find_map(|line| account_of(line, 1)).is_none());
    }

    #[test]
    fn debug_shows_no_variables() {
        let mut environment = Environment::from_process();
        environment.variables.insert("TOKEN".into(), "hunter2".into());
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
