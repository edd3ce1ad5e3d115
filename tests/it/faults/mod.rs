//! What goes wrong around good nodes: names, connections, sshd's own limits, the node's processes, and this machine.
//!
//! Each test is one fault. Its comment says the fault, a colon and the promise; docs/reliability.md is made of these comments, and
//! `table` keeps the two in step. Every sweep is done by the program itself, beside two good nodes of the embedded fleet, whose
//! rows have to be whole (`stage`). What needs a node with a kernel's worth of faults of its own is in tests/lab/faults.rs.

mod here;
mod network;
mod node;
mod sshd;
mod stage;
mod table;
