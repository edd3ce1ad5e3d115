# Jobs: a directory of its own each, in memory only, because a job may be handed a secret.
UNIT=seaworthy-$NAME.service
# in_memory DIR: does it lie on a file system that is kept in memory? The last of the longest mount points that lead there wins.
in_memory() {
  best= type=
  while read -r _ m fs _; do
    [ "$m" != / ] || m=
    case $1/ in "$m"/*) [ ${#m} -lt ${#best} ] || best=$m type=$fs ;; esac
  done <"$R/proc/mounts"
  case $type in tmpfs | ramfs) return 0 ;; esac
  return 1
}
# found: J is the job's directory.
found() {
  for J in "$R/run/seaworthy/$NAME" "$R/dev/shm/seaworthy/$NAME"; do
    [ ! -L "$J" ] && [ -O "$J" ] && [ -e "$J/run" ] && return
  done
  J=
  return 1
}
# members: M is the processes of the job, which are those that are in its directory. A process id alone may be somebody else's
# by now.
members() {
  M=
  for p in /proc/[0-9]*; do
    [ "$p/cwd" -ef "$J" ] && M="$M ${p#/proc/}"
  done 2>/dev/null
  [ "$M" ]
}
running() {
  [ ! -e "$J/alive" ] || flock -n "$J/alive" true || return 0
  members
}
