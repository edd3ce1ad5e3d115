# A job itself: runs C in its directory D, and says how it ended. A signal reaches the command, and this waits for its end.
cd "$D" || exit 0
LC_ALL=C PATH=$P HOME=${HOME:-/root}
export LC_ALL PATH HOME
umask 077
exec 9>>alive
flock -n 9 || exit 0
trap : HUP INT TERM
echo $$ >pid
# Its own files are nobody else's; what the command makes is as if an administrator had called it.
sh -c "umask 022; $C" >>log 2>&1 </dev/null 9>&-
code=$?
[ ! "$S" ] || rm -f "$S"
echo $code >.exit
mv -f .exit exit
exit 0
