# The states that a node can start in. prepare_STATE NAME ROOT edits its files before it boots, finish_STATE NAME does
# the rest on the running node; either may be missing. Where Kubernetes is at hand, most states
# stand on a node with its packages.
# shellcheck shell=bash disable=SC2154,SC2317

state_table='plain               Debian with containerd and nothing of Kubernetes
prepared            kubelet, kubeadm and crictl installed, not joined: the kubelet fails every 10 s, as it must
standalone       K  the storage node at 13:41: no drop-in, so the kubelet runs alone while a join waits for it
reset            K  the same after kubeadm reset: no CNI configuration, back at "prepared"
containerd-stopped  containerd is installed and not running
cri-disabled        containerd runs without its CRI plugin, as the package of docker.com configures it
read-only           /var/lib/kubelet lies on a file system that is mounted read-only
full                /var/lib/containerd lies on a file system without a free byte
sudo                users ops (sudo with a password), deploy (sudo without), guest (no sudo); no login as root
bastion             a second leg in the network that holds "behind"
behind              in a network that only the bastion has a leg in, and this machine has none
changed-key         the known key of this host is another one than it presents
noisy               a banner before the login, and a shell that prints escape sequences and half a line
hung-shell          a login shell that never runs the command that it is given
hung-fuse           a FUSE file system on /mnt/never whose server never answers: statfs waits for ever
vm                  Debian 13 in a machine of its own (qemu): a kernel, a clock, swap and NFS that no other node shares
control-plane    K  etcd and the control plane as units, an API that answers, a Ready Node of its own
ready            K  a worker that kubeadm join brought in: Ready
not-ready        K  the same without CNI configuration: NotReady
candidate        K  prepared, and pods will run on it: those of flannel among them
flannel-control-plane K  the same, and flannel runs on it from its objects'

list_states() { echo "$state_table"; }

# Known, and possible here.
has_state() {
    local line
    line=$(grep -E "^$1 " <<<"$state_table") || return 1
    case $line in *" K "*) has_kubernetes || die "state '$1' needs SEAWORTHY_KUBERNETES" ;; esac
    case $1 in vm) require_vm ;; esac
}

# The states that are about the way to a node, or that are compared before and after, stay without: a prepared node's
# kubelet starts and fails for ever.
wants_kubernetes() {
    case $1 in plain | bastion | behind | changed-key | sudo | hung-shell | hung-fuse) return 1 ;; esac
    has_kubernetes
}

prepare_state() { run_step "prepare_${1//-/_}" "${@:2}"; }
finish_state() { run_step "finish_${1//-/_}" "${@:2}"; }
run_step() { if declare -F "$1" >/dev/null; then "$@"; fi; }

# What a join leaves by the time that it waits for the kubelet, and the drop-in that is not there.
prepare_standalone() {
    local root=$2
    rm "$root/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
    rmdir "$root/usr/lib/systemd/system/kubelet.service.d"
    mkdir -p "$root/etc/kubernetes/pki" "$root/var/lib/kubelet"
    chroot "$root" openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=kubernetes -days 3650 \
        -out /etc/kubernetes/pki/ca.crt 2>/dev/null
    (
        umask 077
        cat >"$root/etc/kubernetes/bootstrap-kubelet.conf" <<CONF
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: $(base64 -w0 "$root/etc/kubernetes/pki/ca.crt")
    server: https://$(net).2:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: tls-bootstrap-token-user
  name: tls-bootstrap-token-user@kubernetes
current-context: tls-bootstrap-token-user@kubernetes
kind: Config
preferences: {}
users:
- name: tls-bootstrap-token-user
  user:
    token: abcdef.0123456789abcdef
CONF
    )
    cat >"$root/var/lib/kubelet/config.yaml" <<'CONF'
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
authorization:
  mode: Webhook
cgroupDriver: systemd
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
kind: KubeletConfiguration
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
CONF
    echo 'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock --pod-infra-container-image=registry.k8s.io/pause:3.9"' \
        >"$root/var/lib/kubelet/kubeadm-flags.env"
    flannel_conflist >"$root/etc/cni/net.d/10-flannel.conflist"
}
finish_standalone() { listens "$1" 10255; }

