{{/* The rules with `rules.settings` in their places: root, text. `@name:s@` is a duration in seconds. */}}
{{- define "pulltrace.rulesText" -}}
{{- $rules := .root.Values.rules -}}
{{- $text := replace "@dashboards@" (trimSuffix "/" $rules.dashboardBaseUrl) .text -}}
{{- range $name, $value := $rules.settings -}}
{{- $text = replace (printf "@%s@" $name) (toString $value) $text -}}
{{- if kindIs "string" $value -}}
{{- $seconds := divf (include "pulltrace.milliseconds" $value | int64) 1000 -}}
{{- $text = replace (printf "@%s:s@" $name) (toString $seconds) $text -}}
{{- end -}}
{{- end -}}
{{- /* A setting that is null, or new since the values that are reused. */ -}}
{{- with regexFind "@[a-zA-Z]+(:s)?@" $text -}}
{{- fail (printf "rules.settings.%s is missing, and rules need it: values that are reused from an older chart lack it (--reset-then-reuse-values), and null takes the default away" (trimAll "@" . | trimSuffix ":s")) -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* A rule as the values want it: rule, given. Recording rules stay as they are. */}}
{{- define "pulltrace.rule" -}}
{{- $rule := deepCopy .rule -}}
{{- if $rule.alert -}}
{{- $change := get (.given.alerts | default dict) $rule.alert | default dict -}}
{{- if $change.for }}{{ $_ := set $rule "for" $change.for }}{{ end -}}
{{- if $change.keepFiringFor }}{{ $_ := set $rule "keep_firing_for" $change.keepFiringFor }}{{ end -}}
{{- $severity := ternary (dict "severity" $change.severity) (dict) (not (empty $change.severity)) -}}
{{- $_ := set $rule "labels" (merge (dict) $severity ($change.labels | default dict) (.given.alertLabels | default dict) ($rule.labels | default dict)) -}}
{{- $annotations := $rule.annotations | default dict -}}
{{- if and .given.runbookBaseUrl $annotations.runbook_url -}}
{{- $url := printf "%s/%s" (trimSuffix "/" .given.runbookBaseUrl) (splitList "/" $annotations.runbook_url | last) -}}
{{- $annotations = merge (dict "runbook_url" $url) $annotations -}}
{{- end -}}
{{- if not .given.dashboardBaseUrl }}{{ $annotations = omit $annotations "dashboard_url" }}{{ end -}}
{{- $_ := set $rule "annotations" (merge (dict) ($change.annotations | default dict) (.given.alertAnnotations | default dict) $annotations) -}}
{{- end -}}
{{- toYaml $rule -}}
{{- end -}}

{{/* The alerts of a program that this release lacks: they can never be true, or have to be. A release without either
     brings rules for programs elsewhere, and so all of them. */}}
{{- define "pulltrace.uselessAlerts" -}}
{{- $needs := .Files.Get "files/needs.yaml" | fromYaml -}}
{{- $aggregator := .Values.aggregator -}}
{{- $useless := list -}}
{{- if and .Values.exporter.enabled (not $aggregator.enabled) -}}
{{- $useless = $needs.aggregator -}}
{{- else if and $aggregator.enabled (not (include "pulltrace.readsExporters" .)) -}}
{{- $useless = $needs.exporter -}}
{{- end -}}
{{- toYaml $useless -}}
{{- end -}}
