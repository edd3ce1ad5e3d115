# ---- mounts: what may hang goes last, and nobody waits for it
mounts() {
  D=$T1
  if ! w stat || ! w awk || ! w sleep; then
    t 127 df
    t 127 netmount
    return
  fi
  CR=
  while read -r l; do
    case $l in root*=*) CR=${l#*[\"\']} CR=${CR%%[\"\']*} && break ;; \[*) break ;; esac
  done </etc/containerd/config.toml
  case $CR in /*) ;; *) CR= ;; esac
  # One line per mount to look at: N (network) or L (local), major:minor, type, source, mount point, the paths of `df` on it.
  MT=$(awk -v paths="/ /var /var/lib /var/lib/containerd /var/lib/kubelet /var/lib/etcd /var/log /run /tmp /dev/shm /boot /opt /etc $CR" '
function un(s,  o, i) { while (i = index(s, "\\")) { o = o substr(s, 1, i - 1) sprintf("%c", substr(s, i + 1, 1) * 64 + substr(s, i + 2, 1) * 8 + substr(s, i + 3, 1)); s = substr(s, i + 4) } return o s }
{ for (i = 7; i < NF && $i != "-"; i++); mp[NR] = $5; dev[NR] = $3; ty[NR] = $(i + 1); so[NR] = $(i + 2); at[$5] = NR }
END { np = split(paths, p, " ")
  for (j = 1; j <= np; j++) { s = p[j]; if (s in done) continue; done[s]
    for (q = s; !(q in at); ) { sub(/\/[^\/]*$/, "", q); if (q == "") q = "/"; if (q == "/" && !(q in at)) break }
    if (q in at) on[at[q]] = on[at[q]] " " s }
  for (i = 1; i <= NR; i++) {
    if (at[mp[i]] != i || ty[i] == "autofs") continue
    net = ty[i] ~ /^(nfs|nfs4|cifs|smb3|smbfs|ceph|9p|afs|lustre|gpfs|beegfs|virtiofs|ocfs2|gfs2|glusterfs|fuseblk|fuse|fuse[.].*)$/
    if (net) { if (dev[i] in seen && !(i in on)) continue; seen[dev[i]]; k = "N" } else if (i in on) k = "L"; else continue
    m = un(mp[i]); s = un(so[i]); if (m ~ /[\n\t]/ || s ~ /[\n\t]/) continue
    l = k "\t" dev[i] "\t" ty[i] "\t" (s == "" ? "-" : s) "\t" m "\t" on[i]
    if (net) late = late l "\n"; else print l }
  printf "%s", late }' /proc/self/mountinfo)
  # Children without any descriptor of ours: one that hangs in the kernel keeps no pipe open.
  set --
  i=0
  set -f
  IFS=$NL
  for l in $MT; do
    i=$((i + 1))
    IFS=$TAB
    set -- "$@" $i
    [ $i -gt 48 ] && eval "p$i=" && continue
    mp=${l#*"$TAB"*"$TAB"*"$TAB"*"$TAB"}
    stat -f -c %T "${mp%%"$TAB"*}" </dev/null >/dev/null 2>&1 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- &
    eval "p$i=$! e$i= s$i="
  done
  unset IFS
  now
  b=$U
  while :; do
    left=
    now
    for i; do
      eval "p=\$p$i e=\$e$i"
      [ "$p" ] && [ ! "$e" ] || continue
      if kill -0 $p 2>/dev/null; then left=1; else
        wait $p
        eval "e$i=$? s$i=$(((U - b) * 10))"
      fi
    done
    [ "$left" ] && [ $((U - b)) -lt $((T1 * 100)) ] || break
    if [ $((U - b)) -lt 20 ]; then sleep 0.03 || sleep 1; else sleep 0.2 || sleep 1; fi
  done
  i=0 OK= HUNG= any=
  IFS=$NL
  for l in $MT; do
    IFS=$TAB
    i=$((i + 1))
    eval "p=\$p$i e=\$e$i s=\$s$i"
    k=${l%%"$TAB"*} l=${l#*"$TAB"}
    dev=${l%%"$TAB"*} l=${l#*"$TAB"}
    ty=${l%%"$TAB"*} l=${l#*"$TAB"}
    so=${l%%"$TAB"*} l=${l#*"$TAB"}
    mp=${l%%"$TAB"*} on=${l#*"$TAB"}
    unset IFS
    st= wc=
    if [ "$p" ] && [ ! "$e" ]; then
      read -r st <"/proc/$p/stat"
      st=${st##*) }
      st=${st%% *}
      read -r wc <"/proc/$p/wchan"
      kill -9 $p 2>/dev/null
    fi
    case $k:$e in
    L: | N:) for h in $on; do HUNG="$HUNG $h"; done ;;
    *:0) for h in $on; do OK="$OK$h $ty $so$NL"; done ;;
    *) for h in $on; do t 77 df "$h"; done ;;
    esac
    [ $k = N ] || continue
    any=1
    printf 'fstype=%s\nsource=%s\ndev=%s\n' "$ty" "$so" "$dev"
    if [ ! "$p" ]; then echo 'state!too many mounts to look at'
    elif [ ! "$e" ]; then printf 'state=hung\nms=%s\npid_state=%s\nwchan=%s\n' $(((U - b) * 10)) "$st" "${wc:--}"
    elif [ $e = 0 ]; then printf 'state=answered\nms=%s\n' "$s"
    else
      # It answers, so it can be asked again for the reason.
      h=$(x stat -f -c %T "$mp" 2>&1)
      case $h in
      *'Permission denied') echo 'state!permission denied' ;;
      *) printf 'state=error\nms=%s\nerror=%s\n' "$s" "${h##*: }" ;;
      esac
    fi
    t 0 netmount "$mp"
  done
  [ $any ] || t 66 netmount
  for p in $HUNG; do t 124 df "$p"; done
  unset IFS
  set --
  IFS=$NL
  for l in $OK; do
    p=${l%% *}
    [ -e "$p" ] && set -- "$@" "$p"
  done
  unset IFS
  [ $# = 0 ] && return
  V=$(x stat -f -c '%n %b %f %a %S %c %d' "$@" 2>/dev/null)
  X=$?
  case $X:$V in 124:* | 137:* | *:)
    for p; do t $X df "$p"; done
    return ;;
  esac
  export OK
  printf '%s\n' "$V" | awk '
BEGIN { M = "@@" ENVIRON["N"]; k = split(ENVIRON["OK"], a, "\n"); for (i = 1; i <= k; i++) { n = index(a[i], " "); fs[substr(a[i], 1, n - 1)] = substr(a[i], n + 1) } }
NF == 7 { u = $5 / 1024; printf "%.0f %.0f %.0f %s %s %s\n\n%s df 0 0 %s\n", $2 * u, ($2 - $3) * u, $4 * u, $6, $7, fs[$1], M, $1 }'
}
