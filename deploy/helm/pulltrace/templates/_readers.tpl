{{/* Who may read either program, as peers of a NetworkPolicy: Prometheus, others, and the pod of `helm test`. */}}
{{- define "pulltrace.readers" -}}
{{- with concat (.Values.networkPolicy.prometheus | default list) (.Values.networkPolicy.extraIngressFrom | default list) }}
{{- toYaml . }}
{{- end }}
{{- with .Values.networkPolicy.scrapers }}
- namespaceSelector: {}
  podSelector:
    matchExpressions:
      - key: app.kubernetes.io/name
        operator: In
        values:
          {{- toYaml . | nindent 10 }}
{{- end }}
- podSelector:
    matchLabels:
      {{- include "pulltrace.selector" (dict "root" . "component" "test") | nindent 6 }}
{{- end -}}
