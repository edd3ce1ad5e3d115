//! What the tests of this module share: a home and a system directory of their own.

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use super::*;

mod against_ssh;
mod files;
mod settings;
mod sharing;

/// A home and `/etc/ssh` in a temporary directory, without an installed ssh.
struct Machine {
    directory: TempDir,
    environment: Environment,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment {
            home: directory.path().join("home"),
            user: "ann".into(),
            uid: 1000,
            hostname: "desk.example".into(),
            agent: None,
            variables: BTreeMap::new(),
            system: directory.path().join("etc"),
            ssh: None,
        };
        fs::create_dir_all(environment.home.join(".ssh")).unwrap();
        fs::create_dir_all(&environment.system).unwrap();
        Self { directory, environment }
    }

    /// With a `~/.ssh/config`.
    fn with(config: &str) -> Self {
        let machine = Self::new();
        machine.write("home/.ssh/config", config);
        machine
    }

    /// Writes a file below the temporary directory; `DIR` in the text stands for that.
    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("DIR", &self.directory.path().display().to_string())).unwrap();
        path
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(self.environment.clone())
    }

    fn resolve(&self, name: &str) -> Result<Resolved, Failure> {
        self.resolve_with(name, &SshSettings::default())
    }

    fn resolve_with(&self, name: &str, settings: &SshSettings) -> Result<Resolved, Failure> {
        wait(self.resolver().resolve(name, settings))
    }

    fn home(&self, path: &str) -> PathBuf {
        self.environment.home.join(path)
    }

    /// Text with the temporary directory as `DIR`.
    fn shown(&self, text: &str) -> String {
        text.replace(&self.directory.path().display().to_string(), "DIR")
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn options(pairs: &[(&str, &str)]) -> SshSettings {
    let options = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    SshSettings { options, ..SshSettings::default() }
}