flannel_conflist() {
    cat <<'CONF'
{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    { "type": "flannel", "delegate": { "hairpinMode": true, "isDefaultGateway": true } },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
CONF
}

listens() { within 60 node_exec "$1" "ss -Hltn sport = :$2 | grep -q ." || die "$1: nothing listens on port $2"; }

# A real reset, then what its own last words ask for, and the drop-in from its package again.
prepare_reset() { prepare_standalone "$@"; }
finish_reset() {
    finish_standalone "$1"
    (cd "$(kubernetes_image)" && cp -r --parents usr/lib/systemd/system/kubelet.service.d "$(node_dir "$1")/root/")
    node_exec "$1" 'kubeadm reset -f >/dev/null 2>&1; rm -f /etc/cni/net.d/*; systemctl daemon-reload; systemctl start kubelet'
}

prepare_containerd_stopped() { rm "$2/etc/systemd/system/multi-user.target.wants/containerd.service"; }

prepare_cri_disabled() { echo 'disabled_plugins = ["cri"]' >"$2/etc/containerd/config.toml"; }

prepare_read_only() {
    mkdir -p "$2/var/lib/kubelet"
    echo 'tmpfs /var/lib/kubelet tmpfs ro,size=16m 0 0' >>"$2/etc/fstab"
}

# Its own small file system below the node's /var/lib/containerd. Filled after the boot, because containerd does not start
# on a full one, and a running one is the usual case; the count is there so that a mistake never fills this machine.
prepare_full() { mount -t tmpfs -o size=32m,mode=711 full "$(node_dir "$1")/containerd"; }
finish_full() {
    node_exec "$1" 'dd if=/dev/zero of=/var/lib/containerd/ballast bs=64k count=520 2>/dev/null
        test "$(df --output=avail /var/lib/containerd | tail -n 1)" -eq 0' || die "$1: its file system is not full"
}

# The password is the lab's own and random; `lab inventory` does not show it, it lies beside the key.
prepare_sudo() {
    local root=$2 user
    [ -f "$state/password" ] || (umask 077 && head -c 12 /dev/urandom | base64 | tr -d '/+=' >"$state/password")
    for user in ops deploy guest; do
        chroot "$root" useradd -m -s /bin/bash "$user"
        mkdir -m 700 "$root/home/$user/.ssh"
        install -m 600 "$state/key.pub" "$root/home/$user/.ssh/authorized_keys"
        chroot "$root" chown -R "$user:$user" "/home/$user/.ssh"
    done
    echo "ops:$(cat "$state/password")" | chroot "$root" chpasswd
    echo "guest:$(cat "$state/password")" | chroot "$root" chpasswd
    printf 'ops ALL=(ALL) ALL\ndeploy ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/lab"
    rm "$root/root/.ssh/authorized_keys"
    echo 'ansible_user: ops' >"$(node_dir "$1")/vars"
}

prepare_bastion() { cat "$(node_dir "$1")/address" >"$state/bastion"; }
# systemd-nspawn makes one bridged link by itself; the second leg is put into the running node.
finish_bastion() {
    ip link add "swx-$lab_name" type veth peer name inner0 netns "$(node_leader "$1")"
    ip link set "swx-$lab_name" master "$inner_bridge" up
    node_exec "$1" "ip addr add $(inner_net).1/24 dev inner0 && ip link set inner0 up"
}

prepare_behind() {
    within "$boot_deadline" test -s "$state/bastion" || die "$1 needs a node in the state 'bastion'"
    cat "$state/bastion" >"$(node_dir "$1")/jump"
}

prepare_changed_key() {
    rm "$2"/etc/ssh/ssh_host_ed25519_key*
    ssh-keygen -q -t ed25519 -N '' -C "root@$1" -f "$2/etc/ssh/ssh_host_ed25519_key"
}

prepare_noisy() {
    local root=$2
    printf '*** Authorised use only. Everything is recorded. ***\n' >"$root/etc/issue.net"
    echo 'Banner /etc/issue.net' >"$root/etc/ssh/sshd_config.d/banner.conf"
    # Debian's bash reads .bashrc for commands over ssh too, before the usual test for an interactive shell.
    { printf '%s\n' 'printf "\\033[31mWelcome to %s\\033[0m\\a\\n" "$(hostname)"' 'kubectl-not-here 1>&2' 'printf "no newline at the end"'; cat "$root/root/.bashrc"; } >"$root/root/.bashrc.new"
    mv "$root/root/.bashrc.new" "$root/root/.bashrc"
    printf '%s\n' 'echo "profile says hello"' >>"$root/root/.profile"
}

prepare_hung_shell() { echo 'exec sleep 100000' >"$2/root/.bashrc"; }

# perl is on every Debian. It opens the device, mounts it (165 is mount on x86-64, 40 on arm64) and never reads a request:
# the first statfs waits for the answer to a handshake that nobody reads.
prepare_hung_fuse() {
    local root=$2
    mkdir -p "$root/mnt/never"
    cat >"$root/usr/local/sbin/never-answers" <<'PERL'
#!/usr/bin/perl
use strict;
open(my $device, '+<', '/dev/fuse') or die "fuse: $!";
my ($source, $point, $type) = ('never', '/mnt/never', 'fuse');
my $options = 'fd=' . fileno($device) . ',rootmode=40000,user_id=0,group_id=0';
my $mount = (`uname -m` =~ /aarch64/) ? 40 : 165;
syscall($mount, $source, $point, $type, 0, $options) == 0 or die "mount: $!";
sleep 3600 while 1;
PERL
    chmod +x "$root/usr/local/sbin/never-answers"
    cat >"$root/etc/systemd/system/never-answers.service" <<'UNIT'
[Unit]
Description=A FUSE server that never answers
[Service]
ExecStart=/usr/local/sbin/never-answers
[Install]
WantedBy=multi-user.target
UNIT
    chroot "$root" systemctl enable -q never-answers.service
}
finish_hung_fuse() { within 20 node_exec "$1" 'grep -q " /mnt/never " /proc/self/mountinfo' || die "$1: nothing is mounted on /mnt/never"; }
