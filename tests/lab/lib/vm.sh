# A node that is a machine of its own, emulated by qemu: for what nodes that share this machine's kernel cannot show, such as a
# kernel's NFS, a clock, swap, a reset. It hangs in the same bridge as the others and is a node to every verb of the lab.
# shellcheck shell=bash disable=SC2154

# busybox is the whole of what runs before the root file system is there.
vm_packages=systemd,systemd-sysv,dbus,openssh-server,iproute2,procps,kmod,nfs-common,nfs-kernel-server,iptables,busybox-static,xz-utils,zstd
# The lab's own sshd: whatever a test does to the one that is swept, `lab exec` gets in.
vm_port=2222

is_vm() { [ "$(cat "$(node_dir "$1")/state" 2>/dev/null)" = vm ]; }

vm_stamp() { { echo "$vm_packages $vm_port"; declare -f fill_vm fill_initrd packed_kernel; } | sha256sum | cut -c1-16; }
vm_image() { echo "$cache/vm-$(vm_stamp)"; }

# Said before anything is built on it.
require_vm() {
    local tool missing=
    for tool in qemu-system-x86_64 mkfs.ext4 tar; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    [ -z "$missing" ] || die "missing on this machine for a virtual machine:$missing (Debian: qemu-system-x86 e2fsprogs tar)"
    [ "$(uname -m)" = x86_64 ] || die "the virtual machine is one of x86-64, and this machine is not"
    [ -c /dev/net/tun ] || die "this kernel has no /dev/net/tun for a virtual machine's network"
}

# Made once, by the same rules as the root file system of the other nodes.
vm_image_ready() {
    require_vm
    exec 8>"$cache/.lock"
    flock 8
    [ -d "$(vm_image)" ] || build_image "$(vm_image)" fill_vm
    touch "$(vm_image)"
    exec 8>&-
}

