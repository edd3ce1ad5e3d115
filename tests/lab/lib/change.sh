# What a change to a node is tested with: power cuts, a way back to "prepared", what may not remain, and the faults that stand
# in a join's way (letter c in the table of causes.sh). break_KIND NAME and mend_KIND NAME as there, for a candidate.
# shellcheck shell=bash disable=SC2154,SC2317

# The power fails: nothing on the node gets a word, its disk stays, its memory is gone.
reboot() {
    local dir hierarchy group
    node_leader "$1" >/dev/null
    dir=$(node_dir "$1")
    stop_node "$dir/"
    within 20 node_is_empty "$1" || die "$1: processes do not end: $(group_members "$1" | tr '\n' ' ')"
    for hierarchy in $(control_group_roots); do
        group=$hierarchy/seaworthy-lab-$lab_name/$1
        [ ! -d "$group" ] || find "$group" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    within 20 link_is_gone "$1" || die "$1: its network link stays"
    boot_node "$1" "$(cat "$dir/address")"
}
# The kernel takes it away with the node's namespace.
link_is_gone() {
    local link
    link=vb-$(machine "$1")
    if is_vm "$1"; then link=$(vm_link "$1"); fi
    ! ip link show "$link" >/dev/null 2>&1
}

on_control_plane() { node_exec "$(cat "$state/control-plane")" "export KUBECONFIG=/etc/kubernetes/admin.conf; $1"; }

# Everything that a join, flannel and a change leave goes, and the Node with it; the kubelet fails every 10 s again.
unjoin() {
    node_exec "$1" '
        systemctl stop kubelet
        for task in $(ctr -n k8s.io tasks ls -q); do ctr -n k8s.io tasks kill -s KILL "$task"; done
        for try in $(seq 100); do ctr -n k8s.io tasks ls | grep -q RUNNING || break; sleep 0.05; done
        for task in $(ctr -n k8s.io tasks ls -q); do ctr -n k8s.io tasks rm "$task"; done
        for container in $(ctr -n k8s.io containers ls -q); do ctr -n k8s.io containers rm "$container"; done
        sed -n "s#^[^ ]* \(/var/lib/kubelet/[^ ]*\) .*#\1#p" /proc/mounts | sort -r | xargs -r umount
        rm -rf /etc/kubernetes/*.conf /etc/kubernetes/pki /etc/cni/net.d/* /etc/cni/net.d/.[!.]* /var/lib/kubelet/* /var/lib/cni /run/flannel \
            /var/lib/seaworthy /run/seaworthy /dev/shm/seaworthy /var/log/pods/* /var/log/containers/*
        ip link delete flannel.1; ip link delete cni0
        systemctl restart containerd
    ' >/dev/null 2>&1 || true
    on_control_plane "kubectl delete node $1 --ignore-not-found" >/dev/null || die "$1: its Node stays"
    node_exec "$1" 'systemctl reset-failed kubelet; systemctl start kubelet'
    in_node "$1" 30 'ctr version >/dev/null 2>&1 && ! pgrep -x containerd-shim && systemctl show -P SubState kubelet | grep -q auto-restart'
}

# One line for everything that no change may leave, finished, undone or cut off: half-written files, copies, jobs, and the secret
# part of any token that the control plane made, wherever it was written to since the node's first boot.
remains() {
    local dir root secrets place
    dir=$(node_dir "$1")
    root=/proc/$(node_leader "$1")/root
    secrets=$(mktemp)
    cut -d. -f2 "$(node_dir "$(cat "$state/control-plane")")/root/root/tokens" >"$secrets"
    for place in "$dir/upper" "$dir/containerd" "$root/run" "$root/tmp" "$root/dev/shm"; do
        grep -rlsFf "$secrets" "$place" | sed "s#^$place#a token in $(basename "$place"):#" || true
    done
    rm "$secrets"
    # shellcheck disable=SC2016
    node_exec "$1" '
        find / /run /dev/shm /tmp -xdev \( -path /proc -o -path /sys -o -path /usr \) -prune -o \( -name "*.seaworthy.tmp" -o -path "/etc/cni/net.d/*.tmp" \) -print | sed "s/^/half a file: /"
        find /var/lib/seaworthy /run/seaworthy /dev/shm/seaworthy ! -type d ! -path /run/seaworthy/lock ! -path /run/seaworthy/busy 2>/dev/null | sed "s/^/kept: /"
        ls /etc/kubernetes/bootstrap-kubelet.conf 2>/dev/null
        systemctl list-units --all --plain --no-legend "seaworthy*" | sed "s/^/unit: /"
        for process in $(pgrep -x kubeadm); do echo "process: $process $(tr "\0" " " </proc/$process/cmdline)"; done'
}

# A kubeadm on the control plane that notes each token it makes, and gives a node that is named in /root/tokens.d something else
# than a sound one: "expired", gone before it is handed over, or "denied", one whose requests nobody approves.
keep_tokens() {
    rm "$1/usr/bin/kubeadm"
    cat >"$1/usr/bin/kubeadm" <<'SCRIPT'
#!/bin/sh
real=/usr/local/lib/kubernetes/kubeadm
[ "$1 $2" = 'token create' ] || exec $real "$@"
node='' before=''
for word; do
    case $before$word in --description*) node=${word##* } ;; esac
    before=''
    [ "$word" != --description ] || before=--description
done
kind=$(cat "/root/tokens.d/$node" 2>/dev/null)
[ "$kind" != denied ] || set -- "$@" --groups system:bootstrappers:denied
said=$($real "$@")
code=$?
token=$(printf '%s\n' "$said" | grep -oE '[a-z0-9]{6}\.[a-z0-9]{16}' | head -n 1)
[ -z "$token" ] || echo "$token" >>/root/tokens
[ "$kind" != expired ] || $real token delete "${token%.*}" >/dev/null
printf '%s\n' "$said"
exit $code
SCRIPT
    chmod 755 "$1/usr/bin/kubeadm"
    mkdir -p "$1/root/tokens.d"
    cat >"$1/root/deny" <<'SCRIPT'
#!/bin/sh
export KUBECONFIG=/etc/kubernetes/admin.conf
while :; do
    for request in $(kubectl get csr -o go-template='{{range .items}}{{$name := .metadata.name}}{{if not .status.conditions}}{{range .spec.groups}}{{if eq . "system:bootstrappers:denied"}}{{$name}} {{end}}{{end}}{{end}}{{end}}'); do
        kubectl certificate deny "$request"
    done
    sleep 0.5
done
SCRIPT
}

# A group of tokens that may all that kubeadm's own may, but for being approved.
foreign_group() {
    on_control_plane '
        set -e
        group=--group=system:bootstrappers:denied
        kubectl create clusterrolebinding denied-bootstrap --clusterrole=system:node-bootstrapper $group
        kubectl create clusterrolebinding denied-get-nodes --clusterrole=kubeadm:get-nodes $group
        for role in $(kubectl get roles -n kube-system -o name | grep kubeadm:); do
            kubectl create rolebinding -n kube-system "denied-${role##*:}" "--role=${role#*/}" $group
        done' >/dev/null || die "no tokens to be denied"
}

