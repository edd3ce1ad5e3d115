//! `kubeadm reset` of a confirmed worker. What is mounted is looked at before and after: a reset unmounts what lies below the
//! kubelet's directory and then deletes it, so that data which is still mounted there could be deleted through its mount.
//!
//! Source: kubeadm's `cleanup-node` phase of a reset: `unmountKubeletDirectory`, `CleanDir`.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::machine::{Machine, Way, is_lost};
use super::waits::forget_others;
use super::{of_hand, short};
use crate::change::hand::{HandError, Job, JobEnd};
use crate::change::journal::Outcome;
use crate::change::plan::Reset;
use crate::facts::unescape_mount;

const JOB: &str = "reset";
const KUBELET: &str = "/var/lib/kubelet";
const DEADLINE: Duration = Duration::from_secs(30);
/// It asks an API server that may be gone, and stops every pod.
const RESET_DEADLINE: Duration = Duration::from_mins(10);
const MAX_NAMED: usize = 5;
const MAX_OUTPUT: usize = 64 << 10;

/// What makes a machine a control plane, wherever the inventory has it.
const IS_CONTROL_PLANE: &str = "for f in etc/kubernetes/manifests/kube-apiserver.yaml var/lib/etcd/member; do \
     [ -e \"${R-}/$f\" ] && echo \"/$f\"; done; :";
const MOUNTS: &str = "cat \"${R-}/proc/mounts\"";

/// One line of `/proc/mounts`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    source: String,
    point: String,
    fstype: String,
}

