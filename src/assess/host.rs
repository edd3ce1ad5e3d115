//! The areas below Kubernetes: mounts, disk, permissions, NFS, kernel, time.

use super::Context;
use super::cell::{Cell, few};
use crate::facts::Fact;
use crate::facts::disk::Space;
use crate::facts::mounts::CRITICAL;
use crate::verdict::{Area, AreaCell, Verdict};

pub(super) fn mounts(context: &Context<'_>) -> AreaCell {
    let mounts = &context.facts.mounts;
    let mut cell = Cell::new(Area::Mounts);
    if let Some(paths) = cell.need("mounts", &mounts.read_only).filter(|paths| !paths.is_empty()) {
        cell.fail("read-only", format!("read-only file system: {}", few(paths)));
    }
    if let Some(paths) = mounts.noexec.known().filter(|paths| !paths.is_empty()) {
        cell.fail("noexec", format!("programs may not run where they must: {} is mounted noexec", few(paths)));
    }
    let hung = hung(context, false);
    if !hung.is_empty() {
        cell.fail("hung", format!("a mount does not answer: {}", few(&hung)));
    }
    if let Some(paths) = mounts.remote.known().filter(|paths| !paths.is_empty()) {
        cell.warn("remote", format!("a path of the node itself lies on a network mount: {}", few(paths)));
    }
    if let Some(paths) = mounts.overmounted.known() {
        let critical: Vec<String> = paths.iter().filter(|path| CRITICAL.contains(&path.as_str())).cloned().collect();
        if !critical.is_empty() {
            cell.warn("overmounted", format!("several mounts lie on one point: {}", few(&critical)));
        }
    }
    let of_nfs = context.facts.nfs.declared_not_mounted.known().map_or(&[][..], Vec::as_slice);
    if let Some(missing) = mounts.fstab_missing.known() {
        let missing: Vec<String> = missing.iter().filter(|path| !of_nfs.contains(path)).cloned().collect();
        if !missing.is_empty() {
            cell.warn("not mounted", format!("fstab names a mount that is not there: {}", few(&missing)));
        }
    }
    cell.finish("ok")
}

/// Mount points that do not answer: those of NFS, or the others.
fn hung(context: &Context<'_>, nfs: bool) -> Vec<String> {
    let facts = &context.facts.nfs;
    let (Some(hung), Some(mounts)) = (facts.hung.known(), facts.mounts.known()) else { return Vec::new() };
    let of_kind = |point: &&String| mounts.iter().any(|mount| mount.nfs == nfs && mount.mount_point == **point);
    hung.iter().filter(of_kind).cloned().collect()
}

/// The kubelet's default for the file system of images: below it pods are evicted.
const IMAGES_MIN_PERCENT: u32 = 15;
/// The kubelet's default for its own file system.
const PODS_MIN_PERCENT: u32 = 10;
/// The kubelet's default for inodes.
const INODES_MIN_PERCENT: u32 = 5;

pub(super) fn disk(context: &Context<'_>) -> AreaCell {
    let disk = &context.facts.disk;
    let mut cell = Cell::new(Area::Disk);
    if let Some(hung) = cell.need("disk", &disk.hung).filter(|hung| !hung.is_empty()) {
        cell.fail("hung", format!("a file system does not answer: {}", few(hung)));
    }
    cell.need("space of /var/lib", &disk.var_lib.available_percent);
    space(&mut cell, "images", &disk.images, IMAGES_MIN_PERCENT);
    if disk.pods != disk.images {
        space(&mut cell, "pods", &disk.pods, PODS_MIN_PERCENT);
    }
    for path in ["/", "/etc", "/opt", "/run", "/var/log", "/var/lib/etcd"] {
        let Some(found) = disk.paths.get(path) else { continue };
        if found.available_percent.is_known_and(|left| *left < 5)
            && !same(found, &disk.images)
            && !same(found, &disk.pods)
        {
            cell.fail(figures(found), format!("{path} is full: {}% used", found.used_percent.known().unwrap_or(&100)));
        }
    }
    for (device, errors) in &disk.ext4_errors {
        if let Fact::Known(errors) = errors {
            cell.warn(figures(&disk.var_lib), format!("the file system counted errors: {errors} on {device}"));
        }
    }
    for (pool, fill) in disk.thin_pools.known().into_iter().flatten().filter(|(_, fill)| **fill >= 95) {
        cell.fail(format!("thin {fill}%"), format!("a thin pool is full: {pool} at {fill}%"));
    }
    cell.finish(figures(&disk.var_lib))
}

fn same(a: &Space, b: &Space) -> bool {
    a.device == b.device && a.size_kib == b.size_kib
}

