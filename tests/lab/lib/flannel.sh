# flannel as a real cluster has it: its objects, and pods of it that run, because the images that cannot be pulled are made
# here and imported.
# shellcheck shell=bash disable=SC2154,SC2317

flannel_images='ghcr.io/flannel-io/flannel-cni-plugin:v1.6.0-flannel1 ghcr.io/flannel-io/flannel:v0.26.1'

# container_images WORK ROOT: busybox with what it is linked to and, above, what the pods of flannel call, as one archive for
# `ctr images import`. The sandbox's image has the name that containerd's configuration asks for.
container_images() {
    local tree=$1/image root=$2 library layer pause
    mkdir -p "$tree/bin" "$tree/opt/bin"
    cp "$root/bin/busybox" "$tree/bin/busybox"
    for library in $(chroot "$root" ldd /bin/busybox | grep -o '/lib[^ ]*'); do
        mkdir -p "$tree/$(dirname "$library")"
        cp -L "$root/$library" "$tree/$library"
    done
    for library in sh cp mv sleep chroot; do ln -s busybox "$tree/bin/$library"; done
    cp "$root/opt/cni/bin/bridge" "$tree/flannel"
    install -m 755 "$here/flanneld" "$tree/opt/bin/flanneld"
    tar --sort=name --mtime=@0 --owner=0 --group=0 -C "$tree" -cf "$1/layer.tar" .
    layer=$(sha256sum "$1/layer.tar" | cut -d' ' -f1)
    pause=$(sed -n 's/.*sandbox_image = "\(.*\)"/\1/p' "$root/etc/containerd/config.toml")
    printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/bin/sleep","1000000"],"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$(dpkg --print-architecture)" "$layer" >"$1/config.json"
    # shellcheck disable=SC2086 # one tag a word
    printf '[{"Config":"config.json","RepoTags":[%s],"Layers":["layer.tar"]}]' \
        "$(printf ',"%s"' "$pause" $flannel_images | cut -c2-)" >"$1/manifest.json"
    mkdir -p "$root/usr/local/lib/kubernetes"
    tar -C "$1" -cf "$root/usr/local/lib/kubernetes/images.tar" manifest.json config.json layer.tar
}

# A node on which pods run: its kubelet has control groups of its own, and no process may have its oom score lowered here.
pods_run() {
    sed -i 's/^KUBELET_EXTRA_ARGS=.*/KUBELET_EXTRA_ARGS=/' "$1/etc/default/kubelet"
    sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$1/etc/containerd/config.toml"
}
import_images() { node_exec "$1" 'ctr -n k8s.io images import /usr/local/lib/kubernetes/images.tar' >/dev/null || die "$1 takes no images"; }

prepare_candidate() { pods_run "$2"; }
finish_candidate() { import_images "$1"; }

# Its kubeadm keeps the tokens that it made, so that tests know what to look for (lib/change.sh).
prepare_flannel_control_plane() {
    prepare_control_plane "$@"
    pods_run "$2"
    keep_tokens "$2"
}
finish_flannel_control_plane() {
    import_images "$1"
    make_control_plane "$1"
    node_exec "$1" 'kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f -' <"$here/flannel.yaml" >/dev/null || die "$1 takes no flannel"
    within 60 node_exec "$1" 'test -s /run/flannel/subnet.env' || die "$1: flannel does not run"
    foreign_group "$1"
    mv "$state/join.new" "$state/join"
}
