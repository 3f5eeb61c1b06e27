{{/* Where each distribution has containerd's socket and the kubelet's files. */}}
{{- define "pulltrace.runtimes" -}}
containerd: {socket: /run/containerd/containerd.sock, kubelet: /var/lib/kubelet}
k3s: {socket: /run/k3s/containerd/containerd.sock, kubelet: /var/lib/kubelet}
rke2: {socket: /run/k3s/containerd/containerd.sock, kubelet: /var/lib/kubelet}
k0s: {socket: /run/k0s/containerd.sock, kubelet: /var/lib/k0s/kubelet}
microk8s: {socket: /var/snap/microk8s/common/run/containerd.sock, kubelet: /var/snap/microk8s/common/var/lib/kubelet}
{{- end -}}

{{- define "pulltrace.socket" -}}
{{- $known := get (include "pulltrace.runtimes" . | fromYaml) .Values.runtime -}}
{{- .Values.exporter.containerd.socket | default $known.socket -}}
{{- end -}}

{{- define "pulltrace.intentsDirectory" -}}
{{- $known := get (include "pulltrace.runtimes" . | fromYaml) .Values.runtime -}}
{{- .Values.exporter.kubeletIntents.directory | default (printf "%s/image_manager/pulling" $known.kubelet) -}}
{{- end -}}
