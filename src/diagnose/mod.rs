//! From what was read to what is wrong. Pure and deterministic: text and facts in, values out.
//!
//! So far: the classifier of `kubeadm join` output, which needs no node.

pub mod join_log;
