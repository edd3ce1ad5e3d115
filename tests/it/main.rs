//! Integration tests: the program and its larger parts as a user meets them. One binary, one file or folder per area.

#[cfg(test)]
mod assess;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod change;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod facts;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod incidents;
#[cfg(test)]
mod inventory;
#[cfg(test)]
mod join_log;
#[cfg(test)]
mod planning;
#[cfg(test)]
mod preflight;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod report;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod run;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shard;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod versions;