fn space(cell: &mut Cell, what: &str, space: &Space, min: u32) {
    if let Fact::Known(left) = space.available_percent {
        let nearly = if left == 0 { "" } else { "nearly " };
        let reason =
            format!("the disk of {what} is {nearly}full: {left}% left, and the kubelet evicts pods below {min}%");
        if left < min {
            cell.fail(figures(space), reason);
        } else if left < min + 5 {
            cell.warn(figures(space), reason);
        }
    }
    if let Fact::Known(left) = space.inodes_free_percent {
        let reason = format!("inodes for {what} run out: {left}% left");
        let text = format!("inodes {}%", 100_u32.saturating_sub(left));
        if left < INODES_MIN_PERCENT {
            cell.fail(text, reason);
        } else if left < 2 * INODES_MIN_PERCENT {
            cell.warn(text, reason);
        }
    }
}

/// `2% of 456G`
fn figures(space: &Space) -> String {
    match (&space.used_percent, &space.size_kib) {
        (Fact::Known(used), Fact::Known(size)) => format!("{used}% of {}", size_text(*size)),
        (Fact::Known(used), _) => format!("{used}%"),
        _ => String::new(),
    }
}

/// As `df -h`: powers of 1024, rounded up, one decimal below ten.
pub(super) fn size_text(kib: u64) -> String {
    let mut unit: u64 = 1;
    for suffix in ["K", "M", "G", "T", "P"] {
        let tenths = kib.saturating_mul(10).div_ceil(unit);
        if tenths < 100 && suffix != "K" {
            return format!("{}.{}{suffix}", tenths / 10, tenths % 10);
        }
        let whole = kib.div_ceil(unit);
        if whole < 1024 {
            return format!("{whole}{suffix}");
        }
        unit = unit.saturating_mul(1024);
    }
    format!("{}P", kib.div_ceil(1 << 40))
}

pub(super) fn permissions(context: &Context<'_>) -> AreaCell {
    let permissions = &context.facts.permissions;
    let mut cell = Cell::new(Area::Permissions);
    if let Some(denied) = cell.need("permissions", &permissions.denied).filter(|denied| !denied.is_empty()) {
        cell.unread(&few(denied), "permission denied");
    }
    if let Some(wrong) = permissions.wrong_kind.known().filter(|wrong| !wrong.is_empty()) {
        cell.fail("wrong type", format!("a path is not what it must be: {}", few(wrong)));
    }
    if let Some(paths) = permissions.foreign_owner.known().filter(|paths| !paths.is_empty()) {
        cell.warn("owner", format!("somebody other than root owns a path: {}", few(paths)));
    }
    if let Some(paths) = permissions.writable_by_others.known().filter(|paths| !paths.is_empty()) {
        cell.warn("writable", format!("others than root may write: {}", few(paths)));
    }
    if let Some(paths) = permissions.immutable.known().filter(|paths| !paths.is_empty()) {
        cell.warn("immutable", format!("a path has the immutable attribute: {}", few(paths)));
    }
    let denials = permissions.selinux_denials.known().map_or(&[][..], Vec::as_slice);
    if let (true, Some(last)) = (permissions.selinux_enforcing.is_true(), denials.last()) {
        cell.fail("SELinux", format!("SELinux denies: {last}"));
    }
    if permissions.apparmor_without_parser.is_true() {
        cell.fail("AppArmor", "AppArmor is on and its parser is missing: containers do not start");
    }
    cell.finish("ok")
}

pub(super) fn nfs(context: &Context<'_>) -> AreaCell {
    let nfs = &context.facts.nfs;
    let mut cell = Cell::new(Area::Nfs);
    let declared = nfs.declared_not_mounted.known().map_or(&[][..], Vec::as_slice);
    if nfs.nfs_count == Fact::Known(0) && declared.is_empty() {
        return Cell::not_applicable(Area::Nfs);
    }
    let hung = hung(context, true);
    if !hung.is_empty() {
        cell.fail("hung", format!("NFS does not answer: {}", few(&hung)));
    }
    cell.need("mounts", &nfs.mounts);
    for mount in nfs.mounts.known().into_iter().flatten().filter(|mount| mount.nfs) {
        cell.need(&mount.mount_point, &mount.state);
        if let Fact::Known(error) = &mount.error {
            cell.fail("error", format!("NFS answers with an error: {}, {error}", mount.mount_point));
        }
    }
    if !declared.is_empty() {
        cell.warn("not mounted", format!("an NFS mount of fstab is not there: {}", few(declared)));
    }
    if let Some(points) = nfs.loopback.known().filter(|points| !points.is_empty()) {
        cell.warn("loopback", format!("the node mounts its own NFS export: {}", few(points)));
    }
    if let Some(points) = nfs.soft_read_write.known().filter(|points| !points.is_empty()) {
        cell.warn("soft", format!("a soft NFS mount loses writes: {}", few(points)));
    }
    if !declared.is_empty() && nfs.helper.is_false() {
        cell.warn("no helper", "mount.nfs is not installed");
    }
    cell.finish("ok")
}

