# The probe: reads one node and prints the frames of docs/probe.md. POSIX sh; dash, bash and busybox ash run it.
#
# It comes on standard input of `sh -s`, so everything stands inside one brace group: the shell runs nothing before it
# has read the closing brace, and a script that was cut off on its way does nothing at all. Every child reads /dev/null.
#
# The client sets before it: N (nonce), P (PATH, or empty), C (cap of a section in bytes), T1, T2 and T3 (deadlines in
# seconds: quick commands, slow ones, kubectl). After twice T3 nothing is started any more. Lines that begin with # and indentation are stripped before it is sent, so
# no string may depend on either.
#
# Output runs through `fl`, which turns what the functions below print into frames. What they print, line by line:
#   text                          the text of the section that comes next
#   @@N id rc ms [arg]            ... and its name, after the text
#   @@N !                         what was said so far is sent at once
#   @@N >M                        how the text from here on is rewritten: M is a mode of `put` in `fl`
#   @@N +BYTES                    the cap of the section that comes next
#   @@N <M:id:arg<TAB>path        a whole section: that file, rewritten in mode M
#   @@N =key<TAB>path             a key line: the first line of that file
# Files are read there and not with `read`: dash reads byte by byte, and most of /proc/sys answers only the first byte then.
{
LC_ALL=C PATH=${P:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin}
SYSTEMD_PAGER= SYSTEMD_COLORS=0 QUOTING_STYLE=literal HOME=/proc
export LC_ALL PATH N C SYSTEMD_PAGER SYSTEMD_COLORS QUOTING_STYLE HOME
unset IFS
CP=
NL='
'
TAB='	'

# now: U is the node's uptime in hundredths of a second.
now() {
  IFS=' ' read -r U _ </proc/uptime
  U=${U%.*}${U#*.}
  while :; do case $U in 0?*) U=${U#0} ;; *) break ;; esac; done
}
# t RC ID [ARG]: ends a section.
t() {
  now
  case $1 in 137) set -- 124 "$2" "$3" ;; esac
  printf '\n@@%s %s %s %s%s\n' "$N" "$2" "$1" $(((U - U0) * 10)) "${3:+ $3}"
  U0=$U
}
# w TOOL: W is its path.
w() {
  IFS=:
  for W in $PATH; do
    W=$W/$1
    [ -f "$W" ] && [ -x "$W" ] && { unset IFS; return 0; }
  done
  unset IFS
  W=
  return 1
}
# x TOOL ARG...: runs it under the deadline $D, and no more when the node has used up its time: many things that hang one
# after the other would add up.
x() {
  w "$1" || return 127
  shift
  now
  [ $U -lt $END ] || return 124
  $TO $D "$W" "$@"
}
# xa TOOL ARG...: the same with its exit code as a last line, for an awk that ends with it.
xa() {
  x "$@"
  printf '\n@@rc %s\n' $?
}
# wd SECONDS COMMAND...: `timeout` for nodes without one. Leaves no sleep behind.
wd() {
  wds=$1
  shift
  "$@" &
  wdp=$!
  ( trap 'kill $!; exit' TERM; sleep "$wds" & wait $! && kill -9 $wdp ) >/dev/null 2>&1 &
  wdq=$!
  wait $wdp
  wdr=$?
  kill $wdq 2>/dev/null
  wait $wdq
  return $wdr
}
# ex PATH: X is 0, 66 or 77.
ex() {
  if [ -e "$1" ]; then
    X=77
    [ -r "$1" ] && X=0
    return
  fi
  X=66 E=$1
  while E=${E%/*}; [ "$E" ]; do
    [ -d "$E" ] && { [ -x "$E" ] || X=77; break; }
  done
}
# f MODE ID PATH [ARG]: a file as a section.
f() {
  ex "$3"
  case $X in
  0) printf '@@%s <%s:%s:%s\t%s\n' "$N" "$1" "$2" "$4" "$3" ;;
  *) t $X "$2" "$4" ;;
  esac
}
# r KEY PATH: the first line of a file as a key line.
r() {
  ex "$2"
  case $X in
  0) printf '@@%s =%s\t%s\n' "$N" "$1" "$2" ;;
  66) echo "$1-" ;;
  *) echo "$1!permission denied" ;;
  esac
}
# y KEY TEST...: yes or no.
y() {
  Y=$1
  shift
  if [ "$@" ]; then echo "$Y=yes"; else echo "$Y=no"; fi
}
m() { printf '@@%s %s\n' "$N" "$1"; }
# li ID ARG PATH...: a listing.
li() {
  I=$1 A=$2
  shift 2
  m '>S'
  for p; do
    shift
    if [ -e "$p" ] || [ -L "$p" ]; then set -- "$@" "$p"; else
      ex "$p"
      case $X in 77) X=! ;; *) X=- ;; esac
      printf '%s\t%s\n' "$X" "$p"
    fi
  done
  if [ $# = 0 ]; then :; elif w stat && w awk; then
    x stat -c '%a %u:%g %s %Y %F %N' "$@"
    case $? in 137 | 124) t 124 "$I" "$A"; return ;; esac
  else
    for p; do
      X=f
      [ -d "$p" ] && X=d
      [ -S "$p" ] && X=s
      [ -b "$p" ] && X=b
      [ -c "$p" ] && X=c
      [ -L "$p" ] && X=l
      printf '? ?:? ? ? %s\t%s\n' $X "$p"
    done
  fi
  t 0 "$I" "$A"
}
# ld ID DIR: a listing of a directory's entries.
ld() {
  ex "$2"
  [ $X = 0 ] && [ ! -x "$2" ] && X=77
  [ $X = 0 ] || { t $X "$1" "$2"; return; }
  LI=$1 LA=$2
  set --
  for p in "$LA"/* "$LA"/.[!.]*; do
    { [ -e "$p" ] || [ -L "$p" ]; } && set -- "$@" "$p"
  done
  [ "$LI" = cni-bin ] && hex "$LA"
  li "$LI" "$LA" "$@"
}
# hex DIR: for `fl`, the first 20 bytes of its files: a line H<TAB>path per file, then X lines with all their bytes in that order.
hex() {
  w find && w head && w od || return
  set -f
  set -- $(find "$1" -maxdepth 1 -type f -size +19c 2>/dev/null)
  set +f
  [ $# = 0 ] && return
  m '>S'
  printf 'H\t%s\n' "$@"
  head -q -c 20 "$@" </dev/null | od -An -v -tx1 | while read -r l; do echo "X $l"; done
}
# root ID [ARG]: false after saying 77, when not root.
root() {
  [ "$UID0" ] && return
  t 77 "$1" "$2"
  return 1
}
# has NAME...: is one of these processes running? H is its name.
has() {
  for H; do case $RUN in *" $H "*) return 0 ;; esac; done
  return 1
}
