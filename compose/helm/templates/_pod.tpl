{{/* The pod of a part: root, name, args, and what differs. */}}
{{- define "scleroscan.pod" -}}
{{- $root := .root -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .grace | default 60 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10400
  runAsGroup: 10400
  fsGroup: 10400
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
containers:
  - name: {{ .name }}
    image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag }}{{ if .gpu }}-gpu{{ end }}"
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    env:
      - {name: DICOM_NODE_SITE_FILE, value: /etc/scleroscan/site.toml}
      - {name: DICOM_NODE_SPOOL_DIR, value: /site/spool}
      - {name: WORKER_CACHE_DIR, value: /tmp/cache}
      - {name: WORKER_RESULTS_DIR, value: /site/results}
      - {name: SCLEROSCAN_LOG_FORMAT, value: json}
      {{- if .secrets }}
      - {name: SCLEROSCAN_SETTINGS_DIR, value: /run/secrets/scleroscan}
      {{- end }}
      {{- range $name, $value := merge (dict) (.env | default dict) $root.Values.settings }}
      - {name: {{ $name }}, value: {{ $value | quote }}}
      {{- end }}
    {{- with .port }}
    ports: [{name: {{ $.name }}, containerPort: {{ . }}}]
    {{- end }}
    {{- with .probe }}
    readinessProbe: {{ toJson . }}
    livenessProbe: {{ toJson (merge (dict "failureThreshold" 6) .) }}
    {{- end }}
    resources: {{ toJson (.resources | default $root.Values.resources) }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if not .alone }}
      - {name: site, mountPath: /site}
      - {name: file, mountPath: /etc/scleroscan/site.toml, subPath: site.toml, readOnly: true}
      {{- if $root.Values.siteSecret }}
      - {name: files, mountPath: /etc/scleroscan/files, readOnly: true}
      {{- end }}
      {{- end }}
      {{- if .secrets }}
      - {name: secrets, mountPath: /run/secrets/scleroscan, readOnly: true}
      {{- end }}
volumes:
  - {name: tmp, emptyDir: {}}
  {{- if not .alone }}
  - {name: site, persistentVolumeClaim: {claimName: {{ $root.Release.Name }}-site}}
  - {name: file, configMap: {name: {{ $root.Release.Name }}-site}}
  {{- if $root.Values.siteSecret }}
  - {name: files, secret: {secretName: {{ $root.Values.siteSecret }}, defaultMode: 0440}}
  {{- end }}
  {{- end }}
  {{- with .secrets }}
  - name: secrets
    secret:
      secretName: {{ $root.Values.secret }}
      defaultMode: 0440
      items:
        {{- range . }}
        - {key: {{ . }}, path: {{ . }}}
        {{- end }}
  {{- end }}
{{- end -}}

{{- define "scleroscan.labels" -}}
app.kubernetes.io/name: scleroscan
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}
