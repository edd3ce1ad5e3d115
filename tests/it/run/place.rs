//! A home of its own for the binary.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary, in a place of its own, without a terminal.
pub(super) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// In a session of its own, so that there is no terminal to ask on wherever the tests run.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        Command::new("setsid")
            .arg("--wait")
            .arg(env!("CARGO_BIN_EXE_seaworthy"))
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The code and what was said on standard error.
    pub(super) fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        assert!(output.stdout.is_empty(), "{}", text(&output));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    pub(super) fn runs(&self) -> usize {
        std::fs::read_dir(self.path().join(".local/state/seaworthy/runs")).map_or(0, Iterator::count)
    }
}

pub(super) fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}
