# Restarts UNIT and waits until it is active.
has systemctl || refuse 'the node has no systemctl' "restart $UNIT there by hand"
alone
see="look why: journalctl -u $UNIT -n 50 --no-pager"
try systemctl restart -- "$UNIT" 8>&- || failed "$UNIT does not restart: $E" "$see"
i=0
while :; do
  s=$(systemctl is-active -- "$UNIT" 2>&1)
  case $s in
  active) end active ;;
  failed | inactive) failed "$UNIT is $s after its restart" "$see" ;;
  esac
  i=$((i + 1))
  [ $i -lt 180 ] || failed "$UNIT is still $s a minute and a half after its restart" "$see"
  nap 0.5
done
