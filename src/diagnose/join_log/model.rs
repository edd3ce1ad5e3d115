//! What a join log says, as values: the document of `seaworthy diagnose --join-log -o json`, and what a diagnosis with the
//! node's facts builds on. Ids are those of `playbooks/join-phases.yaml`; every text is redacted and bounded, not escaped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the document. Fields may be added under it, never removed or renamed.
pub const SCHEMA: &str = "seaworthy/join-log/v1";

/// How far a join got. In the order of a join: the greater, the deeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// kubeadm did not start, or refused its command line.
    Start,
    /// Checks of the node itself.
    Preflight,
    /// The API server is reached, and trusted through token and CA hash.
    Discovery,
    /// The cluster's configuration is read with the token.
    Configuration,
    /// Only a further control plane: certificates and manifests.
    ControlPlaneFiles,
    /// The kubelet's files are written and it is started.
    KubeletStart,
    /// The kubelet must become healthy and get its first certificate.
    TlsBootstrap,
    /// The Node must appear.
    Registration,
    /// Only a further control plane: etcd and labels.
    ControlPlane,
    /// The join succeeded.
    Joined,
}

impl Phase {
    /// All phases, in the order of a join.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Preflight,
        Self::Discovery,
        Self::Configuration,
        Self::ControlPlaneFiles,
        Self::KubeletStart,
        Self::TlsBootstrap,
        Self::Registration,
        Self::ControlPlane,
        Self::Joined,
    ];

    /// As it is written in the table and in JSON.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Preflight => "preflight",
            Self::Discovery => "discovery",
            Self::Configuration => "configuration",
            Self::ControlPlaneFiles => "control-plane-files",
            Self::KubeletStart => "kubelet-start",
            Self::TlsBootstrap => "tls-bootstrap",
            Self::Registration => "registration",
            Self::ControlPlane => "control-plane",
            Self::Joined => "joined",
        }
    }

    /// Whether only a further control plane goes through it.
    pub const fn is_for_control_planes(self) -> bool {
        matches!(self, Self::ControlPlaneFiles | Self::ControlPlane)
    }
}

/// The whole log.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct JoinLog {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// How the last attempt of every machine ended, the worst one; `None` when there is no attempt.
    pub ending: Option<Ending>,
    /// In the order of the log. When there are too many, the earliest are left out.
    pub attempts: Vec<Attempt>,
    /// Attempts that are not listed because there are too many.
    pub left_out: usize,
    /// Why there is no attempt.
    pub nothing: Option<Nothing>,
    /// What the kubelet or a warning says elsewhere in the log.
    pub clues: Vec<Clue>,
    /// So many bytes at the beginning were not read, because the log is too long.
    pub skipped_bytes: u64,
}

/// How a log ended. In order: the greater, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Joined,
    /// The log ends before kubeadm did.
    CutOff,
    Failed,
}

/// Why a log holds no join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nothing {
    /// No text at all.
    Empty,
    /// Not text.
    Binary,
    /// kubeadm ran, but not as a join.
    OnlyOther(OtherKind),
    /// The command is there, and nothing that it printed.
    OnlyCommand,
    /// Text of something else.
    NoKubeadm,
}

/// Another command of kubeadm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OtherKind {
    Reset,
    Init,
    Upgrade,
}

