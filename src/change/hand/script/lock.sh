# The lock: held by this shell until its input ends, or until nothing came for a minute, as a connection that is cut off ends
# nowhere. A lock is not the file but what the kernel knows of it, so that none outlives its process.
need flock
own "$RUNDIR"
writable "$RUNDIR/lock"
exec 9>>"$RUNDIR/lock"
if ! flock -n 9; then
  by=
  read -r by <"$RUNDIR/lock"
  text by "${by:-it has not said which}"
  end locked
fi
printf '%s\n' "$RUN" >"$RUNDIR/lock"
wait8
exec 8>&-
say end held
# busybox's timeout leaves a process behind for a second, which must not hold the lock.
if timeout 1 true 2>/dev/null 9>&-; then
  while [ "$(exec 9>&- && timeout 60 dd bs=1 count=1 2>/dev/null <&3)" ]; do :; done
else
  cat <&3 >/dev/null 9>&-
fi
exit 0
