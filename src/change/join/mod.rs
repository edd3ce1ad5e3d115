//! A `kubeadm join` of one worker.
pub mod discovery;
pub mod jws;
pub mod retry;
pub mod token;

/// A stranger's words: on one line, without secrets, and short.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = crate::probe::redact::text(&line);
    crate::text::truncate(&crate::text::sanitize(&clean), 300, "…").into_owned()
}