/// One run of `kubeadm join`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Attempt {
    /// Counted from 1 on each machine.
    pub number: usize,
    /// The machine, when the log names it.
    pub host: Option<String>,
    /// The command, without secrets.
    pub command: Option<String>,
    /// When it began, in the node's time: `2025-09-10 14:17:04`. kubeadm's own stamps have no year: `09-10 14:17:04`.
    pub started: Option<String>,
    /// The deepest phase that it reached.
    pub reached: Phase,
    pub outcome: Outcome,
    /// What that phase proves good.
    pub proven: Proven,
    /// The phases that are still to come, [`Attempt::reached`] among them unless it succeeded.
    pub ahead: Vec<Phase>,
    /// What is odd about how it was run.
    pub caveats: Vec<Caveat>,
    /// Errors of the pre-flight checks that were ignored, and are there all the same.
    pub ignored: Vec<PreflightError>,
    /// `kubeadm reset` ran on this machine since the attempt before.
    pub after_reset: bool,
    /// The attempt before, if it ended in the same phase with the same evidence: nothing was changed in between.
    pub same_as: Option<usize>,
    /// The lines that show it, in the order of the log.
    pub evidence: Vec<Evidence>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    Joined,
    /// kubeadm said why it failed.
    Failed {
        class: FailureClass,
        /// What the pre-flight checks refused.
        errors: Vec<PreflightError>,
    },
    /// There is no last word of kubeadm.
    CutOff {
        by: Cut,
        /// What was going wrong by then.
        class: Option<FailureClass>,
    },
}

/// What ended a join before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// A wrapper's time limit: it ended with status 124.
    Timeout,
    /// A signal: it ended with status 130, 137 or 143, or the shell says so.
    Signal,
    /// Another command of kubeadm began: it was not waited for.
    NextCommand,
    /// The log just ends: it was killed, is still running, or was copied too early.
    EndOfLog,
}

/// A class of failures: a row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailureClass {
    /// Kebab-case, as in the table.
    pub id: String,
    pub says: String,
    /// What can still be the cause.
    pub leaves: Option<String>,
    /// The ids of checks that would confirm it.
    pub checks: Vec<String>,
    /// The one of these checks that the log's own text proves to fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
    pub next: Vec<NextStep>,
}

/// Something to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextStep {
    pub on: Machine,
    pub run: String,
    #[serde(default)]
    pub why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    Node,
    ControlPlane,
}

/// What the deepest phase proves.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Proven {
    pub what: String,
    /// How long all phases before the deepest took; known when kubeadm ran with `--v`.
    pub seconds: Option<f64>,
}

/// What is odd about how a join was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Caveat {
    /// `--ignore-preflight-errors`: what these checks found was hidden.
    IgnoresErrors { names: Vec<String> },
    /// `--skip-phases`: these did not run.
    SkipsPhases { names: Vec<String> },
    /// A wrapper's `timeout` is shorter than kubeadm's own wait.
    ShortTimeout { seconds: u64, own_wait_seconds: u64 },
    /// `--discovery-token-unsafe-skip-ca-verification`: the CA is not proven.
    UnpinnedCa,
}

/// An `[ERROR X]` of the pre-flight checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PreflightError {
    pub name: String,
    /// What kubeadm says.
    pub message: String,
    /// What it means.
    pub says: String,
    pub checks: Vec<String>,
    /// The one of these checks that the log's own text proves to fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
    pub next: Vec<NextStep>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Evidence {
    pub stream: Stream,
    /// Counted from 1 in its stream; `None` when the beginning of the log was not read.
    pub line: Option<u64>,
    pub text: String,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// In the log itself.
    Log,
    /// In a result of Ansible.
    Stdout,
    Stderr,
}

/// What is said elsewhere in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Clue {
    /// Kebab-case, as in the table.
    pub id: String,
    pub says: String,
    pub checks: Vec<String>,
    /// The one of these checks that the log's own text proves to fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
    /// How many lines say it.
    pub count: usize,
    /// The last of them.
    pub evidence: Evidence,
}

impl Outcome {
    /// The class of the failure, as far as one is known.
    pub fn class(&self) -> Option<&FailureClass> {
        match self {
            Self::Joined => None,
            Self::Failed { class, .. } => Some(class),
            Self::CutOff { class, .. } => class.as_ref(),
        }
    }

    pub fn ending(&self) -> Ending {
        match self {
            Self::Joined => Ending::Joined,
            Self::Failed { .. } => Ending::Failed,
            Self::CutOff { .. } => Ending::CutOff,
        }
    }
}

/// The JSON schema of [`JoinLog`]. `docs/schema/join-log-v1.json` is its copy.
pub fn schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<JoinLog>()
}
