# ---- the slow sections: what systemd, the journal and the container runtime say
units() {
  D=$T2
  set -- kubelet containerd crio docker cri-docker chrony chronyd systemd-timesyncd firewalld ufw NetworkManager nfs-server sleep.target suspend.target
  p=Id,LoadState,UnitFileState,ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,ExecMainStartTimestamp,ExecMainStartTimestampMonotonic,NRestarts,MainPID,FragmentPath,DropInPaths,NeedDaemonReload,ExecStart,ActiveEnterTimestamp,ActiveEnterTimestampMonotonic,InvocationID,Environment,EnvironmentFiles
  X=0
  [ -d /run/systemd/system ] || X=66
  w systemctl && w awk || X=127
  if [ $X = 0 ]; then
    o=$(x systemctl show --timestamp=unix -p $p "$@" 2>/dev/null)
    X=$?
    # Before systemd 247 the option is unknown.
    [ $X = 1 ] && o=$(x systemctl show -p $p "$@" 2>&1) && X=0
  fi
  if [ $X != 0 ]; then
    t $X unit
    for p in kubelet containerd; do t $X log $p; done
    t $X log-exit kubelet
    pods
    return
  fi
  printf '%s\n' "$o" | awk -v l="$*" 'BEGIN { RS = ""; split(l, u, " ") } { print $0 "\n\n@@" ENVIRON["N"] " unit 0 0 " u[NR] }'
  X=77
  [ "$UID0" ] && X=0
  for p in /var/log/journal/*/system.journal /run/log/journal/*/system.journal; do [ -r "$p" ] && X=0; done
  w journalctl || X=127
  J=$X
  printf '%s\n' "$o" | awk 'BEGIN { RS = ""; FS = "\n" } NR < 3 { i = p = a = n = e = ""; for (k = 1; k <= NF; k++) { v = $k; sub(/^[^=]*=/, "", v)
  if ($k ~ /^Inv/) i = v; if ($k ~ /^MainPID/) p = v; if ($k ~ /^SubState/) a = v; if ($k ~ /^NRest/) n = v; if ($k ~ /^LoadS/) e = v }
  print NR, e, a, n + 0, p + 0, i }' | while read -r h load sub restarts pid inv; do
    case $h in 1) h=kubelet ;; *) h=containerd ;; esac
    if [ $J != 0 ]; then t $J log $h
    elif [ "$load" = not-found ] || [ "$inv$pid" = 0 ]; then t 66 log $h
    else
      echo "invocation=$inv"
      if [ "$inv" ]; then l=_SYSTEMD_INVOCATION_ID=$inv; else l=_PID=$pid; fi
      xa journalctl -q --no-pager -o short-unix -n 800 $l 2>/dev/null | awk '
/^@@rc / { r = $2; next }
/^$/ { next }
{ l[NR] = $0; k = $0; sub(/^[^:]*: /, "", k); sub(/^[IWEF][0-9]+ [0-9:.]+ +[0-9]+ /, "", k); gsub(/[0-9]+/, "", k); k = substr(k, 1, 100)
  if (k ~ /[Ee]rr|[Ff]ail|[Uu]nable|[Dd]enied|[Ff]orbidden|[Ii]nvalid|[Uu]nknown|[Ss]tandalone|No API server|not ready|NotReady|PLEG|x509|[Tt]imed? ?out|no space|[Rr]ead-only|not found|no such|[Cc]annot|[Cc]ould not|refused|no route|unreachable|[Uu]nimplemented|[Uu]nauthori|[Ee]vict|[Ss]tale|[Oo]rphan|[Ee]xit|[Rr]egister|[Ee]xpired|too many|deprecat|[Ii]gnor|reserved|sandbox|swap|cgroup|[Kk]illed|[Pp]anic|disabled/) { if (k in last) delete keep[last[k]]; last[k] = NR; keep[NR] }
  if (NR > 20) delete tail[NR - 20]; tail[NR] }
END { for (i = NR; i > 0; i--) if ((i in tail) || ((i in keep) && n < 80)) { n++; out[i] } for (i = 1; i <= NR; i++) if (i in out) print l[i]; exit r }'
      t $? log $h
    fi
    [ $h = kubelet ] || continue
    if [ $J != 0 ]; then t $J log-exit kubelet
    elif [ "$load" = not-found ] || { [ "$sub" = running ] && [ "$restarts" = 0 ]; }; then t 66 log-exit kubelet
    else
      x journalctl -q --no-pager -b -o short-unix -n 40 -u kubelet 2>/dev/null
      t $? log-exit kubelet
    fi
  done
  pods
}
pods() {
  if [ -d /var/log/pods ]; then
    [ "$UID0" ] || [ -r /var/log/pods ] || { t 77 log-pod; return; }
    for d in /var/log/pods/kube-flannel_* /var/log/pods/kube-system_kube-flannel*; do
      for p in "$d"/*; do
        set -- "$p"/*.log
        while [ $# -gt 1 ]; do shift; done
        [ -e "$1" ] && { x tail -n 20 "$1" 2>&1; t $? log-pod "$1"; }
      done
    done
  fi
}
runtime() {
  D=$T2
  if w containerd; then
    m +262144
    x containerd config dump 2>&1
    t $? containerd-dump
    x containerd --version 2>&1
    t $? containerd-version
  else
    t 127 containerd-dump
    t 127 containerd-version
  fi
  x runc --version 2>&1
  t $? runc-version
  X=0 SOCK=${SOCKS%% *}
  if ! w crictl; then X=127; elif [ ! "$SOCKS" ]; then X=66; elif [ ! "$UID0" ] && [ ! -w "$SOCK" ]; then X=77; fi
  if [ $X = 0 ]; then
    x crictl -r "unix://$SOCK" -t ${T1}s version 2>&1
    X=$?
    t $X crictl-version
  else t $X crictl-version; fi
  for p in info pods ps images; do
    if [ $X = 0 ]; then
      m +524288
      m '>J'
      h=$p
      [ $p = ps ] && h='ps -a'
      [ $p = info ] || h="$h -o json"
      x crictl -r "unix://$SOCK" -t ${T1}s $h 2>&1
      V=$?
      t $V crictl-$p
      case $V in 124 | 137) X=124 ;; esac
    else t $X crictl-$p; fi
  done
  X=0 p=/run/containerd/containerd.sock
  if ! w ctr; then X=127; elif [ ! -e $p ]; then X=66; elif [ ! "$UID0" ] && [ ! -w $p ]; then X=77; fi
  if [ $X = 0 ]; then
    x ctr --timeout ${T1}s plugins ls 2>&1
    t $? ctr-plugins
    x ctr --timeout ${T1}s deprecations list 2>&1
    t $? ctr-deprecations
  else
    t $X ctr-plugins
    t $X ctr-deprecations
  fi
}
