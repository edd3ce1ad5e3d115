# What the nodes boot from: a Debian 12 root file system, and above it, where Kubernetes' programs are at hand, a layer
# with them installed as packages. Both are made once, kept in the cache under a hash of their recipe, and never changed afterwards: a node writes to an overlay of its own. A build happens in a directory of another
# name that is renamed at the end, so that an interrupted one is never mistaken for a good one.
# shellcheck shell=bash disable=SC2154

mirror=${SEAWORTHY_LAB_MIRROR:-http://deb.debian.org/debian}
# kbd and the like are left out by minbase; perl-base is Essential and holds the FUSE file system that never answers.
base_packages=systemd,systemd-sysv,dbus,openssh-server,containerd,runc,containernetworking-plugins,iproute2,procps,kmod
base_packages=$base_packages,nfs-common,iptables,sudo,socat,conntrack,ethtool,busybox,ebtables,ca-certificates,etcd-server

# The recipe is the functions' code: their comments do not count.
base_stamp() { { echo "$base_packages"; declare -f fill_base; } | sha256sum | cut -c1-16; }
base_image() { echo "$cache/debian12-$(base_stamp)"; }

prepare_cache() { require_machine; mkdir -p "$cache"; }

# Make what is missing. One builder at a time; the others wait for it.
image_ready() {
    exec 8>"$cache/.lock"
    flock 8
    [ -d "$(base_image)" ] || build_image "$(base_image)" fill_base
    if has_kubernetes && [ ! -d "$(kubernetes_image)" ]; then
        build_image "$(kubernetes_image)" fill_kubernetes
    fi
    prune_images
    exec 8>&-
}

# What no recipe has asked for in a week, and the rests of interrupted builds; never what a node stands on.
prune_images() {
    touch "$(base_image)"
    if has_kubernetes; then touch "$(kubernetes_image)"; fi
    local old
    for old in "$cache"/.build.*/merged; do
        if [ -d "$old" ]; then umount "$old" 2>/dev/null || true; fi
    done
    rm -rf "$cache"/.build.*
    find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +7 | while read -r old; do
        grep -qF "$old" /proc/self/mountinfo || rm -rf "$old"
    done
}

# build_image TARGET FILL: FILL makes the tree in the directory that it is given.
build_image() {
    local target=$1 work started=$SECONDS
    work=$(mktemp -d "$cache/.build.XXXXXX")
    say "building $(basename "$target") (once)"
    # In the background, because a condition would switch `set -e` off inside.
    (set -e; "$2" "$work") >"$cache/build.log" 2>&1 &
    if ! wait $!; then
        umount "$work/merged" 2>/dev/null || true
        rm -rf "$work"
        tail -n 20 "$cache/build.log" >&2
        die "cannot build $(basename "$target"); all of it is in $cache/build.log"
    fi
    mv "$work/tree" "$target"
    rm -rf "$work"
    say "built $(basename "$target") in $((SECONDS - started)) s"
}

# image_layers STATE: the lower directories of a node's overlay, uppermost first.
image_layers() {
    if wants_kubernetes "$1"; then echo "$(kubernetes_image):$(base_image)"; else base_image; fi
}

fill_base() {
    local root=$1/tree
    debootstrap --variant=minbase --include="$base_packages" bookworm "$root" "$mirror"
    # Nothing that waits for hardware, a console or a network manager; nothing that tidies up
    # by itself; etcd only where a control plane wants it.
    local unit
    for unit in systemd-networkd.service systemd-networkd.socket systemd-resolved.service systemd-timesyncd.service \
        console-getty.service getty.target etcd.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer systemd-tmpfiles-clean.timer \
        e2scrub_reap.service fstrim.timer systemd-logind.service rpcbind.service rpcbind.socket nfs-client.target; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/etc/machine-id" "$root/etc/hostname"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    # The address comes from the lab and not from a network manager: systemd-networkd waits for ever under a writable
    # /sys. The namespace starts without forwarding, and systemd-nspawn mounts the v1 control groups read-only.
    cat >"$root/usr/local/sbin/node-network" <<'SCRIPT'
#!/bin/sh
while read -r dev address gateway; do
    ip link set "$dev" up
    ip addr add "$address/24" dev "$dev"
    [ -z "$gateway" ] || ip route add default via "$gateway"
done </etc/node-network
sysctl -qw net.ipv4.ip_forward=1
for controller in /sys/fs/cgroup/*/; do
    mount -o remount,bind,rw "${controller%/}"
done
exit 0
SCRIPT
    chmod +x "$root/usr/local/sbin/node-network"
    cat >"$root/etc/systemd/system/node-network.service" <<'UNIT'
[Unit]
Description=Address of this node
DefaultDependencies=no
After=local-fs.target
Before=network.target network-online.target ssh.service containerd.service
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/node-network
[Install]
WantedBy=multi-user.target network-online.target
UNIT
    chroot "$root" systemctl enable -q node-network.service ssh.service containerd.service
    # containerd as on a node that follows the usual guides: its defaults, the systemd driver, plugins in /opt/cni/bin.
    mkdir -p "$root/etc/containerd" "$root/opt/cni/bin" "$root/etc/cni/net.d"
    cp -a "$root"/usr/lib/cni/. "$root/opt/cni/bin/"
    chroot "$root" containerd config default | sed 's/SystemdCgroup = false/SystemdCgroup = true/; s|/usr/lib/cni|/opt/cni/bin|' \
        >"$root/etc/containerd/config.toml"
}
