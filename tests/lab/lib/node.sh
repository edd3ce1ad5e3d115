# One node: its overlay, its control groups, its address, its life.
# shellcheck shell=bash disable=SC2154

# The start time of a process in clock ticks since boot: with it a pid is told from a later one of the same number.
# One that has ended and waits for its parent to notice has none.
start_ticks() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'; }

# remember FILE PID / same_process FILE: a recorded process, and whether it is the one that runs under that pid now.
remember() { echo "$2 $(start_ticks "$2")" >"$1"; }
same_process() {
    local pid ticks
    { read -r pid ticks <"$1"; } 2>/dev/null || return 1
    [ -n "$ticks" ] && [ "$(start_ticks "$pid")" = "$ticks" ]
}
pid_of() { cut -d' ' -f1 "$1"; }

# The name that systemd-nspawn knows a node by, told apart from those of other labs.
machine() { echo "sw-$lab_name-$1"; }
node_dir() { echo "$state/nodes/$1"; }
node_running() { same_process "$(node_dir "$1")/leader"; }
node_leader() { node_running "$1" || die "no node '$1' runs"; pid_of "$(node_dir "$1")/leader"; }

# A command line for the node's own shell, in all of its namespaces, without its sshd.
node_exec() {
    local leader
    if is_vm "$1"; then vm_exec "$@"; return; fi
    leader=$(node_leader "$1")
    timeout -k 5 "$exec_deadline" nsenter -t "$leader" -m -u -i -n -p -C -r -w -- \
        /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C \
        /bin/sh -c "${*:2}"
}

# start_node NAME NUMBER STATE: returns when sshd answers and the boot is over.
start_node() {
    local name=$1 number=$2 node_state=$3 dir root address gateway
    [[ $name =~ ^[a-z][a-z0-9-]{0,30}$ ]] || die "'$name' is not a node's name"
    [[ $number =~ ^[0-9]+$ ]] && [ "$number" -gt 1 ] && [ "$number" -lt 255 ] || die "'$number' is not a node's number: 2 to 254"
    has_state "$node_state" || die "no state '$node_state'; see: lab states"
    dir=$(node_dir "$name")
    root=$dir/root
    mkdir "$dir" 2>/dev/null || die "there is a node '$name' already"
    remember "$dir/starter" "$BASHPID"
    case $node_state in
        behind) address=$(inner_net).$number gateway= ;;
        *) address=$(net).$number gateway=$(net).1 ;;
    esac
    echo "$address" >"$dir/address"
    echo "$node_state" >"$dir/state"
    if is_vm "$name"; then make_vm "$name"; else make_overlay; fi
    boot_node "$name" "$address"
    finish_state "$node_state" "$name"
    rm "$dir/starter"
    say "$name is up ($node_state, $address)"
}

# make_overlay: what one node of this kernel stands on, with the names of start_node.
make_overlay() {
    mkdir "$dir/upper" "$dir/work" "$root" "$dir/containerd"
    mount -t overlay "$lab_name-$name" -o "lowerdir=$(image_layers "$node_state"),upperdir=$dir/upper,workdir=$dir/work" "$root"

    introduce "$name" "$root"
    echo "host0 $address $gateway" >"$root/etc/node-network"
    prepare_state "$node_state" "$name" "$root"
}

# introduce NAME ROOT: names and keys, all of its own, below the node's root directory.
introduce() {
    local name=$1 root=$2 address
    address=$(cat "$(node_dir "$name")/address")
    echo "$name" >"$root/etc/hostname"
    # The registry's name resolves, as on a node with DNS; nobody answers there.
    printf '127.0.0.1 localhost registry.k8s.io\n::1 localhost ip6-localhost\n%s %s\n' "$address" "$name" >"$root/etc/hosts"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    rm -f "$root/etc/resolv.conf"
    : >"$root/etc/resolv.conf"
    ssh-keygen -q -t ed25519 -N '' -C "root@$name" -f "$root/etc/ssh/ssh_host_ed25519_key"
    mkdir -p -m 700 "$root/root/.ssh"
    install -m 600 "$state/key.pub" "$root/root/.ssh/authorized_keys"
    (
        flock 7
        echo "$address $(cut -d' ' -f1,2 "$root/etc/ssh/ssh_host_ed25519_key.pub")" >>"$state/known_hosts"
    ) 7>"$state/.known_hosts.lock"
}

