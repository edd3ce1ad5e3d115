//! Network mounts: whether each answers, whom it asks, and what fstab wants.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::fstab;
use super::mountinfo;
use super::network::Network;
use super::read::{Keys, Reader, clip, read};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Nfs {
    /// Network and FUSE mounts, NFS first among them.
    pub mounts: Fact<Vec<NetMount>>,
    /// How many of them are NFS.
    pub nfs_count: Fact<u64>,
    /// Mount points whose file system does not answer.
    pub hung: Fact<Vec<String>>,
    /// Mount points that answered with an error, such as a stale file handle.
    pub failing: Fact<Vec<String>>,
    /// Those of `hung` that are NFS.
    pub nfs_hung: Fact<Vec<String>>,
    /// Those of `failing` that are NFS, each with its error.
    pub nfs_failing: Fact<Vec<String>>,
    /// One that hangs does so in the kernel's NFS or RPC code, so that the server is what it waits for.
    pub waits_for_server: Fact<bool>,
    /// NFS mount points whose server is the node itself.
    pub loopback: Fact<Vec<String>>,
    /// NFS mount points of fstab that should be mounted and are not.
    pub declared_not_mounted: Fact<Vec<String>>,
    /// Those of them whose absence fstab does not tolerate (no `nofail`).
    pub required_not_mounted: Fact<Vec<String>>,
    /// Mount points of fstab's NFS lines where something else is mounted, as `/mnt: a:/x instead of b:/x`.
    pub mounted_otherwise: Fact<Vec<String>>,
    /// NFS mount points that took longer than a second to answer, with how long.
    pub slow: Fact<Vec<String>>,
    /// How many NFS lines fstab has.
    pub declared_count: Fact<u64>,
    /// NFS mount points of fstab with neither `_netdev`, `nofail`, `noauto` nor an automount: the node may hang at boot.
    pub boot_hang_risk: Fact<Vec<String>>,
    /// NFS mount points with `soft` and `rw`: a slow server loses writes.
    pub soft_read_write: Fact<Vec<String>>,
    /// `mount.nfs` is installed.
    pub helper: Fact<bool>,
    /// Threads of the kernel's NFS server; absent when it does not run.
    pub server_threads: Fact<u32>,
    /// Lines of the kernel's table of exports.
    pub exports: Fact<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct NetMount {
    pub mount_point: String,
    pub fstype: String,
    pub source: String,
    pub nfs: bool,
    pub options: Vec<String>,
    /// Server's address; absent for what has none (FUSE).
    pub server: Fact<String>,
    /// The server is the node itself.
    pub own_address: Fact<bool>,
    pub state: Fact<MountState>,
    /// How long it took to answer.
    pub answer_ms: Fact<u64>,
    pub error: Fact<String>,
    /// The kernel function that the hung look sleeps in.
    pub waits_in: Fact<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MountState {
    Answered,
    Error,
    Hung,
}

/// A healthy server answers within some milliseconds; a look that took longer waited.
const SLOW_MS: u64 = 1000;

impl Nfs {
    pub(crate) fn parse(reader: Reader<'_>, network: &Network, helper: Fact<bool>) -> Self {
        let lines = reader.text("mountinfo").map(mountinfo::parse_remote);
        let mounts = lines.map(|lines| {
            let mut mounts: Vec<NetMount> = lines.iter().map(|line| NetMount::new(line, reader, network)).collect();
            mounts.sort_by_key(|mount| !mount.nfs);
            mounts
        });
        let named = |test: fn(&NetMount) -> bool| {
            mounts.as_ref().map(|mounts| {
                mounts.iter().filter(|mount| test(mount)).map(|mount| mount.mount_point.clone()).collect::<Vec<_>>()
            })
        };
        let of_nfs = mounts.as_ref().map(|mounts| mounts.iter().filter(|mount| mount.nfs).cloned().collect::<Vec<_>>());
        let nfs_failing = of_nfs.as_ref().map(|mounts| {
            let failing = mounts.iter().filter(|mount| mount.state == Fact::Known(MountState::Error));
            failing.map(NetMount::with_error).collect::<Vec<_>>()
        });
        let declared = reader
            .text("fstab")
            .map(|text| fstab::parse(text).filter(|entry| is_nfs(&entry.fstype)).collect::<Vec<_>>());
        let server = reader.keys("nfs-server");
        Self {
            nfs_count: mounts.as_ref().map(|mounts| mounts.iter().filter(|mount| mount.nfs).count() as u64),
            hung: unless_unasked(&mounts, named(|mount| mount.state == Fact::Known(MountState::Hung))),
            failing: unless_unasked(&mounts, named(|mount| mount.state == Fact::Known(MountState::Error))),
            nfs_hung: unless_unasked(&of_nfs, named(|mount| mount.nfs && mount.state == Fact::Known(MountState::Hung))),
            nfs_failing: unless_unasked(&of_nfs, nfs_failing),
            waits_for_server: of_nfs.map(|mounts| mounts.iter().any(NetMount::waits_for_server)),
            loopback: named(|mount| mount.nfs && mount.own_address.is_true()),
            soft_read_write: named(|mount| {
                let has = |wanted: &str| mount.options.iter().any(|option| option == wanted);
                mount.nfs && has("soft") && has("rw")
            }),
            declared_not_mounted: not_mounted(&declared, &mounts, |_| true),
            required_not_mounted: not_mounted(&declared, &mounts, |entry| !entry.has("nofail")),
            mounted_otherwise: declared.as_ref().and_then(|declared| {
                mounts
                    .as_ref()
                    .map(|mounts| declared.iter().filter_map(|entry| mounted_otherwise(entry, mounts)).collect())
            }),
            slow: mounts.as_ref().map(|mounts| mounts.iter().filter_map(NetMount::slow).collect()),
            declared_count: declared.as_ref().map(|declared| declared.len() as u64),
            boot_hang_risk: declared.map(|declared| {
                let safe = ["_netdev", "nofail", "noauto", "x-systemd.automount"];
                let risky = declared.iter().filter(|entry| !safe.iter().any(|option| entry.has(option)));
                risky.map(|entry| entry.mount_point.clone()).collect()
            }),
            helper,
            server_threads: server.number("threads"),
            exports: server.values("export").map(|lines| lines.iter().map(|line| clip(line, 200)).collect()),
            mounts,
        }
    }
}

/// Mount points of fstab's NFS lines that should be mounted and are not.
fn not_mounted(
    declared: &Fact<Vec<fstab::FstabEntry>>,
    mounts: &Fact<Vec<NetMount>>,
    counts: fn(&fstab::FstabEntry) -> bool,
) -> Fact<Vec<String>> {
    declared.as_ref().and_then(|declared| {
        mounts.as_ref().map(|mounts| {
            let mounted = |point: &str| mounts.iter().any(|mount| mount.mount_point == point);
            let missing = declared.iter().filter(|entry| entry.expected_now() && !mounted(&entry.mount_point));
            missing.filter(|entry| counts(entry)).map(|entry| entry.mount_point.clone()).collect()
        })
    })
}

/// The kernel writes a name as it was given and an address in brackets; a slash at the end means nothing.
fn mounted_otherwise(entry: &fstab::FstabEntry, mounts: &[NetMount]) -> Option<String> {
    // Of several mounts on one point the last one is seen.
    let mounted = mounts.iter().rfind(|mount| mount.mount_point == entry.mount_point)?;
    let same = mounted.source.trim_end_matches('/') == entry.source.trim_end_matches('/');
    (!same).then(|| clip(&format!("{}: {} instead of {}", entry.mount_point, mounted.source, entry.source), 300))
}

/// "None hangs" is known only if every mount was asked; a mount that does is known at once.
fn unless_unasked(mounts: &Fact<Vec<NetMount>>, named: Fact<Vec<String>>) -> Fact<Vec<String>> {
    named.and_then(|named| {
        let unasked = mounts.known().and_then(|mounts| mounts.iter().find_map(|mount| mount.state.reason()));
        match unasked {
            Some(why) if named.is_empty() => Fact::unknown(why),
            _ => Fact::Known(named),
        }
    })
}

fn is_nfs(fstype: &str) -> bool {
    matches!(fstype, "nfs" | "nfs4")
}

impl NetMount {
    fn new(line: &mountinfo::MountLine, reader: Reader<'_>, network: &Network) -> Self {
        let keys = looked_at(reader, line);
        let mut options = line.options.clone();
        options.extend(line.super_options.iter().filter(|option| !line.options.contains(option)).cloned());
        let server = server_of(line);
        let waiting = |key| keys.text(key);
        Self {
            own_address: match &server {
                Fact::Known(server) if server.parse::<std::net::IpAddr>().is_ok() => network.owns(server),
                Fact::Known(_) => Fact::unknown("the server's address is not in the mount's options"),
                Fact::Absent => Fact::Absent,
                Fact::Unknown(why) => Fact::unknown(why.as_str()),
            },
            server,
            nfs: is_nfs(&line.fstype),
            mount_point: line.mount_point.clone(),
            fstype: line.fstype.clone(),
            source: line.source.clone(),
            options,
            state: keys.get("state").and_then(|state| match state {
                "answered" => Fact::Known(MountState::Answered),
                "error" => Fact::Known(MountState::Error),
                "hung" => Fact::Known(MountState::Hung),
                other => Fact::unknown(format!("unknown state {}", clip(other, 20))),
            }),
            answer_ms: keys.number("ms"),
            error: waiting("error"),
            waits_in: waiting("wchan"),
        }
    }
}

impl NetMount {
    /// `/mnt/media: Stale file handle`
    fn with_error(&self) -> String {
        self.error.known().map_or_else(|| self.mount_point.clone(), |error| format!("{}: {error}", self.mount_point))
    }

    /// `/mnt/media: 1800 ms`
    fn slow(&self) -> Option<String> {
        let ms = self.answer_ms.known().filter(|ms| self.nfs && **ms > SLOW_MS)?;
        (self.state == Fact::Known(MountState::Answered)).then(|| format!("{}: {ms} ms", self.mount_point))
    }

    fn waits_for_server(&self) -> bool {
        self.state == Fact::Known(MountState::Hung)
            && self.waits_in.is_known_and(|function| function.contains("rpc") || function.contains("nfs"))
    }
}

/// The look at the mount. Of several mounts of one device the probe looks at one.
fn looked_at<'a>(reader: Reader<'a>, line: &mountinfo::MountLine) -> Keys<'a> {
    let own = reader.sections("netmount").find(|section| section.arg.as_deref() == Some(line.mount_point.as_str()));
    if let Some(own) = own {
        return Keys::new(read(own));
    }
    let of_device = reader
        .sections("netmount")
        .map(|section| Keys::new(read(section)))
        .find(|keys| keys.get("dev") == Fact::Known(line.device.as_str()));
    of_device.unwrap_or_else(|| Keys::new(reader.nothing("netmount")))
}

