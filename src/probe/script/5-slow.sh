# ---- the slow sections, in groups that run side by side
misc() {
  D=$T1
  if [ ! "$UID0" ] && { V=0; read -r V </proc/sys/kernel/dmesg_restrict; [ "$V" = 1 ]; }; then t 77 dmesg
  elif w dmesg && w awk; then
    xa dmesg 2>/dev/null | awk '
/^@@rc / { r = $2 }
/I\/O error|EXT4-fs (error|warning)|[Rr]emounting filesystem|read-only|XFS.*([Ss]hutting|[Cc]orrupt|error)|blocked for more than|Killed process|[Oo]ut of memory|oom-kill|table full|nfs: server|not responding|lockd|bad checksum|ata[0-9.]+: .*(error|failed)|nvme.*(timeout|reset)|Medium Error|segfault|soft lockup|hung_task|[Mm]achine [Cc]heck|Hardware Error|btrfs.*(error|corrupt)|thin.*(space|error)|overlayfs:|apparmor="DENIED"|invoked oom|link is [Dd]own|[Cc]lock.*unstable/ { b[n++ % 60] = $0 }
END { for (i = n > 60 ? n - 60 : 0; i < n; i++) print b[i % 60]; exit r }'
    t $? dmesg
  else t 127 dmesg; fi
  if [ ! "$UID0" ]; then t 77 inotify
  else
    # Processes come and go, so 1 is no failure; a find without -lname finds nothing and fails on itself, too.
    V=$(cd /proc && x find [0-9]*/fd -maxdepth 1 -lname '*inotify*' 2>/dev/null)
    X=$?
    set -- $V
    [ "$1" ] && X=0
    [ $X = 1 ] && { x find /proc/self -maxdepth 0 -lname x >/dev/null 2>&1; X=$?; }
    case $X in
    0) echo "instances_used=$#" ;;
    1) echo 'instances_used!find has no -lname' ;;
    esac
    case $X in 1) X=0 ;; esac
    t $X inotify
  fi
  set -- /sys/block/dm-*
  if [ ! -e "$1" ]; then t 66 lvm-thin
  elif root lvm-thin; then x dmsetup status --target thin-pool 2>&1; t $? lvm-thin; fi
  if [ -d /proc/fs/nfsd ]; then
    r threads /proc/fs/nfsd/threads
    while read -r l; do echo "export=$l"; done </var/lib/nfs/etab
    t 0 nfs-server
  else t 66 nfs-server; fi
  firewall
  packages
  changes
  if [ -e /sys/fs/selinux/enforce ] && root selinux-avc; then
    p=/var/log/audit/audit.log
    ex $p
    [ $X = 0 ] && x tail -n 3000 $p | grep -E 'avc: .*denied.*(cni|flannel|containerd|kubelet|runc)' | tail -n 20
    t $X selinux-avc
  fi
  if [ -e /sys/fs/selinux/enforce ]; then
    x stat -c '%C %n' /etc/cni/net.d /opt/cni/bin /run/flannel 2>/dev/null
    case $? in 1) t 0 selinux-label ;; *) t $? selinux-label ;; esac
  fi
  D=$T1
  p=
  read -r p </proc/sys/kernel/hostname
  for p in "$p" registry.k8s.io; do
    x getent hosts "$p" 2>&1
    t $? resolve "$p"
  done
}
# lm MODULE: is it loaded (or can nothing be loaded at all)?
lm() { [ -d "/sys/module/$1" ] || [ ! -e /proc/modules ]; }
firewall() {
  has firewalld && echo firewalld=active || echo firewalld=inactive
  V=inactive
  if [ -e /etc/ufw/ufw.conf ]; then while read -r l; do [ "$l" = ENABLED=yes ] && V=active; done </etc/ufw/ufw.conf; fi
  UFW=$V
  echo "ufw=$V"
  V=$(x iptables -V 2>/dev/null)
  [ "$V" ] && echo "iptables_version=$V" || echo iptables_version-
  L='iptables_rules forward_policy kube_services flannel_rules foreign_chains ipt_drops'
  if [ ! "$UID0" ]; then
    for p in nft_rules nft_kube_rules kube_proxy_nft nft_drops $L iptables_legacy_rules legacy_kube_rules ipvs_services; do echo "$p!permission denied"; done
  elif w awk; then
    p=0
    if ! w nft; then printf '%s\n' nft_rules- nft_kube_rules- kube_proxy_nft- nft_drops-
    elif lm nf_tables; then
      xa nft -n list ruleset 2>/dev/null | awk '
/^@@rc / { r = $2 } /^table [a-z0-9]+ kube-proxy / { p = 1 }
/^\t\t[^\t }]/ && !/^\t\t(type|policy) / { n++; if (/KUBE-(SVC|SEP)-|FLANNEL-/) k++; if (/dport ([{] ([^}]* )?)?8472[ ,]/ && /drop|reject|DROP|REJECT/) v++ }
END { if (r) { print "nft_rules!nft failed with " r; exit } print "nft_rules=" n + 0 "\nnft_kube_rules=" k + 0 "\nkube_proxy_nft=" (p ? "yes" : "no") "\nnft_drops=" v + 0 }'
    else printf '%s\n' nft_rules=0 nft_kube_rules=0 kube_proxy_nft=no nft_drops=0; fi
    h=
    case $V in
    *legacy*) [ -e /proc/net/ip_tables_names ] || h=no ;;
    *) lm nf_tables || h=no ;;
    esac
    if ! w iptables-save; then
      for p in $L; do echo "$p-"; done
    elif [ $h ]; then printf '%s\n' iptables_rules=0 forward_policy=ACCEPT kube_services=0 flannel_rules=0 foreign_chains= ipt_drops=0
    else
      xa iptables-save 2>/dev/null | awk '
