# Puts a file in place: T is its path, BEFORE what lies there now and AFTER what will, as `state` says it without sizes, OWNER and
# MODE its own, and `content` prints it.
need stat sha256sum chown chmod mv ln cp rm sync
alone
F=$R$T
D=${F%/*} B=${F##*/}
TMP=$D/.$B.seaworthy.tmp BAK=$D/.$B.$RUN.bak
if [ ! -d "$D" ]; then
  refuse "the directory of $T is not there" 'find out why: the package that owns it is missing or was removed'
fi
try rm -f "$TMP" "$TMP.bak" || failed "$T: a left-over cannot be removed: $E" 'look at the file system: read-only, or an immutable file (lsattr)'
state "$F"
now=$(sizeless "$S")
[ "$now" != "$AFTER" ] || end already
if [ "$now" != "$BEFORE" ]; then
  text found "$S"
  end changed
fi
# A file that is there already is somebody else's.
content_to() { set -C && content >"$1"; }
undone() {
  rm -f "$TMP" "$TMP.bak"
  # The old file is still in its place.
  [ ! "$LINKED" ] || rm -f "$BAK"
  failed "$T was not written: $1" "$2"
}
LINKED=
disk='look at the file system: full, read-only, or an immutable directory (df, findmnt, lsattr)'
try content_to "$TMP" || undone "$E" "$disk"
try chown "$OWNER" "$TMP" || undone "$E" 'run it as root (-b)'
try chmod "$MODE" "$TMP" || undone "$E" "$disk"
try flush "$TMP" || undone "$E" "$disk"
state "$TMP"
[ "$(sizeless "$S")" = "$AFTER" ] || undone "what arrived on the disk is not what was sent: $S" "$disk"
case $BEFORE in
file*)
  state "$BAK"
  if [ "$S" = absent ]; then
    if ! try ln "$F" "$BAK"; then
      try cp -p "$F" "$TMP.bak" || undone "the old file cannot be kept: $E" "$disk"
      flush "$TMP.bak"
      try mv -f "$TMP.bak" "$BAK" || undone "the old file cannot be kept: $E" "$disk"
    fi
    LINKED=1
  elif [ "$(sizeless "$S")" != "$BEFORE" ]; then
    undone "${BAK#"$R"} is in the way and is not the old file" 'move it away'
  fi ;;
esac
try mv -f "$TMP" "$F" || undone "$E" "$disk"
flush "$D"
state "$F"
[ "$(sizeless "$S")" = "$AFTER" ] || failed "$T was written, and something else lies there already: $S" 'find out what writes it, and plan again'
end written
