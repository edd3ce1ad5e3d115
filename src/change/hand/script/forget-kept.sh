# What is kept for RUN is not needed any more.
need mv rm
alone
KEEP=$R/var/lib/seaworthy
try rm -rf "$KEEP/.$RUN.new" || failed "what was kept cannot be removed: $E" "remove it: /var/lib/seaworthy"
if [ -e "$KEEP/$RUN" ]; then
  { try mv "$KEEP/$RUN" "$KEEP/.$RUN.new" && try rm -rf "$KEEP/.$RUN.new"; } || failed "what was kept cannot be removed: $E" "remove it: /var/lib/seaworthy/$RUN"
fi
rmdir "$KEEP" 2>/dev/null
end forgotten
