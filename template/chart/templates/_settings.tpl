{{/*
The environment of all pods, as a map. What the chart has to agree with comes from its
own values; everything else comes from `settings`, as it is.

Numbers go through JSON: printed in the ordinary way, large ones come out as 1e+06.
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
