//! The binary against real Debian nodes: systemd, sshd, containerd and, where they are at hand, Kubernetes' own programs.
//!
//! Runs only with `SEAWORTHY_LAB=1` and as root (see `README.md` here); otherwise each test says so and passes. All tests
//! share one fleet that boots once. It ends with this process, however this process ends: the lab's keeper watches it.

// `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.
#[cfg(test)]
mod causes;
#[cfg(test)]
mod change;
#[cfg(test)]
mod clean;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod lab_itself;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod states;
#[cfg(test)]
mod vm;
