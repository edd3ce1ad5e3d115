# What a node consists of, one line each; run by `lab exec`, whose own processes and files it leaves out.
# /mnt is left out because find would wait for the mount below it that never answers.
# Every change of a file's content or inode moves its mtime or ctime; reading moves neither.
find / /run /run/lock /tmp /dev /dev/shm /var/lib/containerd -xdev \( -path /proc -o -path /sys -o -path /mnt \) -prune -o \
    -printf 'file %p %y %m %U:%G %s %T@ %C@\n' | sort -u
# A process is its pid and its start; this shell, what it starts and kernel threads are left out.
for stat in /proc/[0-9]*/stat; do
    pid=${stat#/proc/}
    pid=${pid%/stat}
    { read -r line <"$stat"; } 2>/dev/null || continue
    rest=${line##*) }
    set -- $rest
    [ "$pid" != $$ ] && [ "$2" != $$ ] || continue
    echo "process $pid ${20} $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
done
sed 's/^/mount /' /proc/1/mountinfo
find /sys/fs/cgroup -type d -printf 'group %p\n'
iptables-save 2>/dev/null | sed '/^#/d; s/^/rule /'
ip -o addr | sed 's/^/address /'
