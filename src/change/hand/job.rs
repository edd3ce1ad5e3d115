//! What runs on a node without a connection, and is found again by its name: a command with a log, in a directory that is kept in
//! memory only.

mod follow;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::script::{Script, quoted};
use super::{Hand, HandError, word};
use crate::probe::strip;

const COMMON: &str = include_str!("script/job-common.sh");
const DEADLINE: Duration = Duration::from_mins(3);

/// Something to run.
#[derive(Debug)]
pub struct Job {
    /// Of its directory and unit: one job of a name at a time.
    pub name: String,
    pub run: String,
    pub attempt: u32,
    /// A line for `sh -c`. Its working directory is the job's, so that it finds the secret file by its name alone.
    pub command: String,
    /// Name and content of a file of mode 0600 in the job's directory, which is gone when the command is.
    pub secret_file: Option<(String, SecretString)>,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobState {
    pub run: String,
    pub attempt: u32,
    pub status: JobStatus,
    /// Of its log, in bytes.
    pub size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    Running,
    /// With this exit code.
    Ended(i32),
    /// It runs no more and left no code: it was killed, or never began.
    Dead,
}

/// How a job that was followed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    Exit(i32),
    /// It left no code: it was killed, or the node rebooted.
    Gone,
}

impl Hand<'_> {
    /// Starts a job: as a unit of systemd's where that runs, else in a session of its own. Does nothing when the same run and attempt is
    /// there already, running or ended; what another left behind is cleared away; while another runs, the answer is
    /// [`HandError::Locked`].
    pub async fn start_job(&self, job: &Job) -> Result<(), HandError> {
        let (secret_name, secret) = match &job.secret_file {
            Some((name, secret)) => (word("a file's name", name)?, secret.expose_secret()),
            None => ("", ""),
        };
        if ["alive", "exit", "job", "log", "pid", "run", "secret"].contains(&secret_name) {
            return Err(HandError::refused(format!("a job keeps its own {secret_name}"), "name the file differently"));
        }
        let mut text = format!("C={}\n", quoted(&job.command));
        strip(include_str!("script/job.sh"), &mut text);
        let script = Script::new()
            .set("NAME", word("a job", &job.name)?)
            .set("RUN", word("a run", &job.run)?)
            .set("ATTEMPT", &job.attempt.to_string())
            .set("SECRET", secret_name)
            .printing("job", text.as_bytes())
            .printing("content", secret.as_bytes());
        self.ask(script, &[COMMON, include_str!("script/job-start.sh")], DEADLINE).await.map(drop)
    }

    /// The job of that name; `None` when there is none, as after a reboot.
    pub async fn job(&self, name: &str) -> Result<Option<JobState>, HandError> {
        let answer = self.ask(named(name)?, &[COMMON, include_str!("script/job-state.sh")], DEADLINE).await?;
        let number = |key: &str| answer.get(key).and_then(|text| text.parse::<i64>().ok());
        let status = match answer.status.as_str() {
            "none" => return Ok(None),
            "running" => JobStatus::Running,
            "ended" => {
                number("code").and_then(|code| i32::try_from(code).ok()).map_or(JobStatus::Dead, JobStatus::Ended)
            }
            _ => JobStatus::Dead,
        };
        Ok(Some(JobState {
            run: answer.words("run"),
            attempt: number("attempt").and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or_default(),
            status,
            size: number("size").and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        }))
    }

    /// Ends a job and all that it started, and removes its secret file. Its log stays.
    pub async fn stop_job(&self, name: &str) -> Result<(), HandError> {
        self.ask(named(name)?, &[COMMON, include_str!("script/job-stop.sh")], DEADLINE).await.map(drop)
    }

    /// Removes a job's directory; refused while it runs.
    pub async fn clear_job(&self, name: &str) -> Result<(), HandError> {
        self.ask(named(name)?, &[COMMON, include_str!("script/job-clear.sh")], DEADLINE).await.map(drop)
    }
}

fn named(name: &str) -> Result<Script, HandError> {
    Ok(Script::new().set("NAME", word("a job", name)?))
}
