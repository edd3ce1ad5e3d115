//! Nodes that misbehave, each beside two good ones: what a sweep makes of them, and that nobody else pays for it.
//!
//! A case is data: what the node does, and what is expected. `driver` sweeps each with the program itself and asserts for all alike
//! that nothing panicked, hung or grew, that the neighbours' rows are those of a sweep without the node, and that no report lets
//! anything raw through. docs/reliability.md lists the cases; `table` keeps the two in step.

mod answer;
mod case;
mod clean;
mod content;
mod driver;
mod exec;
mod framing;
mod handshake;
mod impostor;
mod login;
mod nested;
mod output;
mod sudo;
pub(crate) mod table;

use case::Case;

/// A group of cases, which is one test.
type Group = (&'static str, fn() -> Vec<Case>);

/// Every case, by the test that sweeps it.
const GROUPS: [Group; 7] = [
    ("handshake", handshake::cases),
    ("login", login::cases),
    ("sudo", sudo::cases),
    ("output", output::cases),
    ("framing", framing::cases),
    ("content", content::cases),
    ("nested", nested::cases),
];

#[test]
fn handshake() {
    driver::sweep_each(handshake::cases());
}

#[test]
fn login() {
    driver::sweep_each(login::cases());
}

#[test]
fn sudo() {
    driver::sweep_each(sudo::cases());
}

#[test]
fn output() {
    driver::sweep_each(output::cases());
}

#[test]
fn framing() {
    driver::sweep_each(framing::cases());
}

#[test]
fn content() {
    driver::sweep_each(content::cases());
}

#[test]
fn nested() {
    driver::sweep_each(nested::cases());
}
