# Faults of a node that have one cause each, and the way back. break_KIND NAME returns when the fault shows, mend_KIND NAME
# when it is gone. Written for a worker that has joined (w), for a prepared node (p) or for a candidate (c, in change.sh).
# shellcheck shell=bash disable=SC2154,SC2317

cause_table='no-conflist            w  the CNI configuration is gone
single-plugin          w  one plugin, not a list, in a .conflist
placeholder            w  another network sorts before flannel'"'"'s
netd-remade            w  the directory was deleted and made anew: containerd watches the old one
bin-dir-empty          w  no plugin is where containerd looks
bin-dir-debian         w  containerd looks in /usr/lib/cni, as Debian configures it
plugin-directory       w  the plugin flannel is a directory
cri-off                w  the CRI plugin is disabled
cgroup-misplaced       w  SystemdCgroup stands outside its table
drop-in-deleted        w  the drop-in of kubeadm is gone
drop-in-no-section     w  the drop-in has no section header
flag-removed           w  a flag that the kubelet does not know any more
certificate-expired    w  the client certificate of the kubelet has expired
ca-replaced            w  another ca.crt than that of the cluster
forward-off            w  ip_forward is 0
etc-read-only          w  /etc is read-only
inodes-full            p  no inode is left for the kubelet
port-taken             p  somebody else listens on 10250
api-blocked            p  packets to the API vanish
ca-left                p  the ca.crt of another cluster is left
name-foreign           p  its own name leads to another machine
machine-id-copied      p  it has the machine-id of the first worker of the bench
drop-in-away           c  the drop-in of kubeadm is gone before the join
kubelet-conf-left      c  it was a worker once, and its Node is gone
swap-on                c  swap is on
kubeadm-runs           c  somebody joins it already
apt-runs               c  a package manager is at work
name-of-another        c  its host name is that of a Ready node
ca-of-another          c  another cluster answers where the API should be
token-expired          c  the token of the next join is gone when it is handed over
csr-denied             c  the request of the next join is denied
image-missing          c  the image of flannel cannot be pulled
ssh-cut                c  nothing gets through to its sshd, and nothing from it
ssh-hung-up            c  every session with its sshd ends at once'

list_causes() { echo "$cause_table"; }
has_cause() { grep -qE "^$1 " <<<"$cause_table"; }

# in_node NAME SECONDS CONDITION: wait for a condition of the node's own shell.
in_node() { within "$2" node_exec "$1" "$3" || die "$1: not within $2 s: $3"; }
network_is() { in_node "$1" 60 "crictl info 2>/dev/null | tr -d ' \n' | grep -q '\"type\":\"NetworkReady\",\"status\":$2'"; }
ready_is() { within 120 node_is "$(cat "$state/control-plane")" "$1" "$2" || die "$1: the API does not say Ready=$2"; }
# The kubelet says every ten seconds how it is; asked for, it says so at once after a restart.
kubelet_again() { node_exec "$1" 'systemctl restart kubelet'; }
containerd_again() { node_exec "$1" 'systemctl restart containerd' && in_node "$1" 30 'ctr version >/dev/null 2>&1'; }

break_no_conflist() { node_exec "$1" 'mv /etc/cni/net.d/10-flannel.conflist /root/; touch -d "1 hour ago" /etc/kubernetes/kubelet.conf'; network_is "$1" false; ready_is "$1" False; }
mend_no_conflist() { node_exec "$1" 'cp /root/10-flannel.conflist /etc/cni/net.d/.new && mv /etc/cni/net.d/.new /etc/cni/net.d/10-flannel.conflist'; network_is "$1" true; ready_is "$1" True; }

break_single_plugin() { node_exec "$1" 'cp /etc/cni/net.d/10-flannel.conflist /root/; echo "{ \"cniVersion\": \"0.3.1\", \"name\": \"cbr0\", \"type\": \"flannel\" }" >/etc/cni/net.d/10-flannel.conflist; touch -d "1 hour ago" /etc/kubernetes/kubelet.conf'; network_is "$1" false; ready_is "$1" False; }
mend_single_plugin() { mend_no_conflist "$1"; }

