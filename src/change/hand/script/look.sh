# What lies at each path. The arguments are pairs: a path, and the largest content to bring along.
need stat sha256sum
m= b=
[ ! -r "$R/etc/machine-id" ] || read -r m <"$R/etc/machine-id"
[ ! -r "$R/proc/sys/kernel/random/boot_id" ] || read -r b <"$R/proc/sys/kernel/random/boot_id"
say machine_id "$m"
say boot_id "$b"
while [ $# -gt 1 ]; do
  state "$R$1"
  text path "$S"
  case $S in
  file*)
    if [ "${S##* }" -le "$2" ] && [ "$2" -gt 0 ] && has base64; then
      say content "$(base64 <"$R$1" | tr -d '\n')"
    fi ;;
  esac
  shift 2
done
end looked