/// The address that the kernel uses (`addr=`), else what the source names before its colon.
fn server_of(line: &mountinfo::MountLine) -> Fact<String> {
    if line.fstype == "fuse" || line.fstype.starts_with("fuse.") {
        return Fact::Absent;
    }
    let addr = line.super_options.iter().find_map(|option| option.strip_prefix("addr="));
    if let Some(addr) = addr {
        return Fact::Known(addr.to_owned());
    }
    // `[2001:db8::1]:/path`, `nas:/path`, `//nas/share`
    let source = line.source.trim_start_matches("//");
    let name = match source.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => source.split([':', '/']).next().unwrap_or_default(),
    };
    Fact::from_option((!name.is_empty()).then(|| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record_of, section};
    use super::*;

    const MOUNTS: &str = "26 1 254:0 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        310 26 0:50 / /mnt/fuse rw - fuse.sshfs a:/b rw\n\
        311 26 0:44 / /mnt/media rw,relatime shared:140 - nfs4 192.168.4.61:/srv/media rw,vers=4.2,hard,clientaddr=192.168.4.61,addr=192.168.4.61\n";

    fn parse(netmount: &str, fstab: &str) -> Nfs {
        let record = record_of(vec![
            section("mountinfo", "", 0, MOUNTS),
            section("fstab", "", 0, fstab),
            section("ip-addr", "", 0, "2: enp5s0    inet 192.168.4.61/24 brd 192.168.4.255\n"),
            section("netmount", "/mnt/media", 0, netmount),
            section("netmount", "/mnt/fuse", 0, "state=answered\nms=3\n"),
        ]);
        let reader = Reader::new(&record);
        Nfs::parse(reader, &Network::parse(reader), Fact::Known(true))
    }

    #[test]
    fn a_node_that_mounts_its_own_export() {
        let nfs = parse("state=answered\nms=2\n", "");
        let mount = &nfs.mounts.known().unwrap()[0];
        assert_eq!((mount.mount_point.as_str(), &mount.own_address), ("/mnt/media", &Fact::Known(true)));
        assert_eq!(nfs.loopback, Fact::Known(vec!["/mnt/media".to_owned()]));
        assert_eq!((nfs.nfs_count, nfs.hung), (Fact::Known(1), Fact::Known(vec![])));
    }

    #[test]
    fn hung_and_failing_mounts() {
        let hung = parse("state=hung\nms=3000\npid_state=D\nwchan=rpc_wait_bit_killable\n", "");
        assert_eq!(hung.hung, Fact::Known(vec!["/mnt/media".to_owned()]));
        assert_eq!((&hung.nfs_hung, hung.waits_for_server), (&hung.hung, Fact::Known(true)));
        let stale = parse("state=error\nerror=Stale file handle\n", "");
        assert_eq!(stale.failing, Fact::Known(vec!["/mnt/media".to_owned()]));
        assert_eq!(stale.nfs_failing, Fact::Known(vec!["/mnt/media: Stale file handle".to_owned()]));
        assert_eq!(stale.waits_for_server, Fact::Known(false));
    }

    #[test]
    fn slow_mounts_and_what_lies_where_fstab_wants_another() {
        let fstab = "192.168.4.61:/srv/other /mnt/media nfs4 rw 0 0\n192.168.4.61:/srv/media/ /mnt/media nfs4 rw 0 0\n";
        let nfs = parse("state=answered\nms=1800\n", fstab);
        assert_eq!(nfs.slow, Fact::Known(vec!["/mnt/media: 1800 ms".to_owned()]));
        let said = "/mnt/media: 192.168.4.61:/srv/media instead of 192.168.4.61:/srv/other";
        assert_eq!(nfs.mounted_otherwise, Fact::Known(vec![said.to_owned()]));
        assert_eq!(parse("state=answered\nms=3\n", "").slow, Fact::Known(vec![]));
    }

    #[test]
    fn a_second_mount_of_one_device_shares_its_look() {
        let twice =
            format!("{MOUNTS}312 26 0:44 / /srv/again rw - nfs4 192.168.4.61:/srv/media rw,addr=192.168.4.61\n");
        let record = record_of(vec![
            section("mountinfo", "", 0, &twice),
            section("netmount", "/mnt/media", 0, "dev=0:44\nstate=hung\n"),
            section("netmount", "/mnt/fuse", 0, "dev=0:50\nstate=answered\n"),
        ]);
        let reader = Reader::new(&record);
        let nfs = Nfs::parse(reader, &Network::parse(reader), Fact::Absent);
        assert_eq!(nfs.hung, Fact::Known(vec!["/mnt/media".to_owned(), "/srv/again".to_owned()]));
    }

    #[test]
    fn a_mount_that_was_not_asked_is_not_fine() {
        assert!(parse("", "").hung.is_unknown() && parse("", "").nfs_hung.is_unknown());
    }

    #[test]
    fn what_is_no_nfs_does_not_count_as_such() {
        let record = record_of(vec![
            section("mountinfo", "", 0, MOUNTS),
            section("netmount", "/mnt/media", 0, "state=answered\n"),
            section("netmount", "/mnt/fuse", 0, "state=hung\n"),
        ]);
        let reader = Reader::new(&record);
        let nfs = Nfs::parse(reader, &Network::parse(reader), Fact::Absent);
        assert_eq!((nfs.hung, nfs.nfs_hung), (Fact::Known(vec!["/mnt/fuse".to_owned()]), Fact::Known(vec![])));
    }

    #[test]
    fn fstab_wants() {
        let nfs = parse(
            "state=answered\n",
            "nas:/a /mnt/a nfs defaults\nnas:/b /mnt/b nfs4 noauto\nnas:/c /mnt/c nfs nofail\n192.168.4.61:/srv/media /mnt/media nfs _netdev\n",
        );
        assert_eq!(nfs.declared_not_mounted, Fact::Known(vec!["/mnt/a".to_owned(), "/mnt/c".to_owned()]));
        assert_eq!(
            (nfs.required_not_mounted, nfs.declared_count),
            (Fact::Known(vec!["/mnt/a".to_owned()]), Fact::Known(4))
        );
        assert_eq!(nfs.boot_hang_risk, Fact::Known(vec!["/mnt/a".to_owned()]));
    }

    #[test]
    fn servers_are_found_in_options_and_sources() {
        for (source, server) in [("[2001:db8::1]:/x", "2001:db8::1"), ("nas:/x", "nas"), ("//nas/x", "nas")] {
            let line = format!("1 0 0:1 / /m rw - nfs4 {source} rw\n");
            assert_eq!(server_of(&mountinfo::parse(&line)[0]), Fact::Known(server.to_owned()), "{source}");
        }
    }
}
