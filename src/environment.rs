//! What the process was started with, read once: directories, locale, terminal. Everything below gets it as a value, so that
//! tests need no environment of their own.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr, stdout};
use std::path::PathBuf;

/// The surroundings of this process.
#[derive(Debug, Clone)]
pub struct Environment {
    pub directory: PathBuf,
    pub home: Option<PathBuf>,
    pub xdg_state: Option<PathBuf>,
    pub xdg_config: Option<PathBuf>,
    pub agent_socket: Option<PathBuf>,
    pub stderr_terminal: bool,
    columns: Option<usize>,
    /// The variables that decide how text looks: locale, colour, kind of terminal.
    variables: BTreeMap<String, String>,
}

/// The variables that decide how text looks.
const LOOKS: [&str; 6] = ["LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR", "CLICOLOR", "TERM"];

impl Environment {
    /// Reads the process's own.
    pub fn read() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        Self {
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            home: path("HOME"),
            xdg_state: path("XDG_STATE_HOME"),
            xdg_config: path("XDG_CONFIG_HOME"),
            agent_socket: path("SSH_AUTH_SOCK"),
            stderr_terminal: stderr().is_terminal(),
            columns: columns(),
            variables: LOOKS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect(),
        }
    }

    /// The same with the terminal as it is now, for whoever goes on for hours.
    #[must_use]
    pub fn measured_again(&self) -> Self {
        Self { columns: columns(), ..self.clone() }
    }

    /// The width of the terminal behind standard output; `None` when it is none, 0 when it does not tell.
    pub const fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// One of the variables that decide how text looks, unless it is empty.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

fn columns() -> Option<usize> {
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    stdout().is_terminal().then(|| {
        let size = rustix::termios::tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_col));
        if size > 0 { size } else { variable().unwrap_or(0) }
    })
}
