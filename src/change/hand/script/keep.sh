# Copies the paths in the arguments for RUN, and writes down what kind each one is, and at last which directories on the way to
# them are not there. A copy that is there is whole: it got its name at the end.
need stat sha256sum cp mv rm sync
alone
KEEP=$R/var/lib/seaworthy
[ -d "$R/var/lib" ] || failed "/var/lib is not there" "look at the file system"
own "$KEEP"
disk='look at the file system: full or read-only (df, findmnt)'
list=
for p; do list="$list$p
"; done
if [ -e "$KEEP/$RUN" ]; then
  [ "$(cat "$KEEP/$RUN/paths")" = "$(printf %s "$list")" ] || refuse "other files are kept for this run already" "look at them: ls /var/lib/seaworthy/$RUN"
  end kept
fi
NEW=$KEEP/.$RUN.new
try rm -rf "$NEW" && try mkdir -m 700 "$NEW" || failed "nothing can be kept: $E" "$disk"
undone() {
  rm -rf "$NEW"
  rmdir "$KEEP" 2>/dev/null
  failed "$1" "$2"
}
i=0 kinds= none=
for p; do
  state "$R$p"
  was=$S
  case $S in
  absent)
    kind=absent D=${p%/*}
    while [ -n "$D" ] && [ ! -e "$R$D" ]; do
      none="${none}nothing - $D
" D=${D%/*}
    done ;;
  file*) kind=file ;;
  'other symbolic link') kind=link ;;
  'other directory')
    kind=directory
    ! mounted "$p" || undone "$p cannot be kept: something is mounted there or below" "look at it: findmnt -R $p" ;;
  *) undone "$p cannot be kept: $S" 'look at it' ;;
  esac
  if [ $kind != absent ]; then
    try cp -a "$R$p" "$NEW/$i" || undone "$p cannot be kept: $E" "$disk"
  fi
  if [ $kind = file ]; then
    state "$NEW/$i"
    [ "$S" = "$was" ] || undone "$p changed while it was copied" 'run it again'
  fi
  kinds="$kinds$kind $i $p
"
  i=$((i + 1))
done
{ printf %s "$kinds$none" >"$NEW/kinds" && printf %s "$list" >"$NEW/paths"; } 2>/dev/null || undone 'nothing can be kept: the list cannot be written' "$disk"
flush_below "$NEW"
try mv "$NEW" "$KEEP/$RUN" || undone "nothing can be kept: $E" "$disk"
flush "$KEEP"
end kept
