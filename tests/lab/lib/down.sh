# The end of a lab, whole or half built, and the proof that nothing is left.
# shellcheck shell=bash disable=SC2154

lab_down() {
    local dir record
    # One at a time: the keeper's and the user's may come together.
    if [ -d "$state" ]; then
        exec 9<"$state"
        flock 9
    fi
    # Whoever still starts nodes goes first.
    for record in "$state/up" "$state"/nodes/*/starter; do
        if same_process "$record" && [ "$(pid_of "$record")" != $$ ]; then kill -KILL "$(pid_of "$record")" || true; fi
    done
    # Every signal before any waiting: nodes end side by side.
    for dir in "$state"/nodes/*/; do
        [ -d "$dir" ] && stop_node "$dir"
    done
    for dir in "$state"/nodes/*/; do
        [ -d "$dir" ] && remove_node "${dir%/}"
    done
    local link hierarchy group
    for link in "swx-$lab_name" "$bridge" "$inner_bridge"; do
        if ip link show "$link" >/dev/null 2>&1; then ip link delete "$link"; fi
    done
    for hierarchy in $(control_group_roots); do
        group=$hierarchy/seaworthy-lab-$lab_name
        if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} +; fi
    done
    if [ -f "$state/inotify" ]; then cat "$state/inotify" >/proc/sys/fs/inotify/max_user_instances; fi
    if mountpoint -q "$state/nodes"; then umount "$state/nodes" || umount -l "$state/nodes"; fi
    rm -rf "$state"
    rmdir "$all_labs" 2>/dev/null || true
}

# A node's init takes its whole pid namespace with it; SIGKILL, because nothing on a node needs a goodbye.
stop_node() {
    local record
    for record in leader nspawn; do
        if same_process "$1/$record"; then kill -KILL "$(pid_of "$1/$record")" 2>/dev/null || true; fi
    done
    # What is still in its control groups was started by the lab itself (a boot that was cut off half-way).
    local pid
    for pid in $(group_members "$(basename "$1")"); do kill -KILL "$pid" 2>/dev/null || true; done
}

# A node's processes are below its group in every hierarchy; looking into one is enough.
group_members() {
    local hierarchy
    hierarchy=$(control_group_roots | head -n 1)
    find "$hierarchy/seaworthy-lab-$lab_name/$1" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un || true
}

remove_node() {
    local name
    name=$(basename "$1")
    within 20 node_is_empty "$name" || die "$name: processes do not end: $(group_members "$name" | tr '\n' ' ')"
    # Everything mounted below, innermost first.
    local point
    for point in $(awk '{print $5}' /proc/self/mountinfo | grep -F "$1/" | sort -r); do
        umount "$point" || umount -l "$point"
    done
    rm -rf "/run/systemd/nspawn/propagate/$(machine "$name")" "$1"
}

node_is_empty() { [ -z "$(group_members "$1")" ]; }

# What this lab has on the machine, one thing a line.
leftovers() {
    local found hierarchy pid path
    found=$(
        for hierarchy in $(control_group_roots); do
            find "$hierarchy/seaworthy-lab-$lab_name" -type d 2>/dev/null | sed 's/^/control group /'
        done
        for pid in $(group_members .); do echo "process $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"; done
        awk '{print $5}' /proc/self/mountinfo | grep -E "^($state|$cache/.build)" | sed 's/^/mount /'
        ip -o link show | awk -F': ' '{print $2}' | grep -E "^(sw-$lab_name|swi-$lab_name|swx-$lab_name|vb-sw-$lab_name-.*|swv-$lab_name-.*)(@|$)" | sed 's/^/link /'
        for path in "$state" /run/systemd/nspawn/propagate/sw-"$lab_name"-*; do
            [ ! -e "$path" ] || echo "directory $path"
        done
    ) || true
    [ -z "$found" ] || { echo "$found"; return 1; }
}
