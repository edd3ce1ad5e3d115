# Kubernetes' programs as the Debian packages of Kubernetes place them, and a control plane made of them.
# shellcheck shell=bash disable=SC2154

# A folder of programs, or one compressed executable that acts as each of them; a folder may also hold just that.
kubernetes_source=${SEAWORTHY_KUBERNETES:-}
if [ -d "$kubernetes_source" ] && [ ! -f "$kubernetes_source/kubeadm" ]; then
    kubernetes_source=$(find "$kubernetes_source" -maxdepth 1 -name '*.xz' | sort | tail -n 1)
    [ -n "$kubernetes_source" ] || die "SEAWORTHY_KUBERNETES is '$SEAWORTHY_KUBERNETES': no kubeadm and no .xz file in there"
elif [ -n "$kubernetes_source" ] && [ ! -e "$kubernetes_source" ]; then
    die "SEAWORTHY_KUBERNETES is '$kubernetes_source': there is nothing of that name"
fi
kubernetes_version=1.20.2

has_kubernetes() { [ -n "$kubernetes_source" ]; }

# The recipe, what it stands on, and the programs themselves (by size and time: they are large).
kubernetes_image() {
    local stamp
    stamp=$({ base_stamp; declare -f fill_kubernetes kubernetes_package container_images; cat "$here/flanneld"; find -L "$kubernetes_source" -type f -printf '%f %s %T@\n' | sort; } |
        sha256sum | cut -c1-16)
    echo "$cache/kubernetes-$stamp"
}