break_placeholder() {
    node_exec "$1" 'echo "{ \"cniVersion\": \"0.3.1\", \"name\": \"placeholder\", \"plugins\": [ { \"type\": \"bridge\", \"bridge\": \"cni0\", \"ipam\": { \"type\": \"host-local\", \"subnet\": \"10.244.0.0/16\" } } ] }" >/etc/cni/net.d/00-placeholder.conflist'
    in_node "$1" 20 'crictl info 2>/dev/null | grep -q placeholder'
}
mend_placeholder() { node_exec "$1" 'rm /etc/cni/net.d/00-placeholder.conflist'; in_node "$1" 20 '! crictl info 2>/dev/null | grep -q placeholder'; }

break_netd_remade() { node_exec "$1" 'cp /etc/cni/net.d/10-flannel.conflist /root/; rm -rf /etc/cni/net.d; sleep 0.5; mkdir /etc/cni/net.d; sleep 0.5; cp /root/10-flannel.conflist /etc/cni/net.d/; touch -d "1 hour ago" /etc/kubernetes/kubelet.conf'; network_is "$1" false; ready_is "$1" False; }
mend_netd_remade() { containerd_again "$1"; network_is "$1" true; ready_is "$1" True; }

break_bin_dir_empty() { node_exec "$1" 'mv /opt/cni/bin /opt/cni/moved; mkdir /opt/cni/bin'; }
mend_bin_dir_empty() { node_exec "$1" 'rmdir /opt/cni/bin; mv /opt/cni/moved /opt/cni/bin'; }

# change_containerd NAME COMMAND: keeps the configuration aside, changes it, and has the daemon read it.
change_containerd() { node_exec "$1" "cp -p /etc/containerd/config.toml /root/config.toml; $2"; containerd_again "$1"; }
unchange_containerd() { node_exec "$1" 'cp -p /root/config.toml /etc/containerd/config.toml; touch -d "1 hour ago" /etc/containerd/config.toml'; containerd_again "$1"; network_is "$1" true; ready_is "$1" True; }
break_bin_dir_debian() { change_containerd "$1" 'mkdir -p /usr/lib/cni; sed -i "s#bin_dir = .*#bin_dir = \"/usr/lib/cni\"#" /etc/containerd/config.toml; grep -q /usr/lib/cni /etc/containerd/config.toml'; }
mend_bin_dir_debian() { unchange_containerd "$1"; }
break_cri_off() { change_containerd "$1" 'sed -i "/^disabled_plugins/d; /^version/a disabled_plugins = [\"io.containerd.grpc.v1.cri\"]" /etc/containerd/config.toml; grep -q "^disabled_plugins" /etc/containerd/config.toml'; }
mend_cri_off() { unchange_containerd "$1"; kubelet_again "$1"; ready_is "$1" True; }
break_cgroup_misplaced() { change_containerd "$1" 'sed -i "/SystemdCgroup/d" /etc/containerd/config.toml; echo "SystemdCgroup = true" >>/etc/containerd/config.toml'; }
mend_cgroup_misplaced() { unchange_containerd "$1"; }

break_plugin_directory() { node_exec "$1" 'mv /opt/cni/bin/flannel /root/flannel; mkdir /opt/cni/bin/flannel'; }
mend_plugin_directory() { node_exec "$1" 'rmdir /opt/cni/bin/flannel; mv /root/flannel /opt/cni/bin/flannel'; }

drop_in=/usr/lib/systemd/system/kubelet.service.d
break_drop_in_deleted() { node_exec "$1" "mv $drop_in /root/; systemctl daemon-reload; systemctl restart kubelet"; listens "$1" 10255; }
mend_drop_in_deleted() { node_exec "$1" "rm -rf $drop_in; mv /root/kubelet.service.d $drop_in; systemctl daemon-reload; systemctl restart kubelet"; ready_is "$1" True; }
break_drop_in_no_section() { node_exec "$1" "cp -r $drop_in /root/; sed -i '/^\\[Service\\]/d' $drop_in/10-kubeadm.conf; systemctl daemon-reload; systemctl restart kubelet"; listens "$1" 10255; }
mend_drop_in_no_section() { mend_drop_in_deleted "$1"; }

# --allow-privileged went with 1.15.
break_flag_removed() { node_exec "$1" 'cp /etc/default/kubelet /root/default-kubelet; sed -i "s/=--/=--allow-privileged=true --/" /etc/default/kubelet; systemctl restart kubelet'; in_node "$1" 60 'test "$(systemctl show -P NRestarts kubelet)" -gt 0'; }
mend_flag_removed() { node_exec "$1" 'cp /root/default-kubelet /etc/default/kubelet; systemctl restart kubelet'; ready_is "$1" True; }

