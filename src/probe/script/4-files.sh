# ---- the quick sections: files and directories of Kubernetes, sockets, clock
lists() {
  K=/etc/kubernetes
  li stat '' / /etc $K $K/kubelet.conf $K/bootstrap-kubelet.conf $K/admin.conf $K/pki $K/pki/ca.crt $K/manifests \
    $K/manifests/kube-apiserver.yaml /var/lib/etcd /var/lib/etcd/member /var/lib/kubelet /var/lib/kubelet/config.yaml \
    /var/lib/kubelet/pki /var/lib/kubelet/pki/kubelet-client-current.pem /var/lib/containerd /etc/containerd/config.toml \
    /etc/cni /etc/cni/net.d /opt/cni/bin /usr/lib/cni /run/flannel/subnet.env /run/containerd/containerd.sock /usr/bin/kubelet \
    /usr/local/bin/kubelet /usr/bin/kubeadm /usr/bin/containerd /etc/crictl.yaml /dev/kmsg /run/xtables.lock \
    /var/lib/kubelet/cpu_manager_state /var/lib/kubelet/memory_manager_state /etc/resolv.conf \
    /usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
  x lsattr -d /etc/cni/net.d $K /etc/resolv.conf 2>&1
  t $? lsattr
  set --
  for d in /etc /run /usr/local/lib /usr/lib /lib; do
    [ $d = /lib ] && [ -L /lib ] && continue
    for p in kubelet containerd; do
      p=$d/systemd/system/$p.service
      for l in "$p" "$p.d" "$p".d/*; do { [ -e "$l" ] || [ -L "$l" ]; } && set -- "$@" "$l"; done
    done
  done
  li unit-paths '' "$@"
  for p; do [ -d "$p" ] || f '' unit-file "$p" "$p"; done
  for p in /var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet /etc/sysconfig/kubelet; do f '' env-file $p $p; done
  li cri-sockets '' $SOCKS
  f '' containerd-config /etc/containerd/config.toml /etc/containerd/config.toml
  for p in /etc/containerd/conf.d/*.toml /etc/containerd/config.toml.d/*.toml /var/lib/rancher/*/agent/etc/containerd/config.toml; do
    [ -f "$p" ] && f '' containerd-config "$p" "$p"
  done
  # Where containerd looks for CNI, as far as its file says so.
  set -f
  set -- /etc/cni/net.d /opt/cni/bin /usr/lib/cni
  while read -r l; do
    case $l in
    conf_dir*=* | bin_dir*=*)
      h=${l%%[ =]*} p=${l#*[\"\']}
      p=${p%%[\"\']*}
      case $p in /*) ;; *) continue ;; esac
      case $h in
      conf_dir) [ "$p" = "$1" ] || set -- "$@" "c$p" ;;
      bin_dir*) case $p in /opt/cni/bin | /usr/lib/cni) ;; *) set -- "$@" "$p" ;; esac ;;
      esac
      ;;
    esac
  done </etc/containerd/config.toml
  set +f
  for d; do
    case $d in c/* | /etc/cni/net.d)
      d=${d#c}
      ld cni-dir "$d"
      for p in "$d"/*.conf "$d"/*.conflist "$d"/*.json "$d"/.[!.]*.conf "$d"/.[!.]*.conflist "$d"/.[!.]*.json; do
        [ -d "$p" ] || { [ -e "$p" ] || [ -L "$p" ]; } && f '' cni-file "$p" "$p"
      done
      ;;
    *) ld cni-bin "$d" ;;
    esac
  done
  ex /var/lib/cni/networks
  [ $X = 77 ] && t 77 cni-leases
  for d in /var/lib/cni/networks/*/; do
    d=${d%/}
    [ -d "$d" ] || continue
    for p in "$d"/*; do
      case ${p##*/} in
      '*') ;;
      last_reserved_ip*) V= && read -r V <"$p"; echo "${p##*/}=$V" ;;
      *) echo "${p##*/}" ;;
      esac
    done
    t 0 cni-leases "${d##*/}"
  done
  f '' flannel-env /run/flannel/subnet.env
  f '' kubelet-config /var/lib/kubelet/config.yaml
  for p in kubelet bootstrap-kubelet admin controller-manager scheduler; do f '' kubeconfig $K/$p.conf $K/$p.conf; done
  h=/var/lib/kubelet/pki
  for p in $h/kubelet-client-current.pem $h/kubelet-server-current.pem $h/kubelet.crt $K/pki/*.crt $K/pki/etcd/*.crt; do
    [ -f "$p" ] && f C cert "$p" "$p"
  done
  for d in $K $K/manifests $K/pki /var/lib/kubelet $h; do ld k8s-dir $d; done
  for p in $K/manifests/*; do [ -f "$p" ] && f I manifest-image "$p" "$p"; done
}
net() {
  if [ -d /sys/class/net/flannel.1 ]; then
    for p in rx_packets tx_packets; do r $p /sys/class/net/flannel.1/statistics/$p; done
    t 0 overlay-traffic
  fi
  if w ip; then
    x ip -o addr 2>&1
    t $? ip-addr
    m +262144
    x ip -d -o link 2>&1
    t $? ip-link
    m +524288
    x ip route 2>&1
    t $? ip-route
    if [ -d /sys/class/net/flannel.1 ]; then
      m +524288
      x ip neigh show dev flannel.1 2>&1
      t $? ip-neigh
      m +524288
      x bridge fdb show dev flannel.1 2>&1
      t $? ip-fdb
    else
      t 66 ip-neigh
      t 66 ip-fdb
    fi
  else
    for p in ip-addr ip-link ip-route ip-neigh ip-fdb; do t 127 $p; done
    for p in /sys/class/net/*; do
      h=${p##*/}
      r "$h.mac" "$p/address"
      r "$h.mtu" "$p/mtu"
      r "$h.operstate" "$p/operstate"
    done
    t 0 net-if
  fi
  # ss would load the kernel's tcp_diag module; with PROC_ROOT it reads /proc instead.
  [ -d /sys/module/tcp_diag ] || { PROC_ROOT=/proc && export PROC_ROOT; }
  w awk || { t 127 ports; return; }
  o=$(x ss -lntup 2>/dev/null)
  case $?:$o in
  0:*:*)
    printf '%s\n' "$o" | awk '
