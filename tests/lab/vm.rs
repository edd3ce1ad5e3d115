//! Faults that need a kernel of one's own: a real NFS server, a newer sshd, the clock, swap, a machine that loses its power.
//!
//! A lab of its own with one virtual machine, and a node that is well and is swept beside it. The tests take turns with the
//! machine, and each leaves it as it was. Its processors are emulated: whatever it does takes ten times as long as elsewhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::faults::{CALM, assert_whole, swept_halfway};
use crate::harness::{Lab, Sweep, busy, eventually, lab_name, say, text, wanted};

/// The virtual machine.
const VM: &str = "vm";
/// The longest time for the work on a host.
const TIMEOUT: Duration = Duration::from_secs(40);

/// The machine, for one test at a time.
struct Turn {
    lab: &'static Lab,
    _turn: MutexGuard<'static, ()>,
}

fn turn() -> Option<Turn> {
    static SAID: OnceLock<()> = OnceLock::new();
    static LAB: LazyLock<Lab> =
        LazyLock::new(|| Lab::up(lab_name("v"), std::process::id(), &format!("{CALM} 10 plain\n{VM} 11 vm\n")));
    static TURN: Mutex<()> = Mutex::new(());
    let asked = std::env::var_os("SEAWORTHY_LAB_VM").is_some_and(|value| value == "1");
    if !asked && wanted() {
        SAID.get_or_init(|| say("skipped where a virtual machine is needed: SEAWORTHY_LAB_VM is not set to 1"));
    }
    (asked && wanted()).then(|| Turn { lab: &LAB, _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) })
}

/// Something on the machine that is taken back when the test is over, however it ended.
struct Undone(&'static Lab, &'static str);

impl Drop for Undone {
    fn drop(&mut self) {
        // A test that fails says so itself.
        let _ = self.0.script(["exec", VM, self.1]).output();
    }
}

impl Turn {
    fn exec(&self, command: &str) -> String {
        self.lab.exec(VM, command)
    }

    fn undone(&self, command: &'static str) -> Undone {
        Undone(self.lab, command)
    }

    /// Sweeps the machine beside the calm node, while no other test boots or sweeps: its commands are ten times as slow as elsewhere,
    /// and what runs out of its seconds would be unknown. Both are read to the end, the latter is whole.
    fn swept(&self) -> Sweep {
        let swept = self.lab.sweep_alone(&format!("{CALM},{VM}"), &["--timeout", "40s"]);
        assert_whole(&swept, CALM);
        assert_eq!(swept.node(VM).failure(), "null", "{}", swept.node(VM).failure_message());
        assert!(swept.elapsed < TIMEOUT + Duration::from_secs(20), "{:?}", swept.elapsed);
        swept
    }

    /// The command lines on the machine, without those of the kernel.
    fn processes(&self) -> BTreeSet<String> {
        let all = self.exec("ps -eo args --no-headers");
        all.lines().filter(|line| !line.starts_with('[')).map(str::to_owned).collect()
    }
}

/// The ids of what was found on the machine and is not fine.
fn amiss(swept: &Sweep) -> BTreeSet<String> {
    let row = swept.nodes().iter().find(|node| node["name"] == VM).unwrap();
    let amiss = |finding: &&Value| ["fail", "warn", "unknown"].iter().any(|verdict| finding["verdict"] == **verdict);
    row["findings"].as_array().unwrap().iter().filter(amiss).map(|finding| text(&finding["id"])).collect()
}

/// The machine as it is when nothing is wrong with it, swept by the first test that has its turn.
fn well(turn: &Turn) -> &'static Sweep {
    static WELL: OnceLock<Sweep> = OnceLock::new();
    WELL.get_or_init(|| turn.swept())
}

/// What is amiss on the machine and is not when it is well. How fast its NFS is says nothing here.
fn news(turn: &Turn, swept: &Sweep) -> Vec<String> {
    amiss(swept).difference(&amiss(well(turn))).filter(|id| *id != "nfs/slow").cloned().collect()
}