# Signed by the cluster's own authority would be better still; what is judged is the date.
break_certificate_expired() {
    node_exec "$1" '
        set -e
        cd /root && rm -rf old-ca && mkdir old-ca && cd old-ca
        touch index.txt && echo 01 >serial
        printf "[ca]\ndefault_ca=d\n[d]\ndir=.\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\norganizationName=supplied\ncommonName=supplied\n" >ca.cnf
        openssl req -newkey rsa:2048 -nodes -keyout key.pem -out req.pem -subj "/O=system:nodes/CN=system:node:$(hostname)" 2>/dev/null
        openssl ca -batch -selfsign -config ca.cnf -keyfile key.pem -in req.pem -out cert.pem -notext -startdate 20240101000000Z -enddate 20250101000000Z 2>/dev/null
        cd /var/lib/kubelet/pki
        cp -P kubelet-client-current.pem /root/current.link
        cat /root/old-ca/cert.pem /root/old-ca/key.pem >kubelet-client-2025-01-01-00-00-00.pem
        ln -sf /var/lib/kubelet/pki/kubelet-client-2025-01-01-00-00-00.pem kubelet-client-current.pem
        systemctl restart kubelet'
    in_node "$1" 60 'test "$(systemctl show -P NRestarts kubelet)" -gt 0'
}
mend_certificate_expired() { node_exec "$1" 'cp -P --remove-destination /root/current.link /var/lib/kubelet/pki/kubelet-client-current.pem; rm -f /var/lib/kubelet/pki/kubelet-client-2025-*; systemctl restart kubelet'; ready_is "$1" True; }

other_ca='openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=kubernetes -days 3650 -out /etc/kubernetes/pki/ca.crt 2>/dev/null'
break_ca_replaced() { node_exec "$1" "cp -p /etc/kubernetes/pki/ca.crt /root/ca.crt; $other_ca"; }
mend_ca_replaced() { node_exec "$1" 'cp -p /root/ca.crt /etc/kubernetes/pki/ca.crt'; }
break_ca_left() { node_exec "$1" "mkdir -p /etc/kubernetes/pki; $other_ca"; }
mend_ca_left() { node_exec "$1" 'rm -r /etc/kubernetes/pki'; }

break_forward_off() { node_exec "$1" 'sysctl -qw net.ipv4.ip_forward=0'; }
mend_forward_off() { node_exec "$1" 'sysctl -qw net.ipv4.ip_forward=1'; }

break_etc_read_only() { node_exec "$1" 'mount --bind /etc /etc && mount -o remount,ro,bind /etc'; }
mend_etc_read_only() { node_exec "$1" 'umount /etc'; }

# Its own small file system; it ends when the last inode is taken.
break_inodes_full() { node_exec "$1" 'mkdir -p /var/lib/kubelet; mount -t tmpfs -o size=4m,nr_inodes=40,mode=700 inodes /var/lib/kubelet; for n in $(seq 50); do touch /var/lib/kubelet/f$n 2>/dev/null || break; done'; }
mend_inodes_full() { node_exec "$1" 'umount /var/lib/kubelet'; }

break_port_taken() {
    node_exec "$1" 'printf "use IO::Socket::INET; my \$s = IO::Socket::INET->new(LocalPort => 10250, Listen => 1) or die; sleep 3600;" >/root/squatter
        systemd-run -q --unit=squatter perl /root/squatter'
    listens "$1" 10250
}
mend_port_taken() { node_exec "$1" 'systemctl stop squatter'; }

break_api_blocked() { node_exec "$1" 'iptables -I OUTPUT -p tcp --dport 6443 -j DROP'; }
mend_api_blocked() { node_exec "$1" 'iptables -D OUTPUT -p tcp --dport 6443 -j DROP'; }

break_name_foreign() { node_exec "$1" "cp /etc/hosts /root/hosts; echo '$(net).2 $1' >/etc/hosts"; }
mend_name_foreign() { node_exec "$1" 'cp /root/hosts /etc/hosts'; }

break_machine_id_copied() { node_exec "$1" 'cp /etc/machine-id /root/machine-id'; node_exec bench1 'cat /etc/machine-id' | node_exec "$1" 'cat >/etc/machine-id'; }
mend_machine_id_copied() { node_exec "$1" 'cat /root/machine-id >/etc/machine-id'; }
