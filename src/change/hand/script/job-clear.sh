# Removes the directory of the job NAME.
need flock rm
alone
if found && running; then refuse 'the job still runs' 'wait for its end, or stop it'; fi
for b in "$R/run/seaworthy" "$R/dev/shm/seaworthy"; do
  [ ! -L "$b" ] && [ -O "$b" ] || continue
  try rm -rf "$b/$NAME" "$b/.$NAME.new" || failed "the job's directory cannot be removed: $E" "remove it: ${b#"$R"}/$NAME"
done
rmdir "$R/dev/shm/seaworthy" 2>/dev/null
end cleared
