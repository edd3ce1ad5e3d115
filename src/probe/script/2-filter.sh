# fl: the filter, see the head of 1-helpers.sh. Secrets are cut out here too. The nonce comes by the environment: argv would show it to everybody on the node.
# Each write becomes a packet that the client pays for, so small sections wait in `o` for each other: for 4,000 bytes at most, since
# they are lost if the next one hangs. With FF each is sent as soon as it is whole.
fl() {
  if w awk; then
    awk '
BEGIN { ORS = ""; M = "@@" ENVIRON["N"] " "; L = length(M); c = C = ENVIRON["C"] + 0
  a = "[a-z0-9]"; a = a a; J = a a a "[.]" a a a a a a a a
  SEC = "(key-data|certificate-key|[Tt]oken|TOKEN|[Pp]assword|PASSWORD|[Pp]asswd|[Ss]ecret|SECRET)"
  KV = SEC "([\"\047]?:[ \t]+|[ \t]*=[ \t]*|\":)[\"\047]?"; FLAG = "--((discovery-|tls-bootstrap-)?token|certificate-key|password)([ =]|$)" }
function red(l,  o, p, q) {
  if (K) { if (l ~ /-----END/) K = 0; return "" }
  if (l ~ /PRIVATE KEY-----/) {
    if (gsub(/-----BEGIN [A-Z ]*PRIVATE KEY-----.*-----END [A-Z ]*PRIVATE KEY-----/, "[redacted]", l) == 0 && l ~ /-----BEGIN/) { K = 1; return "[redacted]" } }
  if (l ~ SEC) {
    o = ""
    while (match(l, KV) || match(l, FLAG)) { o = o substr(l, 1, RSTART + RLENGTH - 1); l = substr(l, RSTART + RLENGTH); sub(/^[^ \t"\047,&]+/, "[redacted]", l) }
    l = o l }
  if (index(l, "://") && l ~ /:\/\/[^ \/@"]*:[^ \/@"]*@/) gsub(/:\/\/[^ \/@"]*:[^ \/@"]*@/, "://[redacted]@", l)
  if (l ~ J) {
    o = ""
    while (match(l, J)) {
      p = RSTART > 1 ? substr(l, RSTART - 1, 1) : o == "" ? " " : "a"; q = substr(l, RSTART + RLENGTH, 1)
      if (p !~ /[a-z0-9A-Z.\/-]/ && q !~ /[a-z0-9A-Z.-]/) { o = o substr(l, 1, RSTART - 1) "[redacted]"; l = substr(l, RSTART + RLENGTH) }
      else { o = o substr(l, 1, RSTART); l = substr(l, RSTART + 1) } }
    l = o l }
  return l }
function st(l,  w, k, p, j, s) {
  if (l ~ /^H\t/) { hp[++hn] = substr(l, 3); return }
  if (l ~ /^X /) { s = substr(l, 3); gsub(/ /, "", s); hx = hx s; return }
  if (l ~ /^[-!?]/) { keep(l); return }
  split(l, w, " "); k = w[5]; k = k == "regular" ? "f" : k == "symbolic" ? "l" : k == "fifo" ? "p" : substr(k, 1, 1)
  p = substr(l, index(l, "/")); s = ""
  if (k == "l" && (j = index(p, " -> "))) { s = substr(p, j + 4); p = substr(p, 1, j - 1); gsub(/^[\047`]|\047$/, "", s); s = "\t-> " s }
  if (l ~ /[\047`]\//) sub(/\047$/, "", p)
  for (j = 1; k == "f" && j <= hn; j++) if (hp[j] == p) s = "\t" substr(hx, j * 40 - 39, 40)
  keep(w[1] " " w[2] " " w[3] " " w[4] " " k "\t" p s) }
function keep(l) {
  l = red(l)
  if (cut) return
  if (z + length(l) >= c) { cut = 1; l = substr(l, 1, c - z) }
  z += length(l) + 1; b[++n] = l }
function put(l) {
  if (mode == "") keep(l)
  else if (mode == "S") { if (l != "") st(l); else keep(l) }
  else if (mode == "A") { if (flag) { flag = 0; if (l != "") l = "[redacted]" } else flag = l ~ ("^" FLAG "$"); keep("arg=" l) }
  else if (mode == "J") {
    if (skip != "") { if (substr(l, 1, length(skip)) == skip) { sub(/^ +/, "", l); keep(l); skip = "" } return }
    if (l ~ /^[{[]/ && !js) { js = 1; n = z = 0 }
    if (l ~ /^ *"(annotations": *[{]|managedFields": *[[])$/) { skip = l; sub(/[^ ].*/, l ~ /[{]$/ ? "}" : "]", skip) }
    sub(/^ +/, "", l); keep(l) }
  else if (mode == "C") { if (l ~ /^-----BEGIN (TRUSTED )?CERTIFICATE-/) ok = 1; if (ok) keep(l); if (l ~ /^-----END/) ok = 0 }
  else if (mode == "I") { if (l ~ /^[ -]*image:|^ *- *["\047]?--/) { sub(/^ +/, "", l); keep(l) } }
  else if (mode == "#") { if (l !~ /^[ \t]*([#;]|$)/) keep(l) }
  else if (mode == "~") { if (l ~ /^[ \t]*-?[ \t]*[a-z]/ && l ~ /ip_forward|forwarding|rp_filter|bridge-nf|conntrack_max|max_user_|overcommit_memory|kernel.panic|disable_ipv6|gc_thresh|pid_max/) keep(l) }
  else if (mode == "5") { if (n < 5) keep(l) } }
function end(h,  i) {
  if (!cut && (b[n] == "" || (mode == "A" && b[n] == "arg=")) && n) n--
  say(M h)
  for (i = 1; i <= n; i++) say(b[i])
  if (cut) say(M "cut")
  if (ENVIRON["FF"] || z + length(o) > 4000) go()
  new() }
function say(l) { o = o l "\n"; if (length(o) > 16000) { print o; o = "" } }
function go() { print o; o = ""; fflush() }
function new() { n = z = cut = K = js = hn = ok = flag = 0; mode = skip = hx = ""; c = C; b[0] = "" }
index($0, M) == 1 {
  s = substr($0, L + 1); k = substr(s, 1, 1)
  if (k == ">") mode = substr(s, 2)
  else if (k == "!") go()
  else if (k == "+") c = substr(s, 2) + 0
  else if (k == "=") {
    i = index(s, "\t"); path = substr(s, i + 1); l = ""; e = (getline l < path); close(path)
    put(substr(s, 2, i - 2) (e < 0 ? "!cannot be read" : "=" l)) }
  else if (k == "<") {
    i = index(s, "\t"); path = substr(s, i + 1); split(substr(s, 2, i - 2), h, ":"); id = h[2]; new(); mode = h[1]
    arg = substr(s, 4 + length(mode) + length(id), i - 4 - length(mode) - length(id))
    while ((e = (getline l < path)) > 0) put(l)
    close(path)
    if (n || (mode != "#" && mode != "~")) { if (n && !cut) b[++n] = ""; end(id " " (e < 0 ? 77 : 0) " 0" (arg == "" ? "" : " " arg)) } else new() }
  else end(s)
  next }
{ put($0) }
END { go() }'
    return
  fi
  # Without awk: no rewriting, so nothing that must be rewritten.
  B= KIND=
  while IFS= read -r l || [ "$l" ]; do
    case $l in
    "@@$N >"*) KIND=${l#*>} ;;
    "@@$N "[+!]*) ;;
    "@@$N ="*)
      l=${l#*=}
      IFS= read -r a <"${l#*"$TAB"}" || a=
      B="$B${l%%"$TAB"*}=$a$NL"
      ;;
    "@@$N <:"* | "@@$N <5:"* | "@@$N <#:"*)
      PTH=${l#*"$TAB"} l=${l#*:} l=${l%%"$TAB"*} a=${l#*:}
      printf '%s\n' "@@$N ${l%%:*} 0 0${a:+ $a}"
      while IFS= read -r l || [ "$l" ]; do printf '%s\n' "$l"; done <"$PTH"
      ;;
    "@@$N <"*)
      l=${l#*:} l=${l%%"$TAB"*} a=${l#*:}
      printf '%s\n' "@@$N ${l%%:*} 127 0${a:+ $a}"
      ;;
    "@@$N "*)
      case $B in
      "$NL") B= ;;
      *"$NL$NL") B=${B%"$NL"} ;;
      esac
      printf '%s\n%s' "$l" "$B"
      B= KIND=
      ;;
    *)
      [ "$KIND" = A ] && [ "$l" ] && l=arg=$l
      B=$B$l$NL
      ;;
    esac
  done
}
