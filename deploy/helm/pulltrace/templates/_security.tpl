{{/* Whether the programs serve over TLS: "true" or empty. Monitors and certificates go by `tls.enabled` alone. */}}
{{- define "pulltrace.tlsServed" -}}
{{- /* Values that are reused from an older chart have no `serve`. */ -}}
{{- if and .Values.tls.enabled (ne (toString .Values.tls.serve) "false") }}true{{ end -}}
{{- end -}}

{{- define "pulltrace.scheme" -}}
{{- ternary "https" "http" (eq (include "pulltrace.tlsServed" .) "true") -}}
{{- end -}}

{{/* Whether the programs have a web configuration: "true" or empty. */}}
{{- define "pulltrace.secured" -}}
{{- if or (include "pulltrace.tlsServed" .) .Values.basicAuth.enabled }}true{{ end -}}
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

{{/* Whether clients have a certificate to show: "true" or empty. */}}
{{- define "pulltrace.clientCertificates" -}}
{{- if and .Values.tls.enabled .Values.tls.clientCertificates }}true{{ end -}}
{{- end -}}

{{/* Whether the programs ask for it: "true" or empty. */}}
{{- define "pulltrace.clientsAsked" -}}
{{- if and (include "pulltrace.tlsServed" .) .Values.tls.clientCertificates }}true{{ end -}}
{{- end -}}

{{- define "pulltrace.webConfig" -}}
{{- if include "pulltrace.tlsServed" . }}
tls_server_config:
  cert_file: /etc/pulltrace/tls/tls.crt
  key_file: /etc/pulltrace/tls/tls.key
  min_version: {{ .Values.tls.minVersion }}
  {{- if include "pulltrace.clientsAsked" . }}
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
{{- if include "pulltrace.tlsServed" . }}
tls_config:
  ca_file: /etc/pulltrace/tls/ca.crt
  server_name: {{ include "pulltrace.askedServerName" . }}
  min_version: {{ .Values.tls.minVersion }}
  {{- if include "pulltrace.clientsAsked" . }}
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
{{- if include "pulltrace.tlsServed" .root }}
- name: tls
  mountPath: /etc/pulltrace/tls
  readOnly: true
{{- end }}
{{- end -}}

{{- define "pulltrace.webVolumes" -}}
{{- if include "pulltrace.secured" .root }}
- name: web-config
  secret:
    secretName: {{ include "pulltrace.webConfigSecret" .root | quote }}
    defaultMode: 0440
{{- end }}
{{- if include "pulltrace.tlsServed" .root }}
- name: tls
  secret:
    secretName: {{ include "pulltrace.tlsSecret" . | quote }}
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
      name: {{ include "pulltrace.tlsSecret" . | quote }}
      key: ca.crt
  serverName: {{ .serverName }}
  {{- if include "pulltrace.clientCertificates" .root }}
  cert:
    secret:
      name: {{ include "pulltrace.clientSecret" .root | quote }}
      key: tls.crt
  keySecret:
    name: {{ include "pulltrace.clientSecret" .root | quote }}
    key: tls.key
  {{- end }}
{{- end }}
{{- if .root.Values.basicAuth.enabled }}
basicAuth:
  username:
    name: {{ .root.Values.basicAuth.existingSecret | quote }}
    key: username
  password:
    name: {{ .root.Values.basicAuth.existingSecret | quote }}
    key: password
{{- end }}
{{- end -}}

{{/* Each pod says by which scheme it serves: in the middle of an update some serve over TLS and some do not. */}}
{{- define "pulltrace.schemeRelabeling" -}}
- sourceLabels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme]
  regex: (https?)
  targetLabel: __scheme__
  action: replace
{{- end -}}