/// Resets a worker. Once more is as good as once. `patience` is for a lost connection to come back.
pub async fn run(worker: Way<'_>, run: &str, reset: &Reset, patience: Duration) -> Outcome {
    let machine = Machine::new(worker, patience);
    match Box::pin(go(&machine, run, reset)).await {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

async fn go(machine: &Machine<'_>, run: &str, reset: &Reset) -> Result<Outcome, Outcome> {
    let hand_error = |error: HandError| of_hand(&error);
    let signs = machine.run(IS_CONTROL_PLANE, DEADLINE).await.map_err(hand_error)?;
    if let Some(sign) = signs.stdout.lines().next() {
        return Ok(Outcome::Refused {
            why: format!("this machine is a control plane ({}): a reset would delete its etcd data", short(sign)),
            next: "correct the inventory; only workers are reset".to_owned(),
        });
    }
    let before = mounts(machine).await?;
    let resolved = resolve(machine, reset).await?;
    if let Some(why) = missing(&reset.mounts, &before).or_else(|| in_the_way(&resolved, &before)) {
        let next = "drain the node and unmount what is mounted there (findmnt), then make a new plan".to_owned();
        return Ok(Outcome::Refused { why, next });
    }
    let (code, said) = kubeadm(machine, run).await.map_err(hand_error)?;
    let after = mounts(machine).await?;
    // The worst comes first.
    if let Some(gone) = missing(&reset.mounts, &after) {
        return Ok(Outcome::Failed {
            why: format!("the reset took storage away: {gone}"),
            next: "mount it again (mount -a), and look at its data before anything else".to_owned(),
            evidence: said,
        });
    }
    if code != 0 {
        return Ok(Outcome::Failed {
            why: format!("kubeadm reset ended with status {code}"),
            next: "read its last words, put right what they name, and reset again".to_owned(),
            evidence: said,
        });
    }
    let storage = match reset.mounts.len() {
        0 => "nothing else is mounted".to_owned(),
        count => format!("all {count} mounts of before are there"),
    };
    let mut evidence = vec!["kubeadm reset is done".to_owned(), storage];
    evidence.extend(forget_others(machine, run).await);
    Ok(Outcome::Done { evidence })
}

/// Starts it in its job, or finds it there, and waits for its end; its status and last lines.
async fn kubeadm(machine: &Machine<'_>, run: &str) -> Result<(i32, Vec<String>), HandError> {
    let job = Job {
        name: JOB.to_owned(),
        run: run.to_owned(),
        attempt: 1,
        command: "kubeadm reset -f".to_owned(),
        secret_file: None,
    };
    // The same job again is the one that runs.
    let job = &job;
    machine.repeat(|hand| async move { hand.start_job(job).await }).await?;
    let until = Instant::now() + RESET_DEADLINE;
    let (mut output, mut received) = (Vec::new(), 0_u64);
    let code = loop {
        let hand = machine.hand();
        let (tell, mut told) = mpsc::unbounded_channel();
        let end = timeout_at(until, hand.follow_job(JOB, received, tell)).await;
        while let Ok(chunk) = told.try_recv() {
            received += chunk.len() as u64;
            output.extend_from_slice(&chunk);
            let over = output.len().saturating_sub(MAX_OUTPUT);
            output.drain(..over);
        }
        match end {
            Ok(Ok(JobEnd::Exit(code))) => break code,
            // It rebooted: nobody knows how far it came, and once more is as good as once.
            Ok(Ok(JobEnd::Gone)) => {
                let why = "the reset was interrupted: the node rebooted".to_owned();
                return Err(HandError::Failed { why, next: "reset it again".to_owned() });
            }
            Ok(Err(error)) if is_lost(&error) => {
                machine.renew().await?;
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                machine.repeat(|hand| async move { hand.stop_job(JOB).await }).await?;
                let why = format!("kubeadm reset did not end within {} minutes", RESET_DEADLINE.as_secs() / 60);
                let next = "look at the node for what hangs (a dead mount), then reset it again".to_owned();
                return Err(HandError::Failed { why, next });
            }
        }
    };
    machine.repeat(|hand| async move { hand.clear_job(JOB).await }).await?;
    let text = String::from_utf8_lossy(&output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok((code, lines.iter().rev().take(3).rev().map(|line| short(line)).collect()))
}

async fn mounts(machine: &Machine<'_>) -> Result<Vec<Mount>, Outcome> {
    let ran = machine.run(MOUNTS, DEADLINE).await.map_err(|error| of_hand(&error))?;
    let found = parse(&ran.stdout);
    if found.is_empty() {
        return Err(Outcome::Refused {
            why: "what is mounted on the node could not be read".to_owned(),
            next: "look at /proc/mounts on the node".to_owned(),
        });
    }
    Ok(found)
}

/// The directories of the reset as they really lie: any may be a link.
async fn resolve(machine: &Machine<'_>, reset: &Reset) -> Result<Vec<String>, Outcome> {
    let plain =
        |path: &&str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    let paths: Vec<&str> = reset.deletes.iter().map(String::as_str).chain([KUBELET]).filter(plain).collect();
    let words = paths.join(" ");
    // Without the root of tests in front, as mounts are told.
    let command = format!(
        "for p in {words}; do q=$(readlink -f \"${{R-}}$p\" 2>/dev/null) || q=${{R-}}$p; echo \"${{q#\"${{R-}}\"}}\"; done"
    );
    let ran = machine.run(&command, DEADLINE).await.map_err(|error| of_hand(&error))?;
    let mut found: Vec<String> = ran.stdout.lines().map(|line| line.trim_end_matches('/').to_owned()).collect();
    found.extend(paths.into_iter().map(str::to_owned));
    found.retain(|path| !path.is_empty());
    found.sort();
    found.dedup();
    Ok(found)
}

fn parse(text: &str) -> Vec<Mount> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (source, point, fstype) = (words.next()?, words.next()?, words.next()?);
        Some(Mount { source: unescape_mount(source), point: unescape_mount(point), fstype: fstype.to_owned() })
    };
    text.lines().filter_map(line).collect()
}

/// The first of these (`MOUNTPOINT SOURCE`) that is not mounted.
fn missing(wanted: &[String], mounts: &[Mount]) -> Option<String> {
    let is_there = |entry: &&String| mounts.iter().any(|mount| **entry == format!("{} {}", mount.point, mount.source));
    wanted.iter().find(|entry| !is_there(entry)).map(|gone| format!("{} is not mounted", short(gone)))
}

/// Why deleting these could reach data that is mounted.
fn in_the_way(deleted: &[String], mounts: &[Mount]) -> Option<String> {
    let below = |point: &str, directory: &str| point.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    let volatile = |mount: &Mount| mount.fstype == "tmpfs";
    let data = mounts.iter().filter(|mount| !volatile(mount) && deleted.iter().any(|path| below(&mount.point, path)));
    let data: Vec<&str> = data.map(|mount| mount.point.as_str()).take(MAX_NAMED).collect();
    if !data.is_empty() {
        return Some(format!("storage is mounted where a reset deletes: {}", short(&data.join(", "))));
    }
    let lies_on = |path: &str| {
        let over = mounts.iter().filter(|mount| mount.point == "/" || mount.point == path || below(path, &mount.point));
        // Of several on one point the last is seen.
        over.max_by_key(|mount| mount.point.len())
    };
    deleted.iter().find_map(|path| {
        let mount = lies_on(path)?;
        is_remote(&mount.fstype)
            .then(|| format!("{path} lies on network storage ({} on {})", short(&mount.source), short(&mount.point)))
    })
}

fn is_remote(fstype: &str) -> bool {
    ["nfs", "cifs", "smb", "ceph", "gluster", "9p", "lustre", "afs", "beegfs", "fuse"]
        .iter()
        .any(|kind| fstype.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\n\
        nas:/srv/media /mnt/media nfs4 rw 0 0\n/dev/sdb1 /mnt/two\\040words ext4 rw 0 0\n";

    fn deleted() -> Vec<String> {
        ["/etc/kubernetes/pki", "/var/lib/kubelet"].map(str::to_owned).to_vec()
    }

    fn blocked(line: &str) -> Option<String> {
        in_the_way(&deleted(), &parse(&format!("{TABLE}{line}\n")))
    }

    #[test]
    fn mounts_of_before_must_be_there_by_point_and_source() {
        let mounts = parse(TABLE);
        let wanted = |entry: &str| missing(&[entry.to_owned()], &mounts);
        assert_eq!(wanted("/mnt/media nas:/srv/media"), None);
        assert_eq!(wanted("/mnt/two words /dev/sdb1"), None);
        assert_eq!(
            wanted("/mnt/media other:/srv/media"),
            Some("/mnt/media other:/srv/media is not mounted".to_owned())
        );
    }

    #[test]
    fn storage_below_what_is_deleted_stands_in_the_way() {
        assert_eq!(blocked(""), None);
        assert_eq!(blocked("tmpfs /var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/x tmpfs rw 0 0"), None);
        assert_eq!(blocked("/dev/sdc1 /var/lib/kubelet ext4 rw 0 0"), None, "its own disk is emptied");
        for mounted in [
            "nas:/srv/media /var/lib/kubelet/media nfs4 rw 0 0",
            "nas:/srv/v1 /var/lib/kubelet/pods/1/volumes/kubernetes.io~nfs/v1 nfs4 rw 0 0",
            "/dev/sdc1 /var/lib/kubelet/pods/1/volume-subpaths/x ext4 rw 0 0",
            "/dev/vda1 /etc/kubernetes/pki/extra ext4 rw 0 0",
        ] {
            assert!(blocked(mounted).is_some_and(|why| why.contains("storage is mounted")), "{mounted}");
        }
        for under in ["nas:/k /var/lib/kubelet nfs4 rw 0 0", "nas:/k /var/lib nfs rw 0 0", "x /etc fuse.sshfs rw 0 0"] {
            assert!(blocked(under).is_some_and(|why| why.contains("network storage")), "{under}");
        }
    }
}
