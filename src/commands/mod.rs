//! What the program does for each command. Commands tie the parts together; each has a file.

pub mod inventory;
