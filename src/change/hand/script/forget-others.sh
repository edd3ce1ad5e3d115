# What other runs than RUN kept is of no use any more. Each copy loses its name first: half of one is not put back.
need mv rm
alone
KEEP=$R/var/lib/seaworthy
for old in "$KEEP"/*; do
  B=${old##*/}
  [ -e "$old" ] && [ "$B" != "$RUN" ] || continue
  { try rm -rf "$KEEP/.$B.new" && try mv "$old" "$KEEP/.$B.new"; } || failed "what was kept cannot be removed: $E" "remove it: /var/lib/seaworthy/$B"
done
for old in "$KEEP"/.*.new; do
  [ -e "$old" ] && [ "$old" != "$KEEP/.$RUN.new" ] || continue
  try rm -rf "$old" || failed "what was kept cannot be removed: $E" "remove it: /var/lib/seaworthy"
done
rmdir "$KEEP" 2>/dev/null
end forgotten
