"""Phrases of annotations: templates of Prometheus that are filled for any alert, whichever labels it has."""

from typing import Final

from pulltrace_alerts.joins import UNMOVED, VERDICT
from pulltrace_alerts.levels import NODE as NODE_LABELS
from pulltrace_alerts.levels import WAIT

POD: Final = "{{ if $labels.pod }}Pod {{ $labels.namespace }}/{{ $labels.pod }}{{ else }}No known pod{{ end }}"
IMAGE: Final = (
    "{{ if $labels.image }}{{ $labels.image }}"
    "{{ else }}{{ $labels.registry }}/{{ $labels.repository }}@{{ $labels.digest }}{{ end }}"
)
NODE: Final = "node {{ $labels.node }}"
WAITS: Final = f"{POD} waits for {IMAGE} on {NODE}"
VALUE_TIME: Final = "{{ $value | humanizeDuration }}"
VALUE_SPEED: Final = "{{ $value | humanize1024 }}B/s"
VALUE_PERCENT: Final = "{{ $value | humanizePercentage }}"


def _query(series: str, *labels: str) -> str:
    """A query, made and asked when the alert's text is, for the series that share these labels with the alert."""
    matchers = ",".join(f"{label}=%q" for label in labels)
    values = " ".join(f"$labels.{label}" for label in labels)
    return f'query (printf "{series}" {values})'.replace("{}", f"{{{matchers}}}")


def verdict(cause: str) -> str:
    """The aggregator's word for what blocks."""
    return f"Verdict: {cause}."


VERDICT_OF_POD: Final = (
    f"{{{{ with {_query('wait:pulltrace_pod_pull_blocked_by:top1{}', *WAIT)} }}}}"
    'Verdict: {{ . | first | label "cause" }}.'
    "{{ else }}No verdict without a pod.{{ end }}"
)


def longest_wait(*labels: str) -> str:
    """Names the pod that has waited longest of those that share these labels with the alert."""
    return (
        f"{{{{ with {_query(f'topk(1, {VERDICT}{{}})', *labels)} }}}}{{{{ with . | first }}}}"
        "Longest wait: pod {{ .Labels.namespace }}/{{ .Labels.pod }} on node {{ .Labels.node }} for"
        " {{ .Labels.image }}, {{ .Value | humanizeDuration }}, verdict {{ .Labels.cause }}."
        "{{ end }}{{ else }}No pod is known to wait.{{ end }}"
    )


def waiting(*labels: str) -> str:
    """How many images are waited for that share these labels with the alert."""
    count = _query(f"count({VERDICT}{{}})", *labels)
    return f"{{{{ with {count} }}}}{{{{ . | first | value }}}}{{{{ else }}}}0{{{{ end }}}}"


def running() -> str:
    """In parentheses what the alert's node pulls at the moment."""
    return (
        f"{{{{ with {_query(f'topk(1, {UNMOVED}{{}})', *NODE_LABELS)} }}}}{{{{ with . | first }}}}"
        " ({{ .Labels.registry }}/{{ .Labels.repository }} is {{ .Labels.phase }})"
        "{{ end }}{{ end }}"
    )
