# What every script begins with. POSIX sh; dash, bash and busybox ash run it. It comes on standard input of `sh -s` inside of one
# brace group, so a script that was cut off on its way does nothing. Lines that begin with # are stripped before it is sent.
#
# The line before it sets N (nonce), R (what every path lies below: nothing) and P (PATH, or empty); the lines after that
# one the arguments. What a script has to say are lines that begin with "@@$N "; the last one is `end STATUS`.
LC_ALL=C PATH=${P:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin}
SYSTEMD_PAGER= SYSTEMD_COLORS=0
export LC_ALL PATH SYSTEMD_PAGER SYSTEMD_COLORS
unset IFS
umask 077
RUNDIR=$R/run/seaworthy
printf '\n@@%s begin\n' "$N"

# say KEY VALUE
say() { printf '@@%s %s %s\n' "$N" "$1" "$2"; }
# text KEY VALUE: a value that may have several lines.
text() { say "$1" "$(printf %s "$2" | tr '\n' ' ')"; }
end() {
  say end "$1"
  exit 0
}
refuse() {
  text why "$1"
  text next "$2"
  end refused
}
failed() {
  text why "$1"
  text next "$2"
  end failed
}
# try COMMAND...: E is what it said.
try() { E=$("$@" 2>&1); }
has() { command -v "$1" >/dev/null 2>&1; }
need() {
  for t; do
    has "$t" || refuse "the node has no program $t" "install the package that brings $t (coreutils, util-linux)"
  done
}
# A moment, where sleep knows one.
nap() { sleep "$1" 2>/dev/null || sleep 1; }
# own DIR: it is there, and nobody else's.
own() {
  [ -d "$1" ] || try mkdir -m 700 "$1" || [ -d "$1" ] || failed "${1#"$R"} cannot be made: $E" 'look at the file system that it lies on'
  { [ ! -L "$1" ] && [ -O "$1" ] && try chmod 700 "$1"; } ||
    refuse "${1#"$R"} is not a directory of this user's own" "look at it, and remove it: ls -ld ${1#"$R"}"
}
# writable FILE: redirecting to what cannot be opened would end the shell.
writable() { { true >>"$1"; } 2>/dev/null || failed "${1#"$R"} cannot be opened" 'look at the file system that it lies on'; }
# wait8: until what an earlier connection left running here has ended. Descriptor 8 is the lock on that.
wait8() {
  writable "$RUNDIR/busy"
  exec 8>>"$RUNDIR/busy"
  w=0
  until flock -n 8; do
    w=$((w + 1))
    [ $w -lt 240 ] || refuse 'something that an earlier connection began still runs on the node' 'look what hangs there: fuser -v /run/seaworthy/busy'
    nap 0.5
  done
}
# alone: what changes anything runs by itself.
alone() {
  need flock
  own "$RUNDIR"
  wait8
}
# state PATH: S is absent, file SHA256 MODE UID GID SIZE, other KIND, or unreadable WHY.
state() {
  if [ -L "$1" ]; then S='other symbolic link'
  elif [ -f "$1" ]; then
    S=$(stat -c '%a %u %g %s' "$1" 2>&1) || { S="unreadable $S" && return; }
    [ -r "$1" ] || { S='unreadable permission denied' && return; }
    H=$(sha256sum 2>&1 <"$1") || { S="unreadable $H" && return; }
    S="file ${H%% *} $S"
  elif [ -d "$1" ]; then S='other directory'
  elif [ -p "$1" ]; then S='other named pipe'
  elif [ -S "$1" ]; then S='other socket'
  elif [ -b "$1" ] || [ -c "$1" ]; then S='other device'
  elif [ -e "$1" ]; then S='other thing'
  else
    S=absent
    A=${1%/*}
    while [ "$A" ] && [ ! -e "$A" ]; do A=${A%/*}; done
    [ ! "$A" ] || { [ -d "$A" ] && [ ! -x "$A" ] && S='unreadable permission denied'; } || :
  fi
}
# sizeless STATE: it without a file's size, which its sum stands for.
sizeless() { case $1 in file*) echo "${1% *}" ;; *) echo "$1" ;; esac; }
# flush PATH: it is on the disk. Old programs know no argument, and flush everything.
flush() { sync "$1" 2>/dev/null || sync; }
# flush_below DIR: so is all that is in it.
flush_below() { find "$1" \( -type f -o -type d \) -exec sync {} + 2>/dev/null || sync; }
# mounted PATH: is something mounted there or below?
mounted() {
  while read -r _ m _; do
    case $m in "$1" | "$1"/*) return 0 ;; esac
  done <"$R/proc/mounts"
  return 1
}
