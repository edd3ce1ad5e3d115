//! How long each step towards a host took. Durations only: no clock is read here.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds per step; `None` for a step that was not reached or does not apply (a local connection has no TCP).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    pub dns_ms: Option<f64>,
    pub tcp_ms: Option<f64>,
    /// Banner, key exchange and the check of the host key.
    pub kex_ms: Option<f64>,
    pub auth_ms: Option<f64>,
    /// From asking for a channel to its confirmation.
    pub open_ms: Option<f64>,
    /// From sending the command to its end.
    pub exec_ms: Option<f64>,
    pub total_ms: Option<f64>,
}

/// A duration as milliseconds with three decimals, so that a saved record and its replay print the same.
pub fn millis(duration: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a run stay far below 2^52")]
    let micros = duration.as_micros() as f64;
    micros / 1000.0
}
