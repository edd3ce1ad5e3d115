# Runs the command line C for at most LIMIT seconds, with what `content` prints as its input. Its output stands between the first line
# and the code.
if timeout -k 1 9 true 2>/dev/null; then T="timeout -k 5 $LIMIT"
elif timeout 9 true 2>/dev/null; then T="timeout $LIMIT"
elif timeout -t 9 true 2>/dev/null; then T="timeout -t $LIMIT"
else T=; fi
# What every path lies below, for command lines of this program's own: nothing.
export R
printf '@@%s begin\n' "$N" >&2
exec 4>&1
code=$(
  {
    { content 2>/dev/null | $T sh -c "$C" 3>&- 4>&-; echo $? >&3; } | { head -c "$CAP"; cat >/dev/null; } >&4 3>&-
  } 3>&1
)
printf '\n@@%s code %s\n' "$N" "$code"
end ran
