{{/*
The template of a pod. It takes a map:

  root       the chart's own scope
  component  what the pod is, for its labels
  command    the service's command to run
  resources  its resource requests and limits
  web        whether it serves requests, and so has probes
  job        whether it runs before the other objects exist
*/}}
{{- define "service.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $web := .web | default false -}}
metadata:
  annotations:
    {{- /* Pods read their settings once, so a change must restart them. */}}
    checksum/settings: {{ include "service.settings" $root | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "service.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  serviceAccountName: {{ include "service.name" $root }}{{ if .job }}-{{ .component }}{{ end }}
  automountServiceAccountToken: false
  {{- /* Otherwise each Service of the namespace would set variables that look like settings. */}}
  enableServiceLinks: false
  {{- if .job }}
  restartPolicy: Never
  {{- end }}
  {{- /* The sum of: wait, finish running requests, close connections. */}}
  terminationGracePeriodSeconds: {{ add ($web | ternary $values.preStopSeconds 0) $values.shutdownSeconds 10 }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if not .job }}
  topologySpreadConstraints:
    {{- $component := .component }}
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "service.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $component }}
      {{- /* Pods of the previous release do not count: they are about to terminate. */}}
      matchLabelKeys:
        - pod-template-hash
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "service.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command:
        - {{ $root.Chart.Name }}
        - {{ .command }}
      env:
        - name: SECRETS_DIR
          value: {{ $values.secrets.mountPath }}
        {{- if .job }}
        {{- /* The ConfigMap does not exist yet when the first release is installed. */}}
        {{- range $name, $value := include "service.settings" $root | fromYaml }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
        {{- else }}
      envFrom:
        - configMapRef:
            name: {{ include "service.name" $root }}
        {{- end }}
      {{- $ports := $web | ternary $values.ports (omit $values.ports "http") }}
      {{- if and $ports (not .job) }}
      ports:
        {{- range $name, $number := $ports }}
        - name: {{ $name }}
          containerPort: {{ $number }}
        {{- end }}
      {{- end }}
      {{- if $web }}
      lifecycle:
        preStop:
          {{- /* Keep serving until the pod receives no new requests. */}}
          sleep:
            seconds: {{ $values.preStopSeconds }}
      startupProbe:
        httpGet:
          path: /health/live
          port: http
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 30
      livenessProbe:
        httpGet:
          path: /health/live
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet:
          path: /health/ready
          port: http
        periodSeconds: 5
        {{- /* Longer than the timeout of the checks themselves. */}}
        timeoutSeconds: {{ add 1 (ceil ($values.settings.HEALTH_CHECK_SECONDS | default 2)) }}
        failureThreshold: 2
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop:
            - ALL
      volumeMounts:
        - name: secrets
          mountPath: {{ $values.secrets.mountPath }}
          readOnly: true
        - name: temporary
          mountPath: /tmp
  volumes:
    - name: secrets
      secret:
        secretName: {{ .secret | default $values.secrets.existingSecret }}
        defaultMode: 0440
    - name: temporary
      emptyDir:
        sizeLimit: 64Mi
{{- end -}}
