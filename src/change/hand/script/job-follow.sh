# Everything that the job NAME prints, from byte FROM of its log to its end: `data COUNT` and so many bytes. A line now and then
# tells whether anybody still listens.
need flock stat tail head
found || end none
o=$FROM i=0 s=
while :; do
  i=$((i + 1))
  if [ -e "$J/exit" ]; then s=ended
  elif [ $((i % 10)) = 0 ]; then
    say tick "$i"
    running || [ -e "$J/exit" ] || s=dead
  fi
  z=0
  [ ! -e "$J/log" ] || z=$(stat -c %s "$J/log" 2>/dev/null) || z=0
  while [ "$z" -gt "$o" ]; do
    n=$((z - o))
    [ $n -le 65536 ] || n=65536
    say data "$n"
    tail -c +$((o + 1)) "$J/log" | head -c $n
    o=$((o + n))
  done
  [ ! "$s" ] || break
  [ -d "$J" ] || end none
  nap 0.3
done
if [ $s = ended ]; then
  read -r code <"$J/exit"
  say code "$code"
fi
end $s