boot_node() {
    local name=$1 address=$2 dir link=$bridge
    if is_vm "$name"; then boot_vm "$@"; return; fi
    dir=$(node_dir "$name")
    if [ "$(cat "$dir/state")" = behind ]; then link=$inner_bridge; fi
    # Its own control groups, so that nodes do not meet in one tree; a session of its own, so that a terminal's Ctrl-C
    # does not reach it. containerd's root must not lie on an overlay.
    (
        exec 6>&- 7>&- 8>&- 9>&-
        join_control_groups "$name"
        SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes exec setsid systemd-nspawn -q --register=no --keep-unit -M "$(machine "$name")" --hostname="$name" -D "$dir/root" \
            --network-bridge="$link" --boot --capability=all --system-call-filter='@keyring bpf' --kill-signal=SIGKILL \
            --link-journal=no --resolv-conf=off --timezone=off --bind=/dev/kmsg --bind=/dev/fuse --bind="$dir/containerd:/var/lib/containerd"
    ) </dev/null >"$dir/console.log" 2>&1 &
    remember "$dir/nspawn" $!
    within 20 find_leader "$name" || die "$name: no init came up: $(tail -n 3 "$dir/console.log")"
    within "$boot_deadline" ssh_answers "$name" "$address" || die "$name: sshd does not answer: $(tail -n 3 "$dir/console.log")"
    within "$boot_deadline" boot_is_over "$name" || die "$name: its boot does not end: $(node_exec "$name" 'systemctl list-jobs' 2>&1)"
}

# The init of a node is the descendant of its nspawn that is pid 1 of another namespace.
find_leader() {
    local dir pid
    dir=$(node_dir "$1")
    same_process "$dir/nspawn" || return 1
    for pid in $(descendants "$(pid_of "$dir/nspawn")"); do
        if [[ "$(grep ^NSpid "/proc/$pid/status")" =~ [[:space:]]1$ ]]; then
            remember "$dir/leader" "$pid"
            return 0
        fi
    done
    return 1
}

descendants() {
    local child
    for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}

# From within the node's network, because this machine has no way to a node behind the bastion.
ssh_answers() {
    local leader banner
    leader=$(node_leader "$1")
    banner=$(timeout 5 nsenter -t "$leader" -n bash -c 'exec 3<>"/dev/tcp/$0/22" && head -c 7 <&3' "$2")
    [ "$banner" = SSH-2.0 ]
}

# "degraded" is an end too: on a node that is prepared and not joined, the kubelet fails again and again.
boot_is_over() {
    case $(node_exec "$1" 'systemctl is-system-running') in running | degraded) ;; *) return 1 ;; esac
}

# Every mounted hierarchy (v1 controllers and the unified one) has a group per node.
control_group_roots() { awk '$0 ~ / - cgroup2? / {print $5}' /proc/self/mountinfo; }

join_control_groups() {
    local hierarchy group parent
    for hierarchy in $(control_group_roots); do
        parent=$hierarchy/seaworthy-lab-$lab_name
        group=$parent/$1
        mkdir -p "$group"
        # A cpuset without processors and memory takes no process.
        if [ -f "$group/cpuset.cpus" ] && [ -f "$group/cpuset.mems" ] && [ -z "$(cat "$group/cpuset.mems")" ]; then
            cat "$hierarchy/cpuset.cpus" >"$parent/cpuset.cpus"
            cat "$hierarchy/cpuset.mems" >"$parent/cpuset.mems"
            cat "$hierarchy/cpuset.cpus" >"$group/cpuset.cpus"
            cat "$hierarchy/cpuset.mems" >"$group/cpuset.mems"
        fi
        echo $BASHPID >"$group/cgroup.procs"
    done
}
