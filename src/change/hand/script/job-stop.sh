# Ends the job NAME with all that it started, and removes what it was handed.
need flock rm
alone
rm -rf "$R/run/seaworthy/.$NAME.new" "$R/dev/shm/seaworthy/.$NAME.new" 2>/dev/null
found || end stopped
s=
signal() {
  w=0
  while members; do
    # Some may have ended since.
    [ $((w % 10)) != 0 ] || kill -s "$1" $M 2>/dev/null
    w=$((w + 1))
    [ $w -lt $2 ] || return 1
    nap 0.1
  done
}
if [ -d "$R/run/systemd/system" ] && has systemctl; then systemctl stop "$UNIT" >/dev/null 2>&1; fi
signal TERM 100 || signal KILL 50 || s=left
read -r secret <"$J/secret"
[ ! "$secret" ] || rm -f "$J/$secret"
[ ! "$s" ] || failed "the job does not end, even when it is killed: process$M" 'look what it waits for in the kernel: a dead mount, a broken disk; then reboot the node'
end stopped
