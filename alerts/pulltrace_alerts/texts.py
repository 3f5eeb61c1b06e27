"""Phrases of annotations: templates of Prometheus that are filled for any alert, whichever labels it has."""

from typing import Final

from pulltrace_alerts.levels import NODE as NODE_LABELS
from pulltrace_alerts.levels import WAIT
from pulltrace_alerts.recorded import BLOCKED_BY, UNMOVED, WAIT_CAUSES

POD: Final = "pod {{ $labels.namespace }}/{{ $labels.pod }}"
NODE: Final = "node {{ $labels.node }}"
IMAGE: Final = (
    "{{ if $labels.image }}{{ $labels.image }}"
    "{{ else }}{{ $labels.registry }}/{{ $labels.repository }}@{{ $labels.digest }}{{ end }}"
)
WAITS: Final = (
    "{{ if $labels.pod }}Pod {{ $labels.namespace }}/{{ $labels.pod }}{{ else }}No known pod{{ end }}"
    f" waits for {IMAGE} on {NODE}"
)
REASON: Final = "Reason: {{ $labels.reason }}."
VALUE_TIME: Final = "{{ $value | humanizeDuration }}"
VALUE_PERCENT: Final = "{{ $value | humanizePercentage }}"


def query(series: str, *labels: str) -> str:
    """A query, made and asked when the alert's text is, for the series that share these labels with the alert."""
    matchers = ",".join(f"{label}=%q" for label in labels)
    values = " ".join(f"$labels.{label}" for label in labels)
    return f'query (printf "{series}" {values})'.replace("{}", f"{{{matchers}}}")


BLOCKED: Final = (
    f"{{{{ with {query(f'{BLOCKED_BY}{{}}', *WAIT)} }}}}"
    'Blocked by: {{ . | first | label "cause" }}.'
    "{{ else }}No pod waits, so no cause is known.{{ end }}"
)


def longest_wait(*labels: str) -> str:
    """Names the pod that has waited longest of those that share these labels with the alert."""
    return (
        f"{{{{ with {query(f'topk(1, {WAIT_CAUSES}{{}})', *labels)} }}}}{{{{ with . | first }}}}"
        "Longest wait: pod {{ .Labels.namespace }}/{{ .Labels.pod }} on node {{ .Labels.node }} for"
        " {{ .Labels.image }}, {{ .Value | humanizeDuration }}, blocked by {{ .Labels.cause }}."
        "{{ end }}{{ else }}No pod is known to wait.{{ end }}"
    )


def running() -> str:
    """What the alert's node pulls at the moment, in parentheses."""
    return (
        f"{{{{ with {query(f'topk(1, {UNMOVED}{{}})', *NODE_LABELS)} }}}}{{{{ with . | first }}}}"
        " ({{ .Labels.registry }}/{{ .Labels.repository }} is {{ .Labels.phase }})"
        "{{ end }}{{ end }}"
    )
