"""The script that every tool of the comparison runs: about 15 KB of `sh` that print 40 KB, in one piece.

It reads what a probe of a node reads (sysctls, /proc, a few files in /etc) with the shell's own means and one `cat`. Each
tool gets it as the command line, the one way that all of them know. What a shell, a template language or an argument
parser between here and the node could change is not in it: no single quotes, no `{{`, `{%` or `{#`.

Its first line makes a node of the embedded fleet answer as it answers the program's own probe: with about 40 KB, varied.
"""

NONCE = "5ea0047b5ea0047b5ea0047b5ea0047b"

# What it prints on a real node, to the byte.
OUTPUT = 40_960

_LINKS = "all default lo eth0 cni0 flannel.1 eth1 docker0 kube-ipvs0".split()
_IPV4 = """accept_local accept_redirects accept_source_route arp_accept arp_announce arp_filter arp_ignore arp_notify bc_forwarding
bootp_relay disable_policy disable_xfrm drop_gratuitous_arp force_igmp_version forwarding ignore_routes_with_linkdown
log_martians mc_forwarding medium_id promote_secondaries proxy_arp proxy_arp_pvlan route_localnet rp_filter secure_redirects
send_redirects shared_media src_valid_mark tag""".split()
_IPV6 = """accept_dad accept_ra accept_ra_defrtr accept_ra_pinfo accept_redirects accept_source_route autoconf dad_transmits
disable_ipv6 forwarding hop_limit keep_addr_on_down max_addresses mtu proxy_ndp router_solicitations use_tempaddr""".split()
_KERNEL = """cap_last_cap core_pattern core_uses_pid hostname hung_task_timeout_secs keys/maxkeys kptr_restrict msgmax msgmnb ngroups_max
numa_balancing osrelease ostype overflowgid overflowuid panic panic_on_oops perf_event_paranoid pid_max printk pty/max
random/boot_id sched_rt_runtime_us sem shmall shmmax shmmni softlockup_panic sysrq tainted threads-max version watchdog""".split()
_VM = """dirty_background_ratio dirty_ratio max_map_count min_free_kbytes mmap_min_addr overcommit_memory overcommit_ratio panic_on_oom
swappiness vfs_cache_pressure zone_reclaim_mode""".split()
_FS = "aio-max-nr aio-nr dentry-state file-max file-nr inode-nr inotify/max_user_instances inotify/max_user_watches nr_open".split()
_FILES = """/etc/os-release /etc/hostname /etc/hosts /etc/resolv.conf /etc/fstab /etc/containerd/config.toml /etc/kubernetes/kubelet.conf
/var/lib/kubelet/config.yaml /proc/meminfo /proc/loadavg /proc/uptime /proc/self/mountinfo /proc/filesystems /proc/swaps
/proc/cgroups /proc/modules /proc/net/dev /proc/net/route /proc/net/sockstat /proc/stat""".split()


def common():
    """The script."""
    small = [f"net/ipv4/conf/{where}/{name}" for where in _LINKS for name in _IPV4]
    small += [f"net/ipv6/conf/{where}/{name}" for where in _LINKS[:7] for name in _IPV6]
    small += [f"kernel/{name}" for name in _KERNEL] + [f"vm/{name}" for name in _VM] + [f"fs/{name}" for name in _FS]
    lines = [
        f"N={NONCE}",
        "export LC_ALL=C",
        's() { if [ -r "/proc/sys/$1" ] && read -r v <"/proc/sys/$1"; then o="$o$1=$v\n"; else o="$o$1-\n"; fi; } 2>/dev/null',
        "o=",
        *(f"s {name}" for name in small),
        'p="$(cat ' + " ".join(_FILES) + ' 2>/dev/null)"',
        'o="$o$p"',
        # A small machine says less than a large one; all nodes of a comparison are to print the same.
        *(['o="$o$o"'] * 4),
        f'printf "%.{OUTPUT}s" "$o"',
        "exit 0",
    ]
    # Inside double quotes `\n` stays as it is; a real newline is meant.
    return "\n".join(lines).replace("\\n", "\n") + "\n"
