{{/* What every object of this release is known by. */}}
{{- define "layover.selector" -}}
app.kubernetes.io/name: layover
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "layover.labels" -}}
{{ include "layover.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* By which name the others reach the node of that index: call it with (list $ index). */}}
{{- define "layover.host" -}}
{{- $root := index . 0 -}}
{{- $release := $root.Release -}}
{{ $release.Name }}-{{ index . 1 }}.{{ $release.Name }}-peers.{{ $release.Namespace }}.svc.{{ $root.Values.clusterDomain }}
{{- end }}
