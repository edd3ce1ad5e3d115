# Starts the job NAME for RUN and ATTEMPT: `job` prints its script, `content` its SECRET file.
need flock rm mv stat
alone
if found; then
  read -r who <"$J/run"
  [ "$who" != "$RUN $ATTEMPT" ] || end started
  if running; then
    text by "${who% *}"
    end locked
  fi
fi
BASE=
for b in /run /dev/shm; do
  if [ -d "$R$b" ] && in_memory $b; then BASE=$R$b/seaworthy && break; fi
done
[ "$BASE" ] || refuse 'neither /run nor /dev/shm of the node is kept in memory, and a token must not reach a disk' 'mount a tmpfs on /run'
case $(command -v printf) in
/*) refuse "the node's sh has no printf of its own, and a secret must not be an argument of a program" 'install dash or bash as /bin/sh' ;;
esac
own "$BASE"
J=$BASE/$NAME NEW=$BASE/.$NAME.new
try rm -rf "$R/run/seaworthy/$NAME" "$R/run/seaworthy/.$NAME.new" && try rm -rf "$J" "$NEW" && try mkdir -m 700 "$NEW" || failed "the job's directory cannot be made: $E" 'look at /run on the node'
undone() {
  rm -rf "$NEW" "$J"
  failed "$1" "$2"
}
{
  printf '%s %s\n' "$RUN" "$ATTEMPT" >"$NEW/run" &&
    printf '%s\n' "$SECRET" >"$NEW/secret" &&
    { printf "D='%s' P='%s' S='%s'\n" "$J" "$PATH" "$SECRET" && job; } >"$NEW/job" &&
    { [ ! "$SECRET" ] || content >"$NEW/$SECRET"; }
} 2>/dev/null || undone "the job's files cannot be written" 'look at /run on the node: is it full?'
try mv "$NEW" "$J" || undone "the job's directory cannot be made: $E" 'look at /run on the node'
sh=$(command -v sh)
if [ -d "$R/run/systemd/system" ] && has systemd-run; then
  systemctl reset-failed "$UNIT" >/dev/null 2>&1
  try systemd-run --quiet --unit="$UNIT" --description="seaworthy $NAME" -p KillMode=control-group -p TimeoutStopSec=10 "$sh" "$J/job" 8>&- ||
    undone "systemd does not start the job: $E" 'run systemd-run by hand on the node'
else
  if ! has setsid; then
    rm -rf "$J"
    need setsid
  fi
  setsid "$sh" "$J/job" </dev/null >/dev/null 2>&1 3>&- 8>&- &
fi
i=0
until [ -s "$J/pid" ]; do
  i=$((i + 1))
  [ $i -lt 100 ] || undone 'the job did not begin within ten seconds' "look on the node: journalctl -u $UNIT"
  nap 0.1
done
end started