/^@@rc / { r = $2 }
/^\*/ { t = substr($1, 2) }
/^:/ { if (t == "filter" && $1 == ":FORWARD") fp = $2
  c = substr($1, 2); sub(/^(cali|CILIUM|WEAVE|DOCKER|KUBE-ROUTER|CNI|f2b|ufw|LIBVIRT|ANTREA|OVN|nixos)/, "&\n", c); if (i = index(c, "\n")) { c = substr(c, 1, i - 1); if (!(c in f)) { f[c]; s = s (s == "" ? "" : ",") c } } }
/^-A/ { n++; if (/KUBE-(SVC|SEP)-/) k++; if (/FLANNEL|flannel/) l++; if (/dport 8472 .*-j (DROP|REJECT)/) v++ }
END {
  if (r) { n = split("'"$L"'", a, " "); for (i = 1; i <= n; i++) print a[i] "!iptables-save failed with " r; exit }
  print "iptables_rules=" n + 0 "\nforward_policy" (fp == "" ? "-" : "=" fp) "\nkube_services=" k + 0 "\nflannel_rules=" l + 0 "\nforeign_chains=" s "\nipt_drops=" v + 0 }'
    fi
    if [ ! -e /proc/net/ip_tables_names ]; then printf '%s\n' iptables_legacy_rules=0 legacy_kube_rules=0
    elif w iptables-legacy-save; then
      x iptables-legacy-save 2>/dev/null | awk '