# kubernetes_package NAME ROOT: make and install a package of the tree in $work/NAME.
kubernetes_package() {
    local tree=$work/$1
    mkdir -p "$tree/DEBIAN"
    printf 'Package: %s\nVersion: %s-00\nArchitecture: %s\nMaintainer: the lab <root@localhost>\nDescription: %s for the lab\n' \
        "$1" "$kubernetes_version" "$(dpkg --print-architecture)" "$1" >"$tree/DEBIAN/control"
    (cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
    dpkg-deb -Znone --root-owner-group -b "$tree" "$2/tmp/$1.deb" >/dev/null
    chroot "$2" dpkg -i --force-depends "/tmp/$1.deb"
    rm "$2/tmp/$1.deb"
}

fill_kubernetes() {
    local work=$1 root=$1/merged program
    mkdir "$work/tree" "$work/upper-work" "$root" "$work/programs"
    mount -t overlay build -o "lowerdir=$(base_image),upperdir=$work/tree,workdir=$work/upper-work" "$root"
    for program in kubeadm kubelet kubectl crictl kube-apiserver kube-controller-manager kube-scheduler; do
        if [ -d "$kubernetes_source" ]; then
            cp -L "$kubernetes_source/$program" "$work/programs/$program"
        elif [ -f "$work/programs/kubeadm" ]; then
            ln "$work/programs/kubeadm" "$work/programs/$program"
        else
            xz -dc "$kubernetes_source" >"$work/programs/$program"
        fi
        chmod 755 "$work/programs/$program"
    done

    mkdir -p "$work"/{kubelet,kubeadm,kubectl,cri-tools}/usr/bin "$work/kubelet/usr/lib/systemd/system" "$work"/kubelet/{etc/kubernetes/manifests,var/lib/kubelet} \
        "$work/kubeadm/usr/lib/systemd/system/kubelet.service.d"
    ln "$work/programs/kubelet" "$work/kubelet/usr/bin/"
    ln "$work/programs/kubeadm" "$work/kubeadm/usr/bin/"
    ln "$work/programs/kubectl" "$work/kubectl/usr/bin/"
    ln "$work/programs/crictl" "$work/cri-tools/usr/bin/"
    # 1.20 takes docker for granted; a bare kubelet of today takes containerd.
    cat >"$work/kubelet/usr/lib/systemd/system/kubelet.service" <<'UNIT'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/home/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet --container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock --cgroups-per-qos=false --enforce-node-allocatable=
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
UNIT
    cat >"$work/kubeadm/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf" <<'UNIT'
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# This is a file that "kubeadm init" and "kubeadm join" generates at runtime, populating the KUBELET_KUBEADM_ARGS variable dynamically
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
# This is a file that the user can use for overrides of the kubelet args as a last resort.
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
UNIT
    for program in kubelet kubectl cri-tools kubeadm; do kubernetes_package "$program" "$root"; done
    mkdir -p "$root/usr/local/lib/kubernetes"
    for program in kube-apiserver kube-controller-manager kube-scheduler kubeadm; do
        cp "$work/programs/$program" "$root/usr/local/lib/kubernetes/$program"
    done
    chroot "$root" systemctl enable -q kubelet.service
    # Nodes share the machine's control groups; these two would have a kubelet arrange them as if it were alone.
    echo 'KUBELET_EXTRA_ARGS=--cgroups-per-qos=false --enforce-node-allocatable=' >"$root/etc/default/kubelet"
    printf 'runtime-endpoint: unix:///run/containerd/containerd.sock\ntimeout: 5\n' >"$root/etc/crictl.yaml"
    # A flannel plugin that is there, as on a node that flannel was rolled out to; no test calls it.
    cp "$root/opt/cni/bin/bridge" "$root/opt/cni/bin/flannel"
    container_images "$work" "$root"
    umount "$root"
    # One file under several names, as it came.
    if [ -f "$kubernetes_source" ]; then
        for program in bin/kubeadm bin/kubectl bin/crictl local/lib/kubernetes/kube-apiserver \
            local/lib/kubernetes/kube-controller-manager local/lib/kubernetes/kubeadm local/lib/kubernetes/kube-scheduler; do
            ln -f "$work/tree/usr/bin/kubelet" "$work/tree/usr/$program"
        done
    fi
}

# A control plane whose parts are units, because images cannot be pulled; everything else is kubeadm's own work.
prepare_control_plane() {
    local root=$2 address
    address=$(cat "$(node_dir "$1")/address")
    flannel_conflist >"$root/etc/cni/net.d/10-flannel.conflist"
    mkdir -p "$root/etc/kubernetes"
    cat >"$root/etc/kubernetes/kubeadm.yaml" <<CONF
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint: { advertiseAddress: $address, bindPort: 6443 }
nodeRegistration: { name: $1, criSocket: /run/containerd/containerd.sock }
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v$kubernetes_version
controlPlaneEndpoint: $address:6443
networking: { podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12 }
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
CONF
    local bin=/usr/local/lib/kubernetes pki=/etc/kubernetes/pki
    control_unit "$root" lab-etcd "/usr/bin/etcd --name=$1 --data-dir=/var/lib/etcd --listen-client-urls=https://127.0.0.1:2379 \
--advertise-client-urls=https://127.0.0.1:2379 --listen-peer-urls=https://127.0.0.1:2380 --client-cert-auth --unsafe-no-fsync \
--cert-file=$pki/etcd/server.crt --key-file=$pki/etcd/server.key --trusted-ca-file=$pki/etcd/ca.crt \
--peer-cert-file=$pki/etcd/peer.crt --peer-key-file=$pki/etcd/peer.key --peer-trusted-ca-file=$pki/etcd/ca.crt"
    control_unit "$root" kube-apiserver "$bin/kube-apiserver --advertise-address=$address --allow-privileged=true \
--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true --client-ca-file=$pki/ca.crt \
--etcd-servers=https://127.0.0.1:2379 --etcd-cafile=$pki/etcd/ca.crt --etcd-certfile=$pki/apiserver-etcd-client.crt \
--etcd-keyfile=$pki/apiserver-etcd-client.key --kubelet-client-certificate=$pki/apiserver-kubelet-client.crt \
--kubelet-client-key=$pki/apiserver-kubelet-client.key --service-account-issuer=https://kubernetes.default.svc.cluster.local \
--service-account-key-file=$pki/sa.pub --service-account-signing-key-file=$pki/sa.key --service-cluster-ip-range=10.96.0.0/12 \
--tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key --requestheader-client-ca-file=$pki/front-proxy-ca.crt \
--requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
--requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
--proxy-client-cert-file=$pki/front-proxy-client.crt --proxy-client-key-file=$pki/front-proxy-client.key"
    control_unit "$root" kube-controller-manager "$bin/kube-controller-manager --kubeconfig=/etc/kubernetes/controller-manager.conf \
--authentication-kubeconfig=/etc/kubernetes/controller-manager.conf --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf \
--client-ca-file=$pki/ca.crt --cluster-signing-cert-file=$pki/ca.crt --cluster-signing-key-file=$pki/ca.key --root-ca-file=$pki/ca.crt \
--service-account-private-key-file=$pki/sa.key --controllers=*,bootstrapsigner,tokencleaner --use-service-account-credentials=true \
--allocate-node-cidrs=true --cluster-cidr=10.244.0.0/16 --leader-elect=false"
    control_unit "$root" kube-scheduler "$bin/kube-scheduler --kubeconfig=/etc/kubernetes/scheduler.conf --leader-elect=false"
}

control_unit() {
    printf '[Unit]\nDescription=%s of the lab\n[Service]\nExecStart=%s\nRestart=on-failure\nRestartSec=1\n' "$2" "$3" \
        >"$1/etc/systemd/system/$2.service"
}

# On the running node. The manifests of the static pods are written as on any control plane, and the kubelet is told not
# to run them. flannel's own objects are not applied: the other states' nodes run no pods, and a cluster that says it runs
# flannel and does not would be a fault of every node. The mark of a finished control plane is the join command in the lab's
# state.
finish_control_plane() {
    make_control_plane "$1"
    flannel_runs "$1"
    mv "$state/join.new" "$state/join"
}

make_control_plane() {
    node_exec "$1" '
        set -e
        config=/etc/kubernetes/kubeadm.yaml
        export KUBECONFIG=/etc/kubernetes/admin.conf
        kubeadm init phase certs all --config $config
        kubeadm init phase kubeconfig all --config $config
        systemctl start lab-etcd kube-apiserver kube-controller-manager kube-scheduler
        for try in $(seq 300); do kubectl get --raw /readyz 2>/dev/null && break; sleep 0.2; done
        kubeadm init phase etcd local --config $config
        kubeadm init phase control-plane all --config $config
        kubeadm init phase upload-config kubeadm --config $config
        kubeadm init phase kubelet-start --config $config
        sed -i /staticPodPath/d /var/lib/kubelet/config.yaml
        systemctl restart kubelet
        for try in $(seq 300); do kubectl get node "$(hostname)" 2>/dev/null && break; sleep 0.2; done
        kubeadm init phase upload-config kubelet --config $config
        kubeadm init phase mark-control-plane --config $config
        kubeadm init phase bootstrap-token --config $config
    ' >"$(node_dir "$1")/control-plane.log" 2>&1 || die "$1: no control plane: $(tail -n 5 "$(node_dir "$1")/control-plane.log")"
    within 60 node_is "$1" "$1" True || die "$1 does not become Ready"
    node_exec "$1" 'KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token create --print-join-command' 2>/dev/null >"$state/join.new"
    echo "$1" >"$state/control-plane"
}

# node_is CONTROL-PLANE NODE STATUS: what the API says of a Node's Ready condition.
node_is() {
    local said
    said=$(node_exec "$1" "kubectl --kubeconfig /etc/kubernetes/admin.conf get node $2 -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}'")
    [ "$said" = "$3" ]
}

# Joins as a user would. SystemVerification complains about this kernel's configuration and about nothing else.
join_node() {
    within 180 test -s "$state/join" || die "$1 needs a node in the state 'control-plane'"
    node_exec "$1" "$(cat "$state/join") --ignore-preflight-errors=SystemVerification" >"$(node_dir "$1")/join.log" 2>&1 ||
        die "$1 does not join: $(tail -n 5 "$(node_dir "$1")/join.log")"
    within 60 node_is "$(cat "$state/control-plane")" "$1" "$2" || die "$1: the API does not say Ready=$2"
}

# What a running flannel leaves on its node: the subnet file and the tunnel. Nothing is sent through it.
flannel_runs() {
    local cidr
    cidr=$(node_exec "$(cat "$state/control-plane")" "kubectl --kubeconfig /etc/kubernetes/admin.conf get node $1 -o jsonpath='{.spec.podCIDR}'")
    [ -n "$cidr" ] || die "$1 has no podCIDR"
    node_exec "$1" "
        mkdir -p /run/flannel
        printf 'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=${cidr%.0/24}.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n' >/run/flannel/subnet.env
        ip link add flannel.1 mtu 1450 type vxlan id 1 local $(cat "$(node_dir "$1")/address") dev host0 dstport 8472 nolearning
        ip addr add ${cidr%/24}/32 dev flannel.1
        ip link set flannel.1 up"
}

prepare_ready() { flannel_conflist >"$2/etc/cni/net.d/10-flannel.conflist"; }
finish_ready() { join_node "$1" True && flannel_runs "$1"; }
# As if the join lay an hour back: in its first minutes a node without CNI configuration is no fault.
finish_not_ready() {
    join_node "$1" False
    node_exec "$1" "touch -d '1 hour ago' /etc/kubernetes/kubelet.conf"
}
