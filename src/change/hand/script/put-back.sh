# Takes a write back; the arguments are those of write.sh.
need stat sha256sum mv rm sync
alone
F=$R$T
D=${F%/*} B=${F##*/}
TMP=$D/.$B.seaworthy.tmp BAK=$D/.$B.$RUN.bak
disk='look at the file system: read-only, or an immutable file (findmnt, lsattr)'
[ ! -d "$D" ] || try rm -f "$TMP" "$TMP.bak" || failed "$T: a left-over cannot be removed: $E" "$disk"
[ "$BEFORE" != "$AFTER" ] || end back
state "$F"
now=$(sizeless "$S")
case $BEFORE,$now in
absent,absent) ;;
"absent,$AFTER")
  try rm -f "$F" || failed "$T cannot be removed: $E" "$disk"
  flush "$D" ;;
"$BEFORE,$BEFORE") try rm -f "$BAK" || failed "${BAK#"$R"} cannot be removed: $E" "$disk" ;;
"$BEFORE,$AFTER" | "$BEFORE,absent")
  state "$BAK"
  [ "$(sizeless "$S")" = "$BEFORE" ] || failed "the old $T was kept as ${BAK#"$R"}, and that is now: $S" 'put the old file back from a backup'
  try mv -f "$BAK" "$F" || failed "$T cannot be put back: $E" "$disk"
  flush "$D" ;;
*)
  text found "$S"
  end changed ;;
esac
end back
