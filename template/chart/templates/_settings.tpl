{{/*
The environment of all pods, as a map. Variables that other objects depend on come from the chart's
own values; all others come from `settings`, unchanged.

Numbers are printed as JSON: the default format prints large ones as 1e+06.
*/}}
{{- define "service.settings" -}}
{{- $name := include "service.name" . -}}
{{- $inside := list $name -}}
{{- range $ending := list "" ".svc" ".svc.cluster.local" -}}
{{- $inside = append $inside (printf "%s.%s%s" $name $.Release.Namespace $ending) -}}
{{- end -}}
{{- $settings := dict
  "ENVIRONMENT" "production"
  "HOST" "0.0.0.0"
  "ALLOWED_HOSTS" (concat .Values.hosts $inside | join ",")
  "SHUTDOWN_SECONDS" .Values.shutdownSeconds
-}}
{{- range $port, $number := .Values.ports -}}
{{- $_ := set $settings (eq $port "http" | ternary "PORT" (printf "%s_PORT" (upper $port))) $number -}}
{{- end -}}
{{- range $name, $value := mergeOverwrite (dict) .Values.variables .Values.settings $settings }}
{{ $name }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end -}}
{{- end -}}
