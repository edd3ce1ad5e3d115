# ---- the control plane's view, through kubectl. Left out of the script for nodes that are known to be none.
ADMIN=/etc/kubernetes/admin.conf
if [ -e $ADMIN ] || [ -e /etc/kubernetes/manifests/kube-apiserver.yaml ]; then
  CP=,api-version,api-readyz,api-nodes,api-pods-system,api-flannel-cm,api-cluster-info,api-daemonsets,api-kubeadm-config,api-kubelet-config,api-csr,api-events,api-leases,api-rbac,api-pod-ips
fi
# kc ARG...: kubectl; its home is /proc, so it can cache nothing.
kc() { x kubectl --kubeconfig $ADMIN --request-timeout=${T2}s "$@"; }
# ka ID ARG...: a section of kubectl's text, when the API server answers at all.
ka() {
  I=$1
  shift
  r_=$X
  if [ $X = 0 ]; then kc "$@" 2>&1; r_=$?; fi
  t $r_ $I
}
api() {
  D=$T3 X=0
  [ -r $ADMIN ] || X=77
  w kubectl || X=127
  ka api-version get --raw /version
  # A server that refuses, hangs or knows us not does so every time.
  [ $r_ = 0 ] || X=$r_
  ka api-readyz get --raw '/readyz?verbose'
  m +8388608
  ka api-nodes get nodes -o 'go-template={{range .items}}node={{.metadata.name}}
created={{.metadata.creationTimestamp}}
{{with .metadata.deletionTimestamp}}deleted={{.}}
{{end}}{{range $k, $v := .metadata.labels}}{{if eq $k "node-role.kubernetes.io/control-plane" "node-role.kubernetes.io/master" "node-role.kubernetes.io/worker"}}role={{$k}}
{{end}}{{end}}{{with .spec}}{{with .podCIDR}}podCIDR={{.}}
{{end}}{{if .unschedulable}}unschedulable=true
{{end}}{{range .taints}}taint={{.key}} {{.effect}} {{with .value}}{{.}}{{end}}
{{end}}{{end}}{{with .status}}{{range .addresses}}address={{.type}} {{.address}}
{{end}}{{range .conditions}}condition={{.type}} {{.status}} {{.reason}} {{.lastTransitionTime}} {{.lastHeartbeatTime}}
{{$t := .type}}{{if ne (eq .type "Ready") (eq .status "True")}}{{with .message}}message={{$t}} {{printf "%q" .}}
{{end}}{{end}}{{end}}{{with .nodeInfo}}kubelet={{.kubeletVersion}}
kubeproxy={{.kubeProxyVersion}}
runtime={{.containerRuntimeVersion}}
kernel={{.kernelVersion}}
os={{printf "%q" .osImage}}
arch={{.architecture}}
machineID={{.machineID}}
systemUUID={{.systemUUID}}
bootID={{.bootID}}
{{end}}{{with .capacity}}pods={{.pods}}
{{end}}{{end}}{{range $k, $v := .metadata.annotations}}{{if eq $k "flannel.alpha.coreos.com/backend-data" "flannel.alpha.coreos.com/backend-type" "flannel.alpha.coreos.com/public-ip" "flannel.alpha.coreos.com/public-ip-overwrite" "flannel.alpha.coreos.com/kube-subnet-manager" "kubeadm.alpha.kubernetes.io/cri-socket"}}note={{$k}} {{printf "%q" $v}}
{{end}}{{end}}{{end}}'
  m +4194304
  if [ $X = 0 ]; then
    for p in kube-system kube-flannel; do
      kc get pods -n $p -o 'go-template={{define "c"}}{{.name}} {{.restartCount}} {{.ready}}{{range $k, $v := .state}} {{$k}} {{if eq $k "running"}}{{.startedAt}}{{else if eq $k "waiting"}}{{.reason}} {{with .message}}{{printf "%q" .}}{{end}}{{else}}{{.reason}} {{.exitCode}} {{.finishedAt}}{{end}}{{end}}
{{$n := .name}}{{with .lastState}}{{with .terminated}}last={{$n}} {{.reason}} {{.exitCode}} {{.finishedAt}}
{{end}}{{end}}{{end}}{{range .items}}pod={{.metadata.namespace}} {{.metadata.name}}
created={{.metadata.creationTimestamp}}
{{with .metadata.deletionTimestamp}}deleted={{.}}
{{end}}{{range .metadata.ownerReferences}}owner={{.kind}} {{.name}}
{{end}}{{with .spec}}{{with .nodeName}}node={{.}}
{{end}}{{if .hostNetwork}}hostNetwork=true
{{end}}{{range .containers}}image={{.name}} {{.image}}
{{end}}{{end}}{{with .status}}{{with .phase}}phase={{.}}
{{end}}{{with .reason}}reason={{.}}
{{end}}{{with .podIP}}ip={{.}}
{{end}}{{with .hostIP}}hostIP={{.}}
{{end}}{{range .conditions}}{{if ne .status "True"}}condition={{.type}} {{with .reason}}{{.}}{{else}}-{{end}} {{with .message}}{{printf "%q" .}}{{end}}
{{end}}{{end}}{{range .initContainerStatuses}}init={{template "c" .}}{{end}}{{range .containerStatuses}}container={{template "c" .}}{{end}}{{end}}{{end}}' 2>&1
      r_=$?
    done
    t $r_ api-pods-system
  else t $X api-pods-system; fi
  m '>J'
  ka api-flannel-cm get configmap -A --field-selector metadata.name=kube-flannel-cfg -o json
  m '>J'
  ka api-cluster-info get configmap -n kube-public cluster-info -o json
}
api2() {
  D=$T3 X=0
  [ -r $ADMIN ] || X=77
  w kubectl || X=127
  [ $X = 0 ] && { kc get --raw /version >/dev/null 2>&1 || X=$?; }
  m +1048576
  ka api-daemonsets get daemonsets -A -o 'go-template={{range .items}}daemonset={{.metadata.namespace}} {{.metadata.name}}
created={{.metadata.creationTimestamp}}
{{range $k, $v := .spec.selector.matchLabels}}match={{$k}} {{$v}}
{{end}}{{with .status}}desired={{.desiredNumberScheduled}}
current={{.currentNumberScheduled}}
ready={{.numberReady}}
{{with .numberAvailable}}available={{.}}
{{end}}{{with .updatedNumberScheduled}}updated={{.}}
{{end}}misscheduled={{.numberMisscheduled}}
{{end}}{{with .spec.template.spec}}{{range $k, $v := .nodeSelector}}selector={{$k}} {{$v}}
{{end}}{{if .affinity}}affinity=true
{{end}}{{range .tolerations}}toleration={{with .key}}{{.}}{{else}}-{{end}} {{with .operator}}{{.}}{{else}}-{{end}} {{with .effect}}{{.}}{{else}}-{{end}}
{{end}}{{range .containers}}image={{.name}} {{.image}}
{{range .args}}arg={{printf "%q" .}}
{{end}}{{end}}{{end}}{{end}}'
  for p in '' -1.19 -1.20 -1.21 -1.22 -1.23; do set -- "$@" "kubelet-config$p"; done
  m '>J'
  ka api-kubeadm-config get configmap -n kube-system --field-selector metadata.name=kubeadm-config -o json
  m '>J'
  ka api-kubelet-config get configmap -n kube-system --ignore-not-found -o json "$@"
  m +524288
  ka api-csr get csr -o 'go-template={{range .items}}csr={{.metadata.name}}
created={{.metadata.creationTimestamp}}
signer={{.spec.signerName}}
user={{.spec.username}}
{{with .status}}{{range .conditions}}condition={{.type}} {{.reason}}
{{end}}{{end}}{{end}}'
  if [ $X = 0 ]; then
    for p in type=Warning reason=SandboxChanged; do
      kc get events -A --field-selector $p -o 'go-template={{range .items}}{{if .lastTimestamp}}{{.lastTimestamp}}{{else}}{{.eventTime}}{{end}} {{with .count}}{{.}}{{else}}1{{end}} {{.metadata.namespace}} {{.involvedObject.kind}}/{{.involvedObject.name}} {{.reason}} {{with .source}}{{with .host}}{{.}}{{else}}-{{end}}{{else}}-{{end}} {{printf "%q" .message}}
{{end}}'
    done 2>&1 | sort | tail -n 300
    t 0 api-events
  else t $X api-events; fi
  ka api-leases get lease -n kube-system -o 'go-template={{range .items}}{{.metadata.namespace}} {{.metadata.name}} {{.spec.holderIdentity}} {{.spec.renewTime}}
{{end}}'
  if [ $X = 0 ]; then
    kc get clusterrolebinding,rolebinding -A -o 'go-template={{range .items}}{{.kind}} {{with .metadata.namespace}}{{.}}{{else}}-{{end}} {{.metadata.name}}
{{end}}' 2>&1 | grep ' kubeadm:'
    t 0 api-rbac
    V=$(kc get --raw '/api/v1/pods?limit=1' 2>/dev/null)
    case $V in *remainingItemCount\":*) V=${V##*remainingItemCount\":} V=${V%%[!0-9]*} ;; *) V=0 ;; esac
    if [ "$V" -gt 5000 ]; then t 66 api-pod-ips; else
      m +1048576
      ka api-pod-ips get pods -A -o 'go-template={{range .items}}{{if not .spec.hostNetwork}}{{if .status.podIP}}{{.spec.nodeName}} {{.status.podIP}} {{.metadata.namespace}}/{{.metadata.name}}
{{end}}{{end}}{{end}}'
    fi
  else
    t $X api-rbac
    t $X api-pod-ips
  fi
}
