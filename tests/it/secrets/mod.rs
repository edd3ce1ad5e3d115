//! What is kept from whom: secrets in memory, on disk and in output, files that others may write, and SECURITY.md, whose every line
//! names a test.

mod documented;
mod memory;
mod modes;
mod planted;