break_drop_in_away() { node_exec "$1" "mv $drop_in /root/; systemctl daemon-reload; systemctl restart kubelet"; listens "$1" 10255; }
mend_drop_in_away() { node_exec "$1" "mv /root/kubelet.service.d $drop_in; systemctl daemon-reload; systemctl restart kubelet"; }

# It was a worker, and its Node was deleted.
break_kubelet_conf_left() {
    node_exec "$1" "$(cat "$state/join") --ignore-preflight-errors=SystemVerification" >"$(node_dir "$1")/join.log" 2>&1 || die "$1 does not join"
    on_control_plane "kubectl delete node $1" >/dev/null
    in_node "$1" 60 "journalctl -u kubelet -o cat | tail -n 200 | grep -q 'node \"$1\" not found'"
}
mend_kubelet_conf_left() { unjoin "$1"; }

# All nodes have the machine's swap, which is none: this one is told another.
break_swap_on() { node_exec "$1" 'printf "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/swapfile                               file\t\t524284\t\t0\t\t-2\n" >/root/swaps; mount --bind /root/swaps /proc/swaps'; }
mend_swap_on() { node_exec "$1" 'umount /proc/swaps; rm /root/swaps'; }

# A join of somebody else's, to an address where nobody answers.
break_kubeadm_runs() {
    node_exec "$1" 'systemd-run -q --collect --unit=somebody kubeadm join 192.0.2.1:6443 --token aaaaaa.aaaaaaaaaaaaaaaa --discovery-token-unsafe-skip-ca-verification --ignore-preflight-errors=all'
    in_node "$1" 20 'pgrep -x kubeadm'
}
mend_kubeadm_runs() { node_exec "$1" 'systemctl stop somebody'; }