pub(super) fn kernel(context: &Context<'_>) -> AreaCell {
    let (kernel, system) = (&context.facts.kernel, &context.facts.system);
    let mut cell = Cell::new(Area::Kernel);
    let from_join_on = |then| if context.is_joined() { then } else { Verdict::Warn };
    if let (Some(false), false) = (cell.need("ip_forward", &kernel.ip_forward), context.is_unprepared()) {
        cell.add(from_join_on(Verdict::Fail), "ip_forward 0", "IP forwarding is off: net.ipv4.ip_forward is 0");
    }
    let swap_allowed = context.facts.kubelet.config.fail_swap_on.is_false();
    if let (Some(true), false) = (cell.need("swap", &system.swap_active), swap_allowed) {
        let verdict = if context.is_unprepared() { Verdict::Warn } else { Verdict::Fail };
        cell.add(verdict, "swap on", "swap is on: the kubelet refuses to start");
    } else if system.swap_in_fstab.is_true() && !swap_allowed {
        cell.warn("swap in fstab", "swap comes back with the next boot: fstab has it");
    }
    if let Some(missing) = system.cgroup_missing.known().filter(|missing| !missing.is_empty()) {
        cell.fail("cgroups", format!("the kernel lacks cgroup controllers: {}", few(missing)));
    }
    if context.is_joined() {
        if kernel.bridge_nf_call_iptables.is_absent() {
            cell.warn("br_netfilter", "br_netfilter is not loaded: service addresses fail on this node");
        } else if kernel.bridge_nf_call_iptables.is_false() {
            cell.warn("bridge-nf 0", "bridged packets pass no firewall rules: net.bridge.bridge-nf-call-iptables is 0");
        }
    }
    if let Fact::Known(used @ 90..) = kernel.conntrack_percent {
        cell.fail("conntrack", format!("the connection table is full: {used}% used"));
    }
    for (class, verdict, text) in [
        ("remounted_read_only", Verdict::Fail, "remounted"),
        ("xfs_shutdown", Verdict::Fail, "xfs"),
        ("thin_pool_full", Verdict::Fail, "thin pool"),
        ("ext4_error", Verdict::Warn, "ext4"),
        ("io_error", Verdict::Warn, "I/O errors"),
    ] {
        if let Some(finding) = system.kernel_log.known().and_then(|log| log.get(class)) {
            cell.add(verdict, text, format!("the kernel reports a disk fault: {}", finding.last));
        }
    }
    if let Fact::Known(stuck @ 3..) = system.stuck_count {
        cell.warn("stuck", format!("processes hang in the kernel: {stuck} in state D"));
    }
    if system.running_kernel_removed.is_true() && !context.is_unprepared() {
        cell.warn("reboot", "the running kernel's modules are gone: no module can be loaded before a reboot");
    }
    cell.finish("ok")
}

/// Beyond this a token or a fresh certificate is judged wrongly.
const SKEW_FAIL_MS: i64 = 30_000;
const SKEW_WARN_MS: i64 = 2_000;

pub(super) fn time(context: &Context<'_>) -> AreaCell {
    let mut cell = Cell::new(Area::Time);
    let own = &context.facts.time;
    let member = context.member;
    let relative = (&member.skew_ms, &member.skew_error_ms);
    let (skew, error, against) = if let (Fact::Known(skew), Fact::Known(error)) = relative {
        (Some(*skew), *error, "the control plane's")
    } else {
        let error = own.skew_error_ms.known().copied().unwrap_or(0);
        (cell.need("clock", &own.skew_ms).copied(), error, "this machine's")
    };
    if let Some(skew) = skew {
        // Only what lies beyond the error bar is the node's fault.
        let certain = skew.saturating_abs().saturating_sub(error);
        let seconds = skew.saturating_abs() / 1000;
        let (sign, side) = if skew < 0 { ('-', "behind") } else { ('+', "ahead of") };
        let reason = format!("the clock is {seconds} s {side} {against}");
        if certain > SKEW_FAIL_MS {
            cell.fail(format!("{sign}{seconds}s"), reason);
        } else if certain > SKEW_WARN_MS {
            cell.warn(format!("{sign}{seconds}s"), reason);
        }
    }
    cell.finish("ok")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_df_prints_them() {
        for (kib, text) in [
            (0, "0K"),
            (1023, "1023K"),
            (1024, "1.0M"),
            (5120, "5.0M"),
            (478_114_568, "456G"),
            (1_922_728_840, "1.8T"),
            (10 * 1024 * 1024, "10G"),
            (u64::MAX, "16777216P"),
        ] {
            assert_eq!(size_text(kib), text, "{kib}");
        }
    }
}
