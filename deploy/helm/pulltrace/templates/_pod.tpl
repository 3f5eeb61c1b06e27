{{/* Parts of both pods. Their argument is root, component and the component's values. */}}
{{- define "pulltrace.image" -}}
{{- $image := .values.image -}}
{{- $registry := .root.Values.global.imageRegistry | default $image.registry -}}
{{- $path := ternary $image.repository (printf "%s/%s" $registry $image.repository) (empty $registry) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path ($image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "pulltrace.pullSecrets" -}}
{{- range concat (.Values.global.imagePullSecrets | default list) (.Values.imagePullSecrets | default list) }}
- name: {{ ternary . (get (ternary (dict) . (kindIs "string" .)) "name") (kindIs "string" .) | quote }}
{{- end }}
{{- end -}}

{{- define "pulltrace.podMetadata" -}}
{{- $scheme := dict "prometheus.io/scheme" (include "pulltrace.scheme" .root) -}}
{{- $annotations := merge $scheme (.values.podAnnotations | default dict) (include "pulltrace.scrapeAnnotations" . | fromYaml) -}}
labels:
  {{- include "pulltrace.labels" (dict "root" .root "component" .component "more" .values.podLabels) | nindent 2 }}
annotations:
  {{- toYaml $annotations | nindent 2 }}
{{- end -}}

{{- define "pulltrace.scrapeAnnotations" -}}
{{- if .root.Values.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .values.port | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end -}}

{{/* Where the pod runs and how it ends. */}}
{{- define "pulltrace.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- if .values.dnsPolicy }}
dnsPolicy: {{ .values.dnsPolicy }}
{{- end }}
{{- if ne (toString .values.hostUsers) "auto" }}
hostUsers: {{ .values.hostUsers }}
{{- end }}
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The kubelet has no certificate to show: where one is asked for, it can only knock. */}}
{{- define "pulltrace.probes" -}}
{{- $values := .values -}}
{{- $root := .root -}}
{{- range $name, $path := dict "livenessProbe" "/-/healthy" "readinessProbe" "/-/ready" }}
{{- $asked := dict "httpGet" (dict "path" $path "port" "metrics" "scheme" (include "pulltrace.scheme" $root | upper)) }}
{{- if include "pulltrace.clientsAsked" $root }}
{{- $asked = dict "tcpSocket" (dict "port" "metrics") }}
{{- end }}
{{ $name }}:
  {{- merge $asked (get $values $name | default dict) | toYaml | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Flags given by name, as arguments: a switch is on or off, the rest has a value. */}}
{{- define "pulltrace.flags" -}}
{{- range $name, $value := .values.flags }}
{{- if kindIs "bool" $value }}
- --{{ ternary "" "no-" $value }}{{ $name }}
{{- else }}
- {{ printf "--%s=%s" $name (ternary (toString (int64 $value)) (toString $value) (kindIs "float64" $value)) | quote }}
{{- end }}
{{- end }}
{{- with .values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