/// An NFS server that stops answering, without a word or with its port shut, under a hard mount (`vers=4.2`): the node is read to the end within its deadline, `nfs/mount-hung` names the mount and `nfs/server-unreachable` the reason; nothing else is wrong or unknown because of it, and no process of the probe stays behind; when the server is back, so is the row.
#[test]
fn the_nfs_server_dies_under_a_hard_mount() {
    let Some(turn) = turn() else { return };
    well(&turn);
    let _unmounted = turn.undone("umount -f -l /mnt/media; systemctl stop nfs-server");
    turn.exec(
        "systemctl start nfs-server && mount -t nfs4 -o vers=4.2,hard $(cat /etc/hostname):/srv/media /mnt/media",
    );
    assert!(turn.exec("grep ' /mnt/media ' /proc/self/mountinfo").contains(" - nfs4 "));
    // As on the storage node of a small cluster, the server is the node itself, which is worth a word by itself.
    assert_eq!(news(&turn, &turn.swept()), ["nfs/loopback"]);

    let _answers = turn.undone("iptables -D INPUT -p tcp --dport 2049 -j DROP; systemctl start nfs-server");
    let processes = turn.processes();
    let faults = [
        ("iptables -I INPUT -p tcp --dport 2049 -j DROP", "no answer within"),
        ("systemctl stop nfs-server && iptables -D INPUT -p tcp --dport 2049 -j DROP", "connection refused"),
    ];
    for (fault, reason) in faults {
        turn.exec(fault);
        let swept = turn.swept();
        let told = swept.told(VM);
        assert_eq!(
            news(&turn, &swept),
            ["nfs/loopback", "nfs/mount-hung", "nfs/server-unreachable"],
            "{fault}: {told}"
        );
        let says = |id: &str, words: &str| told.lines().any(|line| line.starts_with(id) && line.contains(words));
        assert!(says("fail nfs/mount-hung: ", "/mnt/media"), "{fault}: {told}");
        assert!(says("fail nfs/server-unreachable: ", reason), "{fault}: {told}");
        assert_eq!(swept.node(VM).area("mounts"), "pass", "{fault}: {told}");
        // A process that waits for NFS can be killed, unlike one that waits for a disk. Of the server nothing new is there either.
        let mut left = BTreeSet::new();
        let ended = eventually(Duration::from_secs(20), || {
            left = turn.processes().difference(&processes).cloned().collect();
            left.is_empty()
        });
        assert!(ended, "{fault}: {left:?}");
    }

    turn.exec("systemctl start nfs-server");
    // The client tries again in ever longer steps.
    let answers = || turn.exec("timeout 9 stat -f /mnt/media >/dev/null 2>&1 && echo yes || true").contains("yes");
    assert!(eventually(Duration::from_mins(2), answers), "the mount stays hung");
    let swept = turn.swept();
    assert_eq!(news(&turn, &swept), ["nfs/loopback"], "{}", swept.told(VM));
}

/// Penalties of a real sshd 10 (`PerSourcePenalties`): after a refused login the next row at that address says `connection-lost`, names `PerSourcePenalties` and the refused login of this run; a node at another address is read.
#[test]
fn sshd_10_punishes_a_refused_login() {
    let Some(turn) = turn() else { return };
    // Another one than that which the other tests log in to: a penalty lasts.
    let settings =
        "Port 2200\\nHostKey /etc/ssh/ssh_host_ed25519_key\\nPidFile none\\nPerSourcePenalties authfail:300s min:1s\\n";
    let _ended = turn.undone("systemctl stop strict-ssh; rm /root/strict-ssh");
    turn.exec(&format!(
        "printf '{settings}' >/root/strict-ssh && systemd-run -q --unit=strict-ssh /usr/sbin/sshd -D -f /root/strict-ssh"
    ));
    // Looked at from inside: a connection without a login is punished, too.
    let listens = || turn.exec("ss -Hltn 'sport = :2200'").contains("2200");
    assert!(eventually(Duration::from_secs(30), listens), "it does not listen");

    let own = tempfile::tempdir().unwrap();
    let (stranger, inventory) = (own.path().join("stranger"), own.path().join("inventory.yaml"));
    let mut generate = Command::new("ssh-keygen");
    assert!(generate.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&stranger).status().unwrap().success());
    let (address, known) = (turn.lab.address(VM), turn.lab.file("known_hosts"));
    let host = |name: &str, key: &Path| {
        format!(
            "    {name}:\n      ansible_host: {address}\n      ansible_port: 2200\n      ansible_ssh_private_key_file: {}\n      \
             ansible_ssh_common_args: -F none -o UserKnownHostsFile={} -o GlobalKnownHostsFile=/dev/null -o HostKeyAlias={address}\n",
            key.display(),
            known.display(),
        )
    };
    // Between the two lies a node that takes its time: sshd notes a penalty when it sees its child's end.
    let first = format!("  hosts:\n{}", host("before", &stranger));
    let hosts = std::fs::read_to_string(turn.lab.inventory()).unwrap().replacen("  hosts:\n", &first, 1);
    std::fs::write(&inventory, hosts + &host("later", &turn.lab.file("key"))).unwrap();
    let _busy = busy();
    let limit = format!("before,{CALM},later");
    let words = ["sweep", "-o", "json", "-i", inventory.to_str().unwrap(), "-l", &limit, "-f", "1"];
    let swept = Sweep::of(&turn.lab.seaworthy(words), Duration::ZERO);
    assert_whole(&swept, CALM);
    assert_eq!(swept.node("before").failure(), "auth", "{}", swept.node("before").field("failure"));
    let later = swept.node("later");
    assert_eq!(later.failure(), "connection-lost", "{}", later.field("failure"));
    for words in ["it refused a login earlier in this run", "PerSourcePenalties"] {
        assert!(later.field("failure").contains(words), "{words}: {}", later.field("failure"));
    }
}

