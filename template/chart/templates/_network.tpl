{{/*
The ingress and egress rules of the pods. It takes a map:

  root      the chart's own scope
  selector  the labels of the pods
  job       whether the pods accept no connections
*/}}
{{- define "service.network" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
spec:
  podSelector:
    matchLabels:
      {{- .selector | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  {{- if .job }}
  ingress: []
  {{- else }}
  ingress:
    {{- range $port, $number := $values.ports }}
    - ports:
        - port: {{ $number }}
          protocol: TCP
      from:
        {{- toYaml (index $values.networkPolicy.ingress $port) | nindent 8 }}
    {{- end }}
  {{- end }}
  egress:
    {{- range $name, $rule := $values.networkPolicy.egress }}
    - ports:
        {{- range $rule.ports }}
        - port: {{ . }}
          protocol: TCP
        {{- if eq $name "dns" }}
        - port: {{ . }}
          protocol: UDP
        {{- end }}
        {{- end }}
      {{- with $rule.to }}
      to:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
{{- end -}}
