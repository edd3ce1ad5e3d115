# Who began the job NAME, and how far it is.
need flock stat
found || end none
read -r run attempt <"$J/run"
say run "$run"
say attempt "$attempt"
s=running code=
if [ ! -e "$J/exit" ] && ! running; then s=dead; fi
# It may have ended meanwhile.
if [ -e "$J/exit" ]; then
  s=ended
  read -r code <"$J/exit"
  say code "$code"
fi
z=0
[ ! -e "$J/log" ] || z=$(stat -c %s "$J/log")
say size "$z"
end $s
