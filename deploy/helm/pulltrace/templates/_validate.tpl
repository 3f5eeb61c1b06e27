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
{{- if and (or $auth.users $auth.webConfigSecret) (not $auth.enabled) -}}
{{- fail "basicAuth.users or basicAuth.webConfigSecret is given, but basicAuth.enabled is false: everybody could come in" -}}
{{- end -}}
{{- range $component := list "exporter" "aggregator" -}}
{{- range $field, $_ := (get $.Values.monitors $component).spec -}}
{{- if has $field (list "selector" "namespaceSelector" "sampleLimit" "podMetricsEndpoints" "endpoints") -}}
{{- fail (printf "monitors.%s.spec.%s is set by the chart: there are values for what can be changed of it" $component $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $component := list "exporter" "aggregator" -}}
{{- range $field, $_ := (get $.Values.monitors $component).endpoint -}}
{{- if has $field (list "port" "path" "interval" "scrapeTimeout" "honorLabels" "scheme" "tlsConfig" "basicAuth" "relabelings" "metricRelabelings") -}}
{{- fail (printf "monitors.%s.endpoint.%s is set by the chart: there are values for what can be changed of it" $component $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.clientCertificates (not .Values.tls.enabled) -}}
{{- fail "tls.clientCertificates needs tls.enabled" -}}
{{- end -}}
{{- if and .Values.tls.existingSecret (not .Values.tls.enabled) -}}
{{- fail "tls.existingSecret is given, but tls.enabled is false: nothing would be encrypted" -}}
{{- end -}}
{{- if and (eq (toString .Values.tls.serve) "false") (not .Values.tls.enabled) -}}
{{- fail "tls.serve=false needs tls.enabled: it is the step between plain and TLS" -}}
{{- end -}}
{{- $dashboards := .Values.dashboards -}}
{{- if and $dashboards.folder (eq $dashboards.mode "sidecar") (not $dashboards.folderAnnotation) -}}
{{- fail "dashboards.folder needs dashboards.folderAnnotation, by which the sidecar is told" -}}
{{- end -}}
{{- if and .Values.exporter.kubeletIntents.directory (not .Values.exporter.kubeletIntents.enabled) -}}
{{- fail "exporter.kubeletIntents.directory is given, but exporter.kubeletIntents.enabled is false" -}}
{{- end -}}
{{- include "pulltrace.validateMounts" . -}}
{{- include "pulltrace.validateNames" . -}}
{{- include "pulltrace.validateAccounts" . -}}
{{- include "pulltrace.validateDurations" . -}}
{{- if not .Values.networkPolicy.apiServer.ports -}}
{{- fail "networkPolicy.apiServer.ports is empty: a rule without ports would let the aggregator reach everything" -}}
{{- end -}}
{{- end -}}

{{/* Nothing of the node is mounted but three folders; a schema may be skipped. */}}
{{- define "pulltrace.validateMounts" -}}
{{- $socket := include "pulltrace.socket" . -}}
{{- if has (dir $socket) (list "/" ".") -}}
{{- fail (printf "exporter.containerd.socket=%s: the folder of the socket is mounted, and this would be the node's whole file system; the socket has to lie in a folder of its own" $socket) -}}
{{- end -}}
{{- $intents := include "pulltrace.intentsDirectory" . -}}
{{- if not (and (hasPrefix "/" $intents) (hasSuffix "/image_manager/pulling" $intents)) -}}
{{- fail (printf "exporter.kubeletIntents.directory=%s: the kubelet keeps its intents in image_manager/pulling of its own directory, and no other folder of it is mounted" $intents) -}}
{{- end -}}
{{- $soci := .Values.exporter.soci.directory -}}
{{- if not (regexMatch "^/.+/unpack$" $soci) -}}
{{- fail (printf "exporter.soci.directory=%s: SOCI downloads into the folder unpack of its own directory, and no other folder of it is mounted" $soci) -}}
{{- end -}}
{{- end -}}

{{/* Helm lets releases have dots and begin with a digit; a Service may have neither. */}}
{{- define "pulltrace.validateNames" -}}
{{- $name := include "pulltrace.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%s cannot begin the name of a Service (a letter first, then letters, digits and -): give fullnameOverride" $name) -}}
{{- end -}}
{{- $issuer := .Values.tls.certManager.issuerRef -}}
{{- $others := ne (include "pulltrace.askedServerName" .) (include "pulltrace.exporter.serverName" .) -}}
{{- if and .Values.tls.enabled .Values.aggregator.enabled $others (not $issuer.name) (not .Values.tls.existingSecret) -}}
{{- fail "tls.enabled with aggregator.exporterService needs tls.certManager.issuerRef or tls.existingSecret: an authority of this release's own would not know the certificates of the other" -}}
{{- end -}}
{{- if and $issuer (not $issuer.name) -}}
{{- fail "tls.certManager.issuerRef has no name: which issuer is meant?" -}}
{{- end -}}
{{- end -}}

{{/* Accounts, each made once. */}}
{{- define "pulltrace.validateAccounts" -}}
{{- $name := include "pulltrace.exporter.serviceAccount" . -}}
{{- $created := and .Values.exporter.serviceAccount.create .Values.aggregator.serviceAccount.create -}}
{{- $running := and .Values.exporter.enabled .Values.aggregator.enabled -}}
{{- if and $running $created (eq $name (include "pulltrace.aggregator.serviceAccount" .)) -}}
{{- fail (printf "exporter.serviceAccount.name and aggregator.serviceAccount.name are both %s: it would be made twice, and exporters have the aggregator's rights" $name) -}}
{{- end -}}
{{- end -}}

{{- define "pulltrace.validateDurations" -}}
{{- range $component := list "exporter" "aggregator" -}}
{{- $given := get $.Values.monitors $component -}}
{{- if and $given.scrapeTimeout (gt (include "pulltrace.milliseconds" $given.scrapeTimeout | int64) (include "pulltrace.milliseconds" $given.interval | int64)) -}}
{{- fail (printf "monitors.%s.scrapeTimeout=%s is longer than its interval, %s: Prometheus refuses that" $component $given.scrapeTimeout $given.interval) -}}
{{- end -}}
{{- end -}}
{{- $given := .Values.tls.certManager -}}
{{- $duration := include "pulltrace.milliseconds" $given.duration | int64 -}}
{{- $before := include "pulltrace.milliseconds" $given.renewBefore | int64 -}}
{{- if or (lt $duration 3600000) (lt $before 300000) (le $duration $before) -}}
{{- fail (printf "tls.certManager.duration=%s and renewBefore=%s: cert-manager wants an hour and five minutes at least, and a certificate that is good for longer than it is renewed before its end" $given.duration $given.renewBefore) -}}
{{- end -}}
{{- end -}}

{{/* How long a duration of Prometheus or Go is. */}}
{{- define "pulltrace.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 "y" 31536000000 -}}
{{- $total := 0 -}}
{{- range regexFindAll "[0-9]+[a-z]+" . -1 -}}
{{- $total = add $total (mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- $total -}}
{{- end -}}
