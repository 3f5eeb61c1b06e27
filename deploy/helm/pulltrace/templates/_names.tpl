{{/* Names. Those of components have 52 characters at most: a StatefulSet's pods get a label of the name and a hash. */}}
{{- define "pulltrace.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "pulltrace.fullname" -}}
{{- $name := include "pulltrace.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- include "pulltrace.cut" (.Values.fullnameOverride | default $full) -}}
{{- end -}}

{{/* At most 40 characters. What is cut off counts in a hash, for other releases may begin alike. */}}
{{- define "pulltrace.cut" -}}
{{- if gt (len .) 40 -}}
{{- printf "%s-%s" (trunc 31 . | trimSuffix "-") (sha256sum . | trunc 8) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- define "pulltrace.exporter.name" -}}
{{- include "pulltrace.fullname" . }}-exporter
{{- end -}}

{{- define "pulltrace.aggregator.name" -}}
{{- include "pulltrace.fullname" . }}-aggregator
{{- end -}}

{{- define "pulltrace.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "pulltrace.exporter.serviceAccount" -}}
{{- $given := .Values.exporter.serviceAccount -}}
{{- $given.name | default (ternary (include "pulltrace.exporter.name" .) "default" $given.create) -}}
{{- end -}}

{{- define "pulltrace.aggregator.serviceAccount" -}}
{{- $given := .Values.aggregator.serviceAccount -}}
{{- $given.name | default (ternary (include "pulltrace.aggregator.name" .) "default" $given.create) -}}
{{- end -}}

{{/* Namespace and name of the exporters' Service; empty when there is none to read. */}}
{{- define "pulltrace.exporterService" -}}
{{- if .Values.aggregator.exporterService -}}
{{- .Values.aggregator.exporterService -}}
{{- else if .Values.exporter.enabled -}}
{{- printf "%s/%s" (include "pulltrace.namespace" .) (include "pulltrace.exporter.name" .) -}}
{{- end -}}
{{- end -}}

{{/* Whether the aggregator knows of any exporter: "true" or empty. Arguments may name some, too. */}}
{{- define "pulltrace.readsExporters" -}}
{{- $given := printf "%s %s" (toYaml .Values.aggregator.extraArgs) (toYaml .Values.aggregator.extraEnv) -}}
{{- if or (include "pulltrace.exporterService" .) (contains "--exporter." $given) (contains "PULLTRACE_EXPORTER_" $given) }}true{{ end -}}
{{- end -}}

{{/* The names that certificates are made for. Pods are asked by address, and so these are what is compared. */}}
{{- define "pulltrace.exporter.serverName" -}}
{{- printf "%s.%s.svc" (include "pulltrace.exporter.name" .) (include "pulltrace.namespace" .) -}}
{{- end -}}

{{/* The one that the aggregator compares: of its exporters, whoever runs them. */}}
{{- define "pulltrace.askedServerName" -}}
{{- with .Values.aggregator.exporterService -}}
{{- printf "%s.%s.svc" (splitList "/" . | last) (splitList "/" . | first) -}}
{{- else -}}
{{- include "pulltrace.exporter.serverName" . -}}
{{- end -}}
{{- end -}}

{{- define "pulltrace.aggregator.serverName" -}}
{{- printf "%s.%s.svc" (include "pulltrace.aggregator.name" .) (include "pulltrace.namespace" .) -}}
{{- end -}}