# A process of that name that holds dpkg's lock as dpkg does.
break_apt_runs() {
    # shellcheck disable=SC2016
    node_exec "$1" '
        cp /usr/bin/perl /root/apt-get
        cat >/root/install <<PERL
use Fcntl;
for (qw(/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock)) {
    open(my \$file, q(>>), \$_) or die;
    my \$lock = pack(q(s s x![q] q q l x![q]), F_WRLCK, 0, 0, 0, 0);
    fcntl(\$file, F_SETLK, \$lock) or die;
    push(@kept, \$file);
}
sleep 3600;
PERL
        systemd-run -q --collect --unit=somebody /root/apt-get /root/install'
    in_node "$1" 20 'pgrep -x apt-get'
}
mend_apt_runs() { node_exec "$1" 'systemctl stop somebody; rm /root/apt-get /root/install'; }

# Its host name is that of a worker which is Ready.
break_name_of_another() {
    local other
    other=$(on_control_plane "kubectl get nodes --no-headers -l '!node-role.kubernetes.io/master' | awk '\$2 == \"Ready\" {print \$1; exit}'")
    [ -n "$other" ] || die "no worker is Ready"
    node_exec "$1" "hostname $other; hostname >/etc/hostname; sed -i '\$s/.*/$(cat "$(node_dir "$1")/address") $other/' /etc/hosts"
}
mend_name_of_another() { node_exec "$1" "hostname $1; hostname >/etc/hostname; sed -i '\$s/.*/$(cat "$(node_dir "$1")/address") $1/' /etc/hosts"; }

# Where the API should be, somebody else answers: with the same names and the cluster-info of an authority of its own.
break_ca_of_another() {
    local address
    address=$(net).2
    on_control_plane 'kubectl get --raw /api/v1/namespaces/kube-public/configmaps/cluster-info' >"$(node_dir "$1")/root/root/cluster-info"
    # shellcheck disable=SC2016
    node_exec "$1" '
        set -e
        mkdir -p /root/impostor/api/v1/namespaces/kube-public/configmaps
        cd /root/impostor
        openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=kubernetes -days 30 \
            -addext "subjectAltName=IP:'"$address"'" 2>/dev/null
        { printf "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"; sed "s#certificate-authority-data: [A-Za-z0-9+/=]*#certificate-authority-data: $(base64 -w0 cert.pem)#" /root/cluster-info; } \
            >api/v1/namespaces/kube-public/configmaps/cluster-info
        cp api/v1/namespaces/kube-public/configmaps/cluster-info "api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s"
        iptables -t nat -A OUTPUT -d '"$address"' -p tcp --dport 6443 -j REDIRECT --to-ports 6444
        systemd-run -q --collect --unit=impostor -p WorkingDirectory=/root/impostor openssl s_server -accept 6444 -cert cert.pem -key key.pem -HTTP -quiet'
    listens "$1" 6444
}
mend_ca_of_another() { node_exec "$1" "systemctl stop impostor; iptables -t nat -F OUTPUT; rm -r /root/impostor /root/cluster-info"; }

break_token_expired() { on_control_plane "echo expired >/root/tokens.d/$1"; }
mend_token_expired() { on_control_plane "rm /root/tokens.d/$1"; }

break_csr_denied() { on_control_plane "echo denied >/root/tokens.d/$1; systemctl is-active -q deny || systemd-run -q --collect --unit=deny sh /root/deny"; }
mend_csr_denied() {
    # shellcheck disable=SC2016
    on_control_plane "rm /root/tokens.d/$1; systemctl stop deny
        kubectl get csr -o go-template='{{range .items}}{{\$name := .metadata.name}}{{range .status.conditions}}{{if eq .type \"Denied\"}}{{\$name}} {{end}}{{end}}{{end}}' | xargs -r kubectl delete csr" >/dev/null
}

# flannel's pod cannot be started, because its image cannot be pulled: nobody writes the CNI configuration.
break_image_missing() { node_exec "$1" "ctr -n k8s.io images rm $flannel_images" >/dev/null; }
mend_image_missing() { import_images "$1"; }

# Nothing goes through the connection any more and nothing new comes up; the way to the API stays.
break_ssh_cut() { node_exec "$1" 'iptables -I INPUT -p tcp --dport 22 -j DROP; iptables -I OUTPUT -p tcp --sport 22 -j DROP'; }
mend_ssh_cut() { node_exec "$1" 'iptables -D INPUT -p tcp --dport 22 -j DROP; iptables -D OUTPUT -p tcp --sport 22 -j DROP'; }

# Every session ends at once, as when sshd's children are killed; the next login works.
break_ssh_hung_up() { node_exec "$1" 'for session in $(pgrep -f "^sshd: "); do [ "$(cat /proc/$session/comm)" != sshd ] || [ "$session" = "$(systemctl show -P MainPID ssh)" ] || kill -KILL "$session" 2>/dev/null || :; done'; }
mend_ssh_hung_up() { :; }
