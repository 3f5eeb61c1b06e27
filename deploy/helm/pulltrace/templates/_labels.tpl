{{/* What tells the pods of one component: the same in every variant, since selectors cannot be changed. */}}
{{- define "pulltrace.selector" -}}
app.kubernetes.io/name: {{ include "pulltrace.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "pulltrace.labels" -}}
{{- $own := dict
    "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
    "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_" | trunc 63 | trimSuffix "-")
    "app.kubernetes.io/managed-by" .root.Release.Service
    "app.kubernetes.io/part-of" "pulltrace" -}}
{{- $selector := include "pulltrace.selector" . | fromYaml -}}
{{- merge (dict) $selector (.more | default dict) (.root.Values.commonLabels | default dict) $own | toYaml -}}
{{- end -}}

{{/* Metadata of an object: root, component, name; optionally namespace, labels and annotations. */}}
{{- define "pulltrace.metadata" -}}
{{- $annotations := merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) -}}
name: {{ .name | quote }}
{{- if not .clusterWide }}
namespace: {{ .namespace | default (include "pulltrace.namespace" .root) | quote }}
{{- end }}
labels:
  {{- include "pulltrace.labels" (dict "root" .root "component" .component "more" .labels) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The label by which kube-prometheus-stack selects, and those given: root, given. */}}
{{- define "pulltrace.monitoringLabels" -}}
{{- $release := .root.Values.kubePrometheusStack.release -}}
{{- merge (dict) (.given | default dict) (ternary (dict "release" $release) (dict) (not (empty $release))) | toYaml -}}
{{- end -}}

{{/* "true" or empty: root, value. `auto` is on beside kube-prometheus-stack. */}}
{{- define "pulltrace.monitoringEnabled" -}}
{{- if eq (toString .value) "auto" -}}
{{- ternary "true" "" (not (empty .root.Values.kubePrometheusStack.release)) -}}
{{- else if .value -}}
true
{{- end -}}
{{- end -}}