# A disk, a kernel and what starts it. Debian 13, because its sshd is the first of Debian's with penalties.
fill_vm() {
    local root=$1/root tree=$1/tree unit version kernel
    mkdir "$tree"
    debootstrap --variant=minbase --include="$vm_packages" trixie "$root" "$mirror"
    # The kernel without its package's tools: they would make an initrd for any machine, which takes longer than all else.
    kernel=$(chroot "$root" apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
    (cd "$root" && chroot . sh -c "cd / && apt-get download -q $kernel")
    chroot "$root" sh -c 'dpkg-deb -x /linux-image-*.deb / && rm /linux-image-*.deb'
    version=${kernel#linux-image-}
    # An emulated processor unpacks slowly, at every boot.
    chroot "$root" sh -c "find /usr/lib/modules/$version -name '*.ko.xz' -exec xz -d {} + && depmod $version"
    packed_kernel "$root/boot/vmlinuz-$version" | chroot "$root" zstd -dc >"$tree/vmlinux"
    # No hardware comes and goes, nobody sits at it, nothing tidies up by itself, and what a first boot makes is there already.
    for unit in systemd-networkd.service systemd-networkd.socket systemd-resolved.service systemd-timesyncd.service \
        console-getty.service getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer systemd-logind.service systemd-tmpfiles-clean.timer systemd-random-seed.service \
        systemd-update-utmp.service systemd-pstore.service systemd-journal-flush.service sshd-keygen.service \
        rpcbind.service rpcbind.socket nfs-client.target rpc-statd-notify.service nfs-blkmap.service nfs-idmapd.service \
        dev-hugepages.mount dev-mqueue.mount run-lock.mount kmod-static-nodes.service systemd-tmpfiles-setup-dev-early.service \
        systemd-tmpfiles-setup-dev.service sys-kernel-debug.mount sys-kernel-tracing.mount modprobe@configfs.service \
        modprobe@drm.service modprobe@fuse.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    mkdir -p "$root/etc/systemd/system-generators"
    for unit in ssh gpt-auto tpm2 hibernate-resume getty sysv rc-local; do
        ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$unit-generator"
    done
    ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    touch "$root/etc/.updated" "$root/var/.updated"
    rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/etc/machine-id" "$root/etc/hostname" "$root/etc/resolv.conf"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root/boot"/*
    mkdir -p "$root/etc/systemd/journald.conf.d" "$root/srv/media" "$root/mnt/media"
    printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/lab.conf"
    # Version 4 only, which needs no rpcbind; started by whoever wants it. Clients that it knew before need not be waited for.
    printf '[nfsd]\nvers3=n\nthreads=2\ngrace-time=2\nlease-time=2\n' >"$root/etc/nfs.conf.d/lab.conf"
    echo '/srv/media *(rw,no_root_squash,no_subtree_check)' >"$root/etc/exports"
    chroot "$root" systemctl disable -q nfs-server.service || true
    printf 'Port %s\nHostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin yes\nPerSourcePenalties no\nUsePAM no\nPidFile none\n' "$vm_port" >"$root/etc/ssh/lab_config"
    cat >"$root/etc/systemd/system/lab-ssh.service" <<'UNIT'
[Unit]
Description=The way in of the lab
DefaultDependencies=no
After=systemd-remount-fs.service
[Service]
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
ExecStart=/usr/sbin/sshd -D -f /etc/ssh/lab_config
[Install]
WantedBy=multi-user.target
UNIT
    # Both need the one directory, which systemd would take away when either is stopped.
    mkdir -p "$root/etc/systemd/system/ssh.service.d"
    printf '[Service]\nRuntimeDirectoryPreserve=yes\n' >"$root/etc/systemd/system/ssh.service.d/lab.conf"
    chroot "$root" systemctl enable -q lab-ssh.service ssh.service
    # Much of what a node can suffer is judged only where Kubernetes is to be: with a kubelet it counts as prepared.
    printf '#!/bin/sh\necho Kubernetes v1.33.1\n' >"$root/usr/bin/kubelet"
    chmod +x "$root/usr/bin/kubelet"
    fill_initrd "$root" "$version" >"$tree/initrd"
    truncate -s 2G "$tree/disk"
    mkfs.ext4 -q -d "$root" "$tree/disk"
}

# packed_kernel FILE: what a kernel's file unpacks when it starts; where that lies is said in its header (boot.rst of the kernel's
# documentation: setup_sects, payload_offset, payload_length). Its last four bytes are the length of what comes out.
packed_kernel() {
    local sectors offset length
    sectors=$(od -An -tu1 -j 497 -N 1 "$1")
    offset=$(od -An -tu4 -j 584 -N 4 "$1")
    length=$(od -An -tu4 -j 588 -N 4 "$1")
    dd if="$1" bs=64k iflag=skip_bytes,count_bytes skip=$(((sectors + 1) * 512 + offset)) count=$((length - 4)) status=none
}

# fill_initrd ROOT VERSION: the kernel has neither disk nor file system built in. What makes one node differ from another lies on
# a second disk, as an archive that is unpacked over the first at every boot.
fill_initrd() {
    local root=$1 at=$1/initrd
    mkdir -p "$at/bin" "$at/dev" "$at/proc" "$at/root" "$at/modules"
    cp "$root/usr/bin/busybox" "$at/bin/"
    for module in virtio_pci virtio_blk virtio_net ext4; do chroot "$root" modprobe -S "$2" --show-depends "$module"; done |
        awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
        while read -r path; do
            cp "$root$path" "$at/modules/"
            basename "$path"
        done >"$at/order"
    cat >"$at/init" <<'SCRIPT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </order
/bin/busybox mount -t ext4 /dev/vda /root || /bin/busybox sh
/bin/busybox tar -x -f /dev/vdb -C /root
read -r address gateway </root/etc/node-network
/bin/busybox ip link set lo up
/bin/busybox ip link set eth0 up
/bin/busybox ip addr add "$address/24" dev eth0
/bin/busybox ip route add default via "$gateway"
/bin/busybox mount -o move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
SCRIPT
    chmod +x "$at/init"
    chroot "$root" sh -c 'cd /initrd && find . | busybox cpio -o -H newc'
    rm -r "$at"
}

# make_vm NAME: a disk of its own, and a second one that says who it is.
make_vm() {
    local name=$1 dir own
    dir=$(node_dir "$name")
    own=$dir/own
    mkdir -p "$own/etc/ssh" "$own/root"
    mkdir -m 700 "$own/root/.ssh"
    introduce "$name" "$own"
    echo "$(cat "$dir/address") $(net).1" >"$own/etc/node-network"
    tar -C "$own" --owner=root --group=root -cf "$dir/own.tar" etc root/.ssh
    cp --sparse=always "$(vm_image)/disk" "$dir/disk"
}

# The link of a tap that its process holds goes with the process, however that ends.
vm_link() { echo "swv-$lab_name-$(sed 's/.*\.//' "$(node_dir "$1")/address")"; }

# Without cx16, because qemu 7.2 sometimes gets that instruction's flags wrong and the kernel falls over it; without la57, because a
# fifth level of page tables costs time.
boot_vm() {
    local name=$1 address=$2 dir image
    dir=$(node_dir "$name")
    image=$(vm_image)
    (
        exec 6>&- 7>&- 8>&- 9>&-
        join_control_groups "$name"
        exec setsid qemu-system-x86_64 -name "$(machine "$name")" -machine pc -accel tcg,thread=multi -cpu max,la57=off,cx16=off -smp 2 -m 768 \
            -nodefaults -no-user-config -display none -serial "file:$dir/console.log" \
            -kernel "$image/vmlinux" -initrd "$image/initrd" \
            -append "console=ttyS0 quiet mitigations=off nokaslr panic=-1 net.ifnames=0 systemd.show_status=0 systemd.log_target=journal" \
            -drive "file=$dir/disk,format=raw,if=virtio,cache=unsafe" -drive "file=$dir/own.tar,format=raw,if=virtio,readonly=on" \
            -netdev "tap,id=net,ifname=$(vm_link "$name"),script=no,downscript=no" \
            -device "virtio-net-pci,netdev=net,mac=52:54:00:77:$(printf '%02x:%02x' "$(cat "$state/number")" "${address##*.}")"
    ) </dev/null >"$dir/qemu.log" 2>&1 &
    remember "$dir/leader" $!
    within 20 ip link set "$(vm_link "$name")" master "$bridge" up || die "$name: no virtual machine came up: $(tail -n 3 "$dir/qemu.log")"
    within $((boot_deadline * 2)) vm_lets_in "$name" || die "$name: nobody gets in: $(tail -n 3 "$dir/console.log")"
    node_running "$name" || die "$name: its virtual machine ended: $(tail -n 3 "$dir/qemu.log")"
    within "$boot_deadline" vm_ssh_answers "$name" "$address" || die "$name: sshd does not answer: $(tail -n 3 "$dir/console.log")"
    within "$boot_deadline" boot_is_over "$name" || die "$name: its boot does not end: $(node_exec "$name" 'systemctl list-jobs' 2>&1)"
}

# One that has ended is not waited for.
vm_lets_in() { ! node_running "$1" || vm_answers_at "$(cat "$(node_dir "$1")/address")" "$vm_port"; }
vm_ssh_answers() { node_running "$1" && vm_answers_at "$2" 22; }
vm_answers_at() {
    local banner
    # shellcheck disable=SC2016
    banner=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && head -c 7 <&3' "$1" "$2")
    [ "$banner" = SSH-2.0 ]
}

vm_exec() {
    local command address
    node_leader "$1" >/dev/null
    address=$(cat "$(node_dir "$1")/address")
    command=${*:2}
    timeout -k 5 "$exec_deadline" ssh -F none -T -o LogLevel=ERROR -p "$vm_port" -i "$state/key" -o BatchMode=yes -o ConnectTimeout=10 -o HostKeyAlias="$address" \
        -o UserKnownHostsFile="$state/known_hosts" -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes \
        -o ServerAliveInterval=5 -o ServerAliveCountMax=4 "root@$address" \
        "/usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C /bin/sh -c ${command@Q}"
}
