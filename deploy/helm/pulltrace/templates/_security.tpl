{{- define "pulltrace.scheme" -}}
{{- ternary "https" "http" .Values.tls.enabled -}}
{{- end -}}

{{/* Whether the programs have a web configuration: "true" or empty. */}}
{{- define "pulltrace.secured" -}}
{{- if or .Values.tls.enabled .Values.basicAuth.enabled }}true{{ end -}}
{{- end -}}

{{- define "pulltrace.webConfigSecret" -}}
{{- $given := and .Values.basicAuth.enabled .Values.basicAuth.webConfigSecret -}}
{{- $given | default (printf "%s-web-config" (include "pulltrace.fullname" .)) -}}
{{- end -}}

{{/* Secret with the certificate of a component: root, component. */}}
{{- define "pulltrace.tlsSecret" -}}
{{- .root.Values.tls.existingSecret | default (printf "%s-%s-tls" (include "pulltrace.fullname" .root) .component) -}}
{{- end -}}

{{/* Secret with the certificate that Prometheus shows. */}}
{{- define "pulltrace.clientSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-prometheus-tls" (include "pulltrace.fullname" .)) -}}
{{- end -}}

{{/* Whether clients have to show a certificate: "true" or empty. */}}
{{- define "pulltrace.clientCertificates" -}}
{{- if and .Values.tls.enabled .Values.tls.clientCertificates }}true{{ end -}}
{{- end -}}

{{- define "pulltrace.webConfig" -}}
{{- if .Values.tls.enabled }}
tls_server_config:
  cert_file: /etc/pulltrace/tls/tls.crt
  key_file: /etc/pulltrace/tls/tls.key
  min_version: {{ .Values.tls.minVersion }}
  {{- if include "pulltrace.clientCertificates" . }}
  client_ca_file: /etc/pulltrace/tls/ca.crt
  client_auth_type: RequireAndVerifyClientCert
  {{- end }}
{{- end }}
{{- if .Values.basicAuth.enabled }}
basic_auth_users:
  {{- toYaml .Values.basicAuth.users | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pulltrace.httpConfig" -}}
{{- if .Values.tls.enabled }}
tls_config:
  ca_file: /etc/pulltrace/tls/ca.crt
  server_name: {{ include "pulltrace.exporter.serverName" . }}
  min_version: {{ .Values.tls.minVersion }}
  {{- if include "pulltrace.clientCertificates" . }}
  cert_file: /etc/pulltrace/tls/tls.crt
  key_file: /etc/pulltrace/tls/tls.key
  {{- end }}
{{- end }}
{{- if .Values.basicAuth.enabled }}
basic_auth:
  username_file: /etc/pulltrace/credentials/username
  password_file: /etc/pulltrace/credentials/password
{{- end }}
{{- end -}}

{{/* Mounts and volumes of what secures serving: root, component. Folders, not files: only these follow a change. */}}
{{- define "pulltrace.webMounts" -}}
{{- if include "pulltrace.secured" .root }}
- name: web-config
  mountPath: /etc/pulltrace/web
  readOnly: true
{{- end }}
{{- if .root.Values.tls.enabled }}
- name: tls
  mountPath: /etc/pulltrace/tls
  readOnly: true
{{- end }}
{{- end -}}

{{- define "pulltrace.webVolumes" -}}
{{- if include "pulltrace.secured" .root }}
- name: web-config
  secret:
    secretName: {{ include "pulltrace.webConfigSecret" .root }}
    defaultMode: 0440
{{- end }}
{{- if .root.Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "pulltrace.tlsSecret" . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* How Prometheus scrapes a component, in a monitor's words: root, component, serverName. */}}
{{- define "pulltrace.scrapeSecurity" -}}
scheme: {{ include "pulltrace.scheme" .root }}
{{- if .root.Values.tls.enabled }}
tlsConfig:
  ca:
    secret:
      name: {{ include "pulltrace.tlsSecret" . }}
      key: ca.crt
  serverName: {{ .serverName }}
  {{- if include "pulltrace.clientCertificates" .root }}
  cert:
    secret:
      name: {{ include "pulltrace.clientSecret" .root }}
      key: tls.crt
  keySecret:
    name: {{ include "pulltrace.clientSecret" .root }}
    key: tls.key
  {{- end }}
{{- end }}
{{- if .root.Values.basicAuth.enabled }}
basicAuth:
  username:
    name: {{ .root.Values.basicAuth.existingSecret }}
    key: username
  password:
    name: {{ .root.Values.basicAuth.existingSecret }}
    key: password
{{- end }}
{{- end -}}

{{/* What no schema can say. */}}
{{- define "pulltrace.validate" -}}
{{- $auth := .Values.basicAuth -}}
{{- if and $auth.enabled (not $auth.existingSecret) -}}
{{- fail "basicAuth.enabled needs basicAuth.existingSecret: a Secret with the keys username and password, which Prometheus and the aggregator present" -}}
{{- end -}}
{{- if and $auth.enabled (not $auth.users) (not $auth.webConfigSecret) -}}
{{- fail "basicAuth.enabled needs basicAuth.users (the bcrypt hash of each user's password) or basicAuth.webConfigSecret: nobody could come in" -}}
{{- end -}}
{{- if and $auth.users $auth.webConfigSecret -}}
{{- fail "basicAuth.users and basicAuth.webConfigSecret: only one of them can be used" -}}
{{- end -}}
{{- range $component := list "exporter" "aggregator" -}}
{{- range $field, $_ := (get $.Values.monitors $component).spec -}}
{{- if has $field (list "selector" "namespaceSelector" "sampleLimit" "podMetricsEndpoints" "endpoints") -}}
{{- fail (printf "monitors.%s.spec.%s is set by the chart: there are values for what can be changed of it" $component $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.clientCertificates (not .Values.tls.enabled) -}}
{{- fail "tls.clientCertificates needs tls.enabled" -}}
{{- end -}}
{{- if and .Values.exporter.kubeletIntents.directory (not .Values.exporter.kubeletIntents.enabled) -}}
{{- fail "exporter.kubeletIntents.directory is given, but exporter.kubeletIntents.enabled is false" -}}
{{- end -}}
{{- include "pulltrace.validateMounts" . -}}
{{- end -}}

{{/* Nothing of the node is mounted but two folders; a schema may be skipped. */}}
{{- define "pulltrace.validateMounts" -}}
{{- $socket := include "pulltrace.socket" . -}}
{{- if has (dir $socket) (list "/" ".") -}}
{{- fail (printf "exporter.containerd.socket=%s: the folder of the socket is mounted, and this would be the node's whole file system; the socket has to lie in a folder of its own" $socket) -}}
{{- end -}}
{{- $intents := include "pulltrace.intentsDirectory" . -}}
{{- if not (and (hasPrefix "/" $intents) (hasSuffix "/image_manager/pulling" $intents)) -}}
{{- fail (printf "exporter.kubeletIntents.directory=%s: the kubelet keeps its intents in image_manager/pulling of its own directory, and no other folder of it is mounted" $intents) -}}
{{- end -}}
{{- end -}}
