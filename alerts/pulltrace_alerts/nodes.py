"""Alerts about nodes whose pulls are not seen, or which cannot pull."""

from collections.abc import Iterator
from typing import Final

from pulltrace_alerts.levels import NODE, names
from pulltrace_alerts.model import PLATFORM, Alert, Group
from pulltrace_alerts.recorded import TIME, WAITING
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.texts import VALUE_TIME, longest_wait

KUBE_STATE_METRICS: Final = "kube-state-metrics"
LEAVING: Final = "|".join(
    (
        "ToBeDeletedByClusterAutoscaler",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "cloud.google.com/impending-node-termination",
        "aws-node-termination-handler/.+",
        "node.cloudprovider.kubernetes.io/shutdown",
    )
)
"""Taints of nodes that are being removed."""


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.nodes", tuple(_alerts(settings)))


def _alerts(settings: Settings) -> Iterator[Alert]:
    on, worst = f"on ({names(NODE)})", longest_wait("cluster", "node")
    polled = f"max by ({names(NODE)}) (pulltrace_exporter_last_poll_timestamp_seconds)"
    yield Alert(
        "PulltraceContainerdUnreachable",
        "warning",
        PLATFORM,
        "containerd_for",
        NODE,
        "node",
        f"max by ({names(NODE)}) (pulltrace_containerd_up) == 0\n"
        f"or ({TIME} - {on} {polled}) > {settings.seconds('poll_after')}",
        "The exporter on node {{ $labels.node }} cannot read containerd.",
        "On node {{ $labels.node }} {{ if eq $value 0.0 }}containerd does not answer the exporter"
        f"{{{{ else }}}}the exporter last tried to read containerd {VALUE_TIME} ago{{{{ end }}}}: no pull can be seen"
        f" there, and most likely none is made. {worst} Next: look at containerd on the node (systemctl status"
        " containerd), then at the log of the exporter.",
        outlast=True,
    )
    yield Alert(
        "PulltraceExporterMissing",
        "warning",
        PLATFORM,
        "exporter_for",
        NODE,
        "node",
        f"max by ({names(NODE)}) (pulltrace_node_exporter_missing) == 1",
        "No exporter answers for node {{ $labels.node }}, where a pod waits for an image.",
        f"A pod waits for an image on node {{{{ $labels.node }}}}, and no exporter answers for it. {worst} Next: is an"
        " exporter's pod running there, or do taints and selectors keep it away; does a network policy or a certificate"
        " keep the aggregator out; is the node itself down?",
    )
    yield Alert(
        "PulltraceNodeNotReady",
        "warning",
        PLATFORM,
        "node_for",
        NODE,
        "node",
        f'max by ({names(NODE)}) (kube_node_status_condition{{condition="Ready",status="true"}}) == 0\n'
        f"and {on} count by ({names(NODE)}) ({WAITING})\n"
        f"unless {on} max by ({names(NODE)}) (kube_node_spec_unschedulable) == 1\n"
        f'unless {on} max by ({names(NODE)}) (kube_node_spec_taint{{key=~"{LEAVING}"}}) == 1',
        "Node {{ $labels.node }} is not ready, and pods wait for images there.",
        f"Kubernetes calls node {{{{ $labels.node }}}} not ready, and it is neither cordoned nor being removed. {worst}"
        " Next: repair or replace the node; its pulls go on or are given up with it. (Needs kube-state-metrics.)",
        needs=KUBE_STATE_METRICS,
        outlast=True,
    )