/// The node's own clock is nine years off, behind or ahead: the node is read to the end, `time/skew` fails on it, and nothing else is found that is not a matter of clocks.
#[test]
fn the_nodes_own_clock_is_years_off() {
    let Some(turn) = turn() else { return };
    // The hardware clock is this machine's.
    let _set = turn.undone("date -s @$(cat /sys/class/rtc/rtc0/since_epoch)");
    well(&turn);
    for (off, words) in [("9 years ago", "behind"), ("9 years", "ahead")] {
        turn.exec(&format!("date -s @$(cat /sys/class/rtc/rtc0/since_epoch) && date -s '{off}'"));
        let swept = turn.swept();
        let told = swept.told(VM);
        let skew = told.lines().find(|line| line.starts_with("fail time/skew: "));
        assert!(skew.is_some_and(|line| line.contains(words)), "{off}: {told}");
        let others: Vec<_> = news(&turn, &swept).into_iter().filter(|id| !id.starts_with("time/")).collect();
        assert_eq!(others, Vec::<String>::new(), "{off}: {told}");
    }
}

/// Swap is on in the node's own kernel: the node is read to the end, `kernel/swap-on` fails and names the file, and nothing else is found.
#[test]
fn swap_is_on() {
    let Some(turn) = turn() else { return };
    well(&turn);
    let _off = turn.undone("swapoff /swapfile; rm /swapfile");
    turn.exec("dd if=/dev/zero of=/swapfile bs=1M count=8 2>/dev/null && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile");
    let swept = turn.swept();
    let told = swept.told(VM);
    assert!(told.lines().any(|line| line.starts_with("fail kernel/swap-on: ") && line.contains("/swapfile")), "{told}");
    assert_eq!(news(&turn, &swept), ["kernel/swap-on"], "{told}");
}

/// The machine loses its power in the middle of the probe, and boots: the row says `exec-timeout` or `connection-lost`, what had come is kept, the others do not wait; after its boot the node is read to the end.
#[test]
fn the_machine_loses_its_power() {
    let Some(turn) = turn() else { return };
    well(&turn);
    let _whole =
        turn.undone("rm -f /etc/ssh/sshd_config.d/forced.conf /root/forced /root/halfway; systemctl restart ssh");
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    let before = turn.exec(boot_id);
    let swept = swept_halfway(turn.lab, VM, || {
        let booted = turn.lab.script(["reboot", VM]).output().unwrap();
        assert!(booted.status.success(), "{}", String::from_utf8_lossy(&booted.stderr));
    });
    let node = swept.node(VM);
    assert!(["connection-lost", "exec-timeout"].contains(&node.failure().as_str()), "{}", node.field("failure"));
    assert!(node.field("facts").contains("\"kernel\""), "nothing is kept");
    assert_ne!(turn.exec(boot_id), before, "it never lost its power");

    turn.exec("rm -f /etc/ssh/sshd_config.d/forced.conf && systemctl restart ssh");
    assert_eq!(news(&turn, &turn.swept()), Vec::<String>::new());
}
