# ---- the quick sections: /proc, /sys, /etc and a few small commands
ident() {
  echo "uid=$ME"
  u=${USER:-${LOGNAME-}}
  [ "$ME" = 0 ] && u=root
  case $u in '') echo user- ;; *) echo "user=$u" ;; esac
  r hostname /proc/sys/kernel/hostname
  r etc_hostname /etc/hostname
  r machine_id /etc/machine-id
  r product_uuid /sys/class/dmi/id/product_uuid
  r boot_id /proc/sys/kernel/random/boot_id
  r kernel /proc/sys/kernel/osrelease
  read -r KERNEL </proc/sys/kernel/osrelease
  [ -e /proc/sys/kernel/arch ] && r arch /proc/sys/kernel/arch || echo "arch=$(uname -m)"
  r pid1 /proc/1/comm
  V=
  if [ -e /run/systemd/container ]; then r container /run/systemd/container
  elif [ -d /run/systemd/system ] || { [ -r /proc/1/environ ] && V=$(tr '\0' '\n' </proc/1/environ); }; then
    case $NL$V in
    *"${NL}container="*) V=${V#*container=} && echo "container=${V%%"$NL"*}" ;;
    *) echo container- ;;
    esac
  else echo 'container!permission denied'; fi
  V= p=
  read -r V </sys/class/dmi/id/sys_vendor
  read -r p </sys/class/dmi/id/product_name
  [ "$V$p" ] && echo "virt=$V $p" || echo virt-
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo cgroup_fs=cgroup2fs
  elif [ -d /sys/fs/cgroup ]; then echo cgroup_fs=tmpfs
  else echo cgroup_fs-; fi
  r cgroup_controllers /sys/fs/cgroup/cgroup.controllers
  r uptime /proc/uptime
  r loadavg /proc/loadavg
  set -- /sys/devices/system/cpu/cpu[0-9]*
  echo "cpus=$#"
  r pid_max /proc/sys/kernel/pid_max
  r threads_max /proc/sys/kernel/threads-max
  set -- /proc/[0-9]*
  echo "processes=$#"
  y modules_dir -d "/lib/modules/$KERNEL"
  y reboot_required -e /run/reboot-required -o -e /var/run/reboot-required
  if [ -e /sys/fs/selinux/enforce ]; then
    V=0
    read -r V </sys/fs/selinux/enforce
    [ "$V" = 1 ] && echo selinux=enforcing || echo selinux=permissive
  else echo selinux=disabled; fi
  r apparmor /sys/module/apparmor/parameters/enabled
  w apparmor_parser
  y apparmor_parser -n "$W"
  y kmsg -e /dev/kmsg
  if [ -d /run/xtables.lock ]; then echo xtables_lock=directory
  elif [ -e /run/xtables.lock ]; then echo xtables_lock=file
  else echo xtables_lock-; fi
  case $TZO in '') echo tz- ;; *) echo "tz=$TZO" ;; esac
  if [ "$ME" != 0 ]; then echo sudo=none; elif [ "$SUDO_USER" ]; then echo sudo=sudo; else echo sudo=root; fi
  case $BASH_VERSION in '') r sh /proc/$$/comm ;; *) echo "sh=bash $BASH_VERSION" ;; esac
  t 0 ident
}
tools() {
  for p in ss ip systemctl journalctl crictl ctr containerd runc containerd-shim-runc-v2 kubelet kubeadm kubectl findmnt timeout \
    conntrack iptables iptables-save nft ethtool modprobe mount.nfs socat tc ebtables nsenter mount touch curl wget nc openssl \
    chronyc timedatectl firewall-cmd ufw exportfs lvs awk gzip nvidia-smi; do
    w $p && echo "$p=$W" || echo "$p-"
  done
  t 0 tools
}
files() {
  f '' os-release /etc/os-release
  f 5 meminfo /proc/meminfo
  f '' swaps /proc/swaps
  f '' fstab /etc/fstab
  f '' cgroups /proc/cgroups
  f '' filesystems /proc/filesystems
  f '' resolv-conf /etc/resolv.conf
  f '' hosts /etc/hosts
  set --
  for p in /proc/modules "/lib/modules/$KERNEL/modules.builtin"; do [ -r "$p" ] && set -- "$@" "$p"; done
  if [ $# = 0 ]; then t 66 modules; else
    p="/lib/modules/$KERNEL/modules.dep"
    [ -r "$p" ] && set -- "$@" "$p"
    awk -F'[ /.]' 'FILENAME == "/proc/modules" { print $1; had[$1]; next }
FILENAME ~ /modules.dep$/ { if (!dep++) d = "modules.dep indexed"; l = $0; sub(/:.*/, "", l); sub(/.*\//, "", l); sub(/[.].*/, "", l); gsub(/-/, "_", l); if (l in need && !(l in had)) print l " available"; next }
BEGIN { split("br_netfilter ip6_udp_tunnel ip_tables nf_conntrack nf_tables overlay vxlan xt_MASQUERADE xt_comment", a, " "); for (i in a) need[a[i]] }
END { if (d) print d }
{ had[$(NF-1)] }
$(NF-1) ~ /^(br_netfilter|overlay|vxlan|nf_conntrack|nf_tables|ip_tables|iptable_(nat|filter)|xt_(comment|MASQUERADE|conntrack|mark)|ip6?_udp_tunnel|udp_tunnel|nfs|nfsv4|bridge|ip_vs|ip_set|dm_thin_pool)$/ { print $(NF-1) " builtin" }' "$@"
    t $? modules
  fi
  for p in net.ipv4.ip_forward net.ipv4.conf.all.forwarding net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables \
    net.ipv4.conf.all.rp_filter net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max fs.inotify.max_user_instances \
    fs.inotify.max_user_watches fs.file-nr vm.overcommit_memory kernel.panic kernel.panic_on_oops net.ipv6.conf.all.disable_ipv6 \
    net.ipv4.neigh.default.gc_thresh3; do
    sc $p
  done
  for p in flannel.1 cni0 $(while read -r p h _; do [ "$h" = 00000000 ] && echo "$p" && break; done </proc/net/route); do
    [ -d "/proc/sys/net/ipv4/conf/$p" ] && r "net.ipv4.conf.$p.rp_filter" "/proc/sys/net/ipv4/conf/$p/rp_filter"
  done
  t 0 sysctl
  for p in /etc/sysctl.conf /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf; do
    [ -f "$p" ] && f '~' sysctl-file "$p" "$p"
  done
  for p in /etc/modules /etc/modules-load.d/*.conf /run/modules-load.d/*.conf /usr/local/lib/modules-load.d/*.conf /usr/lib/modules-load.d/*.conf; do
    [ -f "$p" ] && f '#' modules-file "$p" "$p"
  done
  f '' mountinfo /proc/self/mountinfo
  for p in /sys/fs/ext4/*/errors_count; do
    [ -e "$p" ] && h=${p%/*} && f '' fs-errors "$p" "${h##*/}"
  done
  for p in /sys/fs/btrfs/*/devinfo/*/error_stats; do
    [ -e "$p" ] && h=${p#/sys/fs/btrfs/} h=${h%/*} && f '' btrfs-errors "$p" "${h%%/*}/${h##*/}"
  done
}
# sc KEY: a sysctl as a key line.
sc() {
  IFS=.
  set -- "$1" $1
  IFS=/
  h=$1
  shift
  p=$*
  unset IFS
  r "$h" "/proc/sys/$p"
}
# scan: one look at every process, before anything is split into groups. PS holds its lines, RUN the names of running
# daemons, PIDS "pid comm" lines. LATE is set when a network or FUSE mount lies where `disk` looks.
scan() {
  PS= RUN=' ' PIDS= LATE=
  w awk || return
  PS=$(printf '%s\n' /proc/[0-9]* | awk '
BEGIN { while ((getline l < "/proc/stat") > 0) if (l ~ /^btime /) { b = substr(l, 7); break } }
{ f = $0 "/stat"; l = ""
  if ((getline l < f) < 1) { close(f); next }
  close(f); n++
  i = index(l, "("); match(l, /.*[)]/); c = substr(l, i + 1, RLENGTH - i - 1); p = substr(l, 1, i - 2)
  split(substr(l, RLENGTH + 2), a, " ")
  if (a[1] == "D") { d++; x = ""; f = $0 "/wchan"; getline x < f; close(f); if (d <= 50) print "D " p " " (x == "" || x == "0" ? "-" : x) " " c }
  if (c ~ /^containerd-shim/) s++
  if (c ~ /^(kubelet|containerd|kubeadm|dockerd|cri-dockerd|crio|k3s.*|rke2.*|k0s|flanneld|kube-(apiserver|controller|scheduler|proxy)|etcd)$/) { if (m++ < 24) print "P " p " " a[2] " " a[1] " " int(b + a[20] / 100) " " c }
  else if (c ~ /^(firewalld|NetworkManager|chronyd|ntpd|openntpd|systemd-timesyn|apt|apt-get|aptitude|dpkg|dnf|yum|rpm|zypper|unattended-upgr)$/) print "R " c }
END {
  while ((getline l < "/proc/self/mountinfo") > 0) {
    split(l, a, " "); p = a[5]; sub(/^.* - /, "", l)
    if (l ~ /^(nfs|cifs|smb|ceph|9p|afs|lustre|gpfs|beegfs|virtiofs|glusterfs|fuse|autofs)/ && p ~ /^\/(etc|opt|usr|var|lib|run)(\/|$)/ && p !~ /^\/(var\/lib\/kubelet\/pods|run\/user)\//) late = 1 }
  if (late) print "L"
  print "n processes=" n "\nn shims=" s + 0 "\nn dstate=" d + 0 }')
  set -f
  IFS=$NL
  for l in $PS; do
    case $l in
    L) LATE=1 ;;
    'R '*) RUN="$RUN${l#R } " ;;
    'P '*)
      l=${l#P }
      p=${l%% *}
      l=${l#* * * * }
      PIDS="$PIDS$p $l$NL" RUN="$RUN$l "
      ;;
    esac
  done
  unset IFS
  set +f
}
procs() {
  [ "$PS" ] || { for p in dstate counts process; do t 127 $p; done; return; }
  set -f
  IFS=$NL
  for l in $PS; do case $l in 'D '*) echo "${l#D }" ;; esac; done
  t 0 dstate
  NS=$(ls -l /proc/1/ns/mnt)
  NS=${NS##* -> }
  for l in $PS; do case $l in 'n '*) echo "${l#n }" ;; esac; done
  t 0 counts
  for l in $PS; do
    case $l in 'P '*) ;; *) continue ;; esac
    l=${l#P }
    h=${l#* * * * }
    unset IFS
    set -- $l
    printf 'pid=%s\nppid=%s\nstate=%s\nstart=%s\n' "$1" "$2" "$3" "$4"
    # The links come in this order, whatever the order of arguments.
    V=$(ls -l "/proc/$1/exe" "/proc/$1/ns/mnt") M=
    case $V in
    *' -> '*' -> '*)
      M=${V##* -> } V=${V%%"$NL"*}
      printf 'exe=%s\nmntns=%s\n' "${V#* -> }" "$M"
      ;;
    *) printf '%s!permission denied\n' exe mntns ;;
    esac
    V=
    while read -r c || [ "$c" ]; do V=${c#*:*:}; done <"/proc/$1/cgroup"
    echo "cgroup=$V"
    m '>A'
    # A command line can hang when its process hangs in the kernel.
    case $3 in D) x tr '\0\n' '\n ' ;; *) tr '\0\n' '\n ' ;; esac <"/proc/$1/cmdline"
    t 0 process "$h"
    case $h:$M in
    *: | *:"$NS") ;;
    kubelet:* | containerd:*) [ "$NS" ] && f '' mountinfo-of "/proc/$1/mountinfo" "$h" ;;
    esac
  done
  unset IFS
  set +f
}
