# Everything that is kept for RUN as it was. Each thing is put back by a rename, so that the next call goes on where one was cut.
need stat sha256sum cp mv rm sync
alone
K=$R/var/lib/seaworthy/$RUN
[ -e "$K/kinds" ] || end nothing
disk='look at the file system: full, read-only, or an immutable file (df, findmnt, lsattr)'
while read -r kind i p; do
  F=$R$p
  D=${F%/*} B=${F##*/}
  TMP=$D/.$B.seaworthy.tmp OLD=$D/.$B.seaworthy.old
  no() { failed "$p cannot be put back: $1" "$2"; }
  [ ! -d "$D" ] || try rm -rf "$TMP" "$OLD" || no "$E" "$disk"
  state "$F"
  case $S,$kind in
  other\ directory,* | *,directory) ! mounted "$p" || no 'something is mounted there or below' "look at it: findmnt -R $p" ;;
  esac
  now=$S
  # A directory that something made on its way; what somebody else put there keeps it.
  if [ $kind = nothing ]; then
    if rmdir "$F" 2>/dev/null; then flush "$D"; fi
    continue
  fi
  if [ $kind = absent ]; then
    if [ "$now" != absent ]; then
      try rm -rf "$F" || no "$E" "$disk"
      flush "$D"
    fi
    continue
  fi
  state "$K/$i"
  case $kind in
  file) [ "$S" != "$now" ] || continue ;;
  link) [ "$now" != "$S" ] || [ "$(readlink "$F")" != "$(readlink "$K/$i")" ] || continue ;;
  esac
  [ -d "$D" ] || try mkdir -p "$D" || no "$E" "$disk"
  try cp -a "$K/$i" "$TMP" || no "$E" "$disk"
  [ $kind = link ] || flush_below "$TMP"
  case $kind,$now in
  file,file* | *,absent) ;;
  *)
    # A rename replaces nothing but a file by a file.
    try mv "$F" "$OLD" || no "$E" "$disk" ;;
  esac
  try mv -f "$TMP" "$F" || no "$E" "$disk"
  try rm -rf "$OLD" || no "$E" "$disk"
  flush "$D"
done <"$K/kinds"
end back
