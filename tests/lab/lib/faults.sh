# What can happen to a running node, and back.
# shellcheck shell=bash disable=SC2154

fault() {
    local leader
    leader=$(node_leader "$1")
    case $2 in
        unplugged) ip link set "$(host_link "$1")" nomaster ;;
        # Packets vanish: nobody says no.
        dropped) node_exec "$1" 'iptables -I INPUT -p tcp --dport 22 -j DROP' ;;
        refused) node_exec "$1" 'systemctl stop ssh' ;;
        # The kernel still completes the handshake; no banner comes.
        sshd-stopped) signal_sshd "$1" STOP ;;
        # Everything that runs on the node stands still in the middle of what it does.
        frozen) freeze "$1" FROZEN ;;
        gone) kill -KILL "$leader" ;;
        *)
            has_cause "$2" || die "no fault '$2': unplugged, dropped, refused, sshd-stopped, frozen, gone, or one of: lab causes"
            "break_${2//-/_}" "$1"
            ;;
    esac
}

heal() {
    node_leader "$1" >/dev/null
    case $2 in
        unplugged) ip link set "$(host_link "$1")" master "$bridge" ;;
        dropped) node_exec "$1" 'iptables -D INPUT -p tcp --dport 22 -j DROP' ;;
        refused) node_exec "$1" 'systemctl start ssh' ;;
        sshd-stopped) signal_sshd "$1" CONT ;;
        frozen) freeze "$1" THAWED ;;
        *)
            has_cause "$2" || die "'$2' cannot be healed: unplugged, dropped, refused, sshd-stopped, frozen, or one of: lab causes"
            "mend_${2//-/_}" "$1"
            ;;
    esac
}

# The end of the node's link that hangs in the bridge.
host_link() {
    local index
    if is_vm "$1"; then vm_link "$1"; return; fi
    index=$(node_exec "$1" 'cat /sys/class/net/host0/iflink')
    ip -o link show | awk -F': ' -v i="$index" '$1 == i { sub(/@.*/, "", $2); print $2 }'
}

signal_sshd() { node_exec "$1" "kill -$2 \$(systemctl show -P MainPID ssh)"; }

# The freezer is a file of the v1 hierarchy of that name, or of every group of the unified one.
freeze() {
    local hierarchy
    for hierarchy in $(control_group_roots); do
        if [ -f "$hierarchy/seaworthy-lab-$lab_name/$1/freezer.state" ]; then
            echo "$2" >"$hierarchy/seaworthy-lab-$lab_name/$1/freezer.state"
            return
        fi
    done
    [ "$2" = FROZEN ] && hierarchy=1 || hierarchy=0
    echo "$hierarchy" >"/sys/fs/cgroup/seaworthy-lab-$lab_name/$1/cgroup.freeze"
}