$1 == "tcp" || $1 == "udp" { a = $5; match(a, /:[^:]*$/); o = substr(a, RSTART + 1); h = substr(a, 1, RSTART - 1); gsub(/[][]|%.*/, "", h); p = c = "-"
  if (match($0, /[(][(]".*",pid=[0-9]+/)) { s = substr($0, RSTART + 3, RLENGTH - 3); c = substr(s, 1, index(s, "\"") - 1); sub(/^[^"]*",pid=/, "", s); sub(/,.*/, "", s); p = s }
  print $1, h, o, p, c }'
    ;;
  *)
    awk '
function dec(h,  i, v) { for (i = 1; i <= length(h); i++) v = v * 16 + index("0123456789ABCDEF", substr(h, i, 1)) - 1; return v + 0 }
function v4(h) { return dec(substr(h, 7, 2)) "." dec(substr(h, 5, 2)) "." dec(substr(h, 3, 2)) "." dec(substr(h, 1, 2)) }
FNR > 1 { u = FILENAME ~ /udp/; if ($4 != (u ? "07" : "0A")) next
  split($2, a, ":"); h = a[1]; if (length(h) == 8) h = v4(h); else if (h ~ /^0*$/) h = "::"; else { s = ""; for (i = 0; i < 4; i++) { g = substr(h, i * 8 + 1, 8); s = s (i ? ":" : "") substr(g, 7, 2) substr(g, 5, 2) ":" substr(g, 3, 2) substr(g, 1, 2) } h = tolower(s) }
  print (u ? "udp" : "tcp"), h, dec(a[2]), "-", "-" }' $(for p in tcp tcp6 udp udp6; do [ -r /proc/net/$p ] && echo /proc/net/$p; done)
    ;;
  esac
  t 0 ports
}
clock() {
  V=
  has systemd-timesyn chronyd ntpd openntpd && V=$H
  case $V in
  '') echo 'synchronized!no time daemon runs' ;;
  systemd-timesyn) y synchronized -e /run/systemd/timesync/synchronized ;;
  chronyd)
    # By UDP: its socket would need a file of our own.
    case $(x chronyc -n -h 127.0.0.1 tracking 2>/dev/null) in
    *'Leap status'*Not*) echo synchronized=no ;;
    *'Leap status'*) echo synchronized=yes ;;
    *) echo 'synchronized!chronyc does not answer' ;;
    esac
    ;;
  *)
    case $NL$(x ntpq -pn 2>/dev/null) in
    *"$NL"'*'*) echo synchronized=yes ;;
    *refid*) echo synchronized=no ;;
    *) echo 'synchronized!ntpq does not answer' ;;
    esac
    ;;
  esac
  y ntp -n "$V"
  [ "$V" ] && echo "daemon=$V" || echo daemon-
  r rtc_epoch /sys/class/rtc/rtc0/since_epoch
  # What date said at the beginning, and what has passed since.
  now
  echo "epoch=${EP:+$((EP + (U - UP) / 100))}"
  V=no
  while read -r l; do [ "$l" = LOCAL ] && V=yes; done </etc/adjtime
  echo "local_rtc=$V"
  t 0 time
}
joining() {
  V=
  case $NL$PIDS in *" kubeadm$NL"*) V=${PIDS%%" kubeadm$NL"*} && V=${V##*"$NL"} ;; esac
  [ "$V" ] && echo "kubeadm_pid=$V" || echo kubeadm_pid-
  p=/etc/kubernetes/bootstrap-kubelet.conf
  if [ -e $p ]; then echo "bootstrap_conf_mtime=$(x stat -c %Y $p)"; else
    ex $p
    [ $X = 66 ] && echo bootstrap_conf_mtime- || echo 'bootstrap_conf_mtime!permission denied'
  fi
  if has apt apt-get aptitude dpkg dnf yum rpm zypper unattended-upgr; then echo "lock=$H"; else echo lock-; fi
  V=
  for p in /root/.ansible/tmp/ansible-tmp-* /home/*/.ansible/tmp/ansible-tmp-*; do [ -d "$p" ] && V=$p; done
  if [ "$V" ]; then echo "ansible=$V"; elif [ "$UID0" ]; then echo ansible-; else echo 'ansible!permission denied'; fi
  t 0 join
  V=
  r suspends /sys/power/suspend_stats/success
  read -r V </sys/power/suspend_stats/success
  case $V in '' | 0) echo last_suspend- ;; *)
    h=$(x journalctl -q --no-pager -b -n 1 -o short-unix -u systemd-suspend.service 2>/dev/null)
    h=${h%%.*}
    case $h in '' | *[!0-9]*) echo 'last_suspend!not in the journal' ;; *) echo "last_suspend=$h" ;; esac
    ;;
  esac
  # What may put it to sleep: a timer that somebody enabled, and what logind does when nobody is there.
  V=
  for p in /etc/systemd/system/*.wants/*.timer; do
    case ${p##*/} in *sleep*.timer | *suspend*.timer | *hibernate*.timer) V="$V ${p##*/}" ;; esac
  done
  case $V in '') echo sleep_timers- ;; *) echo "sleep_timers=${V# }" ;; esac
  V=
  for p in /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf; do
    if [ -f "$p" ]; then while read -r l; do case $l in IdleAction=*) V=${l#*=} ;; esac; done <"$p"; fi
  done
  case $V in '') echo idle_action- ;; *) echo "idle_action=$V" ;; esac
  t 0 suspend
}