/^-A/ { n++; if (/KUBE-(SVC|SEP)-|FLANNEL/) k++ }
END { print "iptables_legacy_rules=" n + 0 "\nlegacy_kube_rules=" k + 0 }'
    else printf '%s\n' iptables_legacy_rules- legacy_kube_rules-; fi
    # Asking the kernel for the services of ipvs would load its module.
    if [ -r /proc/net/ip_vs ]; then awk '/^(TCP|UDP|SCTP|FWM) / { n++ } END { print "ipvs_services=" n + 0 }' /proc/net/ip_vs
    else echo ipvs_services=0; fi
  fi
  if has NetworkManager; then
    echo networkmanager=yes
    V=$(grep -hs '^unmanaged-devices' /etc/NetworkManager/conf.d/*.conf /etc/NetworkManager/NetworkManager.conf /usr/lib/NetworkManager/conf.d/*.conf)
    [ "$V" ] && echo "nm_unmanaged=${V#*=}" | tr '\n' ' ' && echo || echo nm_unmanaged-
  else printf '%s\n' networkmanager=no nm_unmanaged-; fi
  [ "$UFW" = active ] && ufw_rules
  t 0 firewall
  if has firewalld && root firewalld; then
    D=$T2
    V=$(x firewall-cmd --list-all 2>&1)
    X=$?
    printf '%s\n' "$V"
    t $X firewalld
    # Zones that have interfaces or sources of their own beside the default one.
    i=0
    for p in $(x firewall-cmd --get-active-zones 2>/dev/null | grep '^[A-Za-z0-9_-]'); do
      case $p in \(* | "${V%%[!A-Za-z0-9_-]*}") continue ;; esac
      i=$((i + 1))
      [ $i -gt 4 ] && break
      x firewall-cmd --zone="$p" --list-all 2>&1
      t $? firewalld "$p"
    done
    D=$T1
  fi
}
# ufw_rules: from its files, because its own program would call iptables.
ufw_rules() {
  while read -r l; do
    case $l in
    DEFAULT_INPUT_POLICY=*) l=${l#*=} && l=${l#\"} && echo "ufw_input=${l%\"}" ;;
    DEFAULT_FORWARD_POLICY=*) l=${l#*=} && l=${l#\"} && echo "ufw_forward=${l%\"}" ;;
    esac
  done </etc/default/ufw
  ex /etc/ufw/user.rules
  case $X in
  0)
    i=0
    while read -r l; do
      case $l in '### tuple ### '*) i=$((i + 1)) && [ $i -le 200 ] && echo "ufw_rule=${l#'### tuple ### '}" ;; esac
    done </etc/ufw/user.rules
    [ $i = 0 ] && echo ufw_rule-
    ;;
  66) echo ufw_rule- ;;
  *) echo 'ufw_rule!permission denied' ;;
  esac
}
packages() {
  D=$T2
  set -- kubelet kubeadm kubectl kubernetes-cni cri-tools containerd containerd.io runc containernetworking-plugins
  if w dpkg-query; then
    V=$(x dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n' "$@" nfs-common 2>/dev/null)
    X=$?
    printf '%s\n' "$V" |
      while read -r p h l; do
        case $l in [uirph]n* | '') continue ;; h*) echo "hold $p" ;; esac
        echo "$p $h $l"
      done
    for p in kubeadm kubelet kubernetes-cni containerd containerd.io; do
      [ -r /var/lib/dpkg/info/$p.list ] && miss $p </var/lib/dpkg/info/$p.list
    done
  elif w rpm; then
    V=$(x rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE} installed\n' "$@" nfs-utils 2>/dev/null)
    X=$?
    printf '%s\n' "$V" | grep -v 'not installed'
    for p in kubeadm kubelet kubernetes-cni containerd.io; do x rpm -ql $p 2>/dev/null | miss $p; done
    grep -sE '^[^#]*(kube|containerd|cri-tools)' /etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list | while IFS=: read -r _ l; do echo "hold $l"; done
  else t 127 packages; return; fi
  grep -rsE '^[^#]*(k8s\.io|kubernetes)' /etc/apt/sources.list /etc/apt/sources.list.d /etc/yum.repos.d | while read -r l; do echo "repo $l"; done
  # Both tools fail when one of the packages is not installed; rpm counts them.
  case $X in 124 | 137) ;; *) X=0 ;; esac
  t $X packages
}
# miss PACKAGE: of the paths on standard input, those that are not there. Documentation is often left out on purpose.
miss() {
  while read -r l; do
    case $l in /usr/share/* | /etc/init* | [!/]*) ;; *) [ -e "$l" ] || [ -L "$l" ] || echo "verify $1 missing $l" ;; esac
  done
}
changes() {
  set --
  for p in /etc/containerd /etc/cni /etc/kubernetes /etc/systemd/system /etc/sysctl.d /etc/modules-load.d; do [ -d $p ] && set -- "$@" $p; done
  X=0
  if [ $# != 0 ]; then
    V=$(x find "$@" -xdev -exec stat -c '%Y %n' {} + 2>/dev/null)
    X=$?
    [ "$V" ] && printf '%s\n' "$V" | sort -rn | head -n 60
    [ $X = 1 ] && X=0
  fi
  if [ -r /var/log/dpkg.log ]; then
    awk '
/ (install|upgrade|remove|purge) (kube|cri-tools|containerd|runc|containernetworking|nfs-)/ { b[n++ % 20] = "dpkg " $0 }
END { for (i = n > 20 ? n - 20 : 0; i < n; i++) print b[i % 20] }' /var/log/dpkg.log
  elif w rpm; then
    x rpm -q --qf '%{INSTALLTIME} rpm %{NAME}-%{VERSION}\n' kubelet kubeadm kubectl kubernetes-cni cri-tools containerd.io runc 2>/dev/null | grep -v 'not installed'
  fi
  t $X changes
}
