//! The binary: parse, run, exit once.

fn main() {}
