//! A home of its own for the binary.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary, in a place of its own, without a terminal.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(&[], arguments).output().unwrap()
    }

    /// `under` is what starts the program and becomes it. In a session of its own, so that there is no terminal to ask on wherever
    /// the tests run.
    pub(crate) fn command(&self, under: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new("setsid");
        command
            .arg("--wait")
            .args(under)
            .arg(env!("CARGO_BIN_EXE_seaworthy"))
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// The code and what was said on standard error.
    pub(crate) fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        assert!(output.stdout.is_empty(), "{}", text(&output));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    pub(crate) fn runs(&self) -> usize {
        std::fs::read_dir(self.path().join(".local/state/seaworthy/runs")).map_or(0, Iterator::count)
    }
}

pub(crate) fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}
