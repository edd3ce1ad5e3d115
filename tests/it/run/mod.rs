//! Playbooks as a user meets them: the files, their documentation, and the commands that run them.

mod again;
mod documented;
mod ending;
pub(crate) mod place;
mod program;
mod push;
mod reset;
