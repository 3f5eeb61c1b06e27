"""Alerts about nodes, and about Pulltrace itself."""

from collections.abc import Iterator

from pulltrace_alerts.joins import TIME, WAITING
from pulltrace_alerts.levels import NODE, names
from pulltrace_alerts.model import Alert, Group
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.texts import VALUE_PERCENT, longest_wait

KUBE_STATE_METRICS = "kube-state-metrics"
WITH_CONTAINERD = 'container_runtime_version=~"containerd://.*",os_image!~"(?i)windows.*"'
"""The nodes on which an exporter can run."""
AGGREGATOR_JOB = ".*pulltrace-aggregator"
"""The chart's monitors and the documented scrape configuration name it so."""


def group(settings: Settings) -> Group:
    """Nodes whose pulls nobody sees, or nobody makes."""
    return Group("pulltrace.alerts.nodes", (*_nodes(settings), *_with_kube_state_metrics(settings)))


def itself(settings: Settings) -> Group:
    """What keeps Pulltrace from seeing."""
    return Group("pulltrace.alerts.pulltrace", tuple(_itself(settings)))


def _nodes(settings: Settings) -> Iterator[Alert]:
    worst = longest_wait("cluster", "node")
    yield Alert(
        "PulltraceContainerdUnreachable",
        "warning",
        settings.containerd_for,
        NODE,
        f"max by ({names(NODE)}) (pulltrace_containerd_up) == 0",
        "The exporter on node {{ $labels.node }} cannot read containerd.",
        "On node {{ $labels.node }} containerd does not answer the exporter; no image can be seen there, and most"
        f" likely none pulled. {worst} Next: look at containerd on the node (systemctl status containerd), then at the"
        " exporter's log.",
        outlast=settings.outlast,
    )
    yield Alert(
        "PulltraceExporterMissing",
        "warning",
        settings.exporter_for,
        NODE,
        f"max by ({names(NODE)}) (pulltrace_node_exporter_missing) == 1",
        "No exporter answers for node {{ $labels.node }}, where a pod waits for an image.",
        f"A pod waits for an image on node {{{{ $labels.node }}}}, and no exporter answers for it. {worst} Next: is an"
        " exporter's pod running there, or do taints and selectors keep it away; does a network policy or a certificate"
        " keep the aggregator out; is the node itself down?",
    )


def _with_kube_state_metrics(settings: Settings) -> Iterator[Alert]:
    on = f"on ({names(NODE)})"
    yield Alert(
        "PulltraceNodeNotReady",
        "warning",
        settings.node_for,
        NODE,
        f'max by ({names(NODE)}) (kube_node_status_condition{{condition="Ready",status="true"}}) == 0\n'
        f"and {on} count by ({names(NODE)}) ({WAITING})",
        "Node {{ $labels.node }} is not ready, and pods wait for images there.",
        f"Kubernetes calls node {{{{ $labels.node }}}} not ready. {longest_wait('cluster', 'node')} Next: repair or"
        " replace the node; its pulls go on or are given up with it. (Needs kube-state-metrics.)",
        needs=KUBE_STATE_METRICS,
        outlast=settings.outlast,
    )
    yield Alert(
        "PulltraceNodeWithoutExporter",
        "info",
        settings.uncovered_for,
        NODE,
        f"max by ({names(NODE)}) (kube_node_info{{{WITH_CONTAINERD}}})\n"
        f"unless {on} {TIME}\nand on (cluster) count by (cluster) ({TIME})",
        "Nothing is scraped from an exporter on node {{ $labels.node }}.",
        "Other nodes of the cluster have an exporter, node {{ $labels.node }} shows none: its pulls will not be seen."
        f" {longest_wait('cluster', 'node')} Next: is an exporter's pod running there, and does Prometheus scrape it"
        " with the label node? (Needs kube-state-metrics.)",
        needs=KUBE_STATE_METRICS,
    )


def _itself(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        "PulltraceAggregatorBlind",
        "warning",
        settings.blind_for,
        ("cluster",),
        "min by (cluster) (pulltrace_aggregator_kubernetes_up) == 0\n"
        'or sum by (cluster) (pulltrace_aggregator_exporters{state="unreachable"})\n'
        f"/ sum by (cluster) (pulltrace_aggregator_exporters) > {settings.blind_share:g}",
        "The aggregator does not see what it should.",
        "{{ if eq $value 0.0 }}An aggregator cannot list or watch everything it needs in Kubernetes"
        f"{{{{ else }}}}For {VALUE_PERCENT} of the nodes no exporter answers the aggregator{{{{ end }}}}: pods that"
        " wait, and verdicts, may be missing or old. Next: read the aggregator's log, which names what is"
        " missing: a right, an address or a certificate.",
    )
    yield Alert(
        "PulltraceAggregatorDown",
        "warning",
        settings.absent_for,
        ("cluster",),
        f'((min by (cluster) (up{{job=~"{AGGREGATOR_JOB}"}}) == 0) - 1\n'
        # A shard that was never started is no target.
        "or sum by (cluster) (pulltrace_aggregator_exporters)"
        f" / count by (cluster) ({TIME}) < {settings.asked_share:g})\n"
        # If none is left, that is another alert.
        "and on (cluster) count by (cluster) (pulltrace_aggregator_build_info)",
        "A part of the nodes has no aggregator.",
        "{{ if lt $value 0.0 }}A target of the aggregator's job cannot be scraped, and others can"
        f"{{{{ else }}}}All aggregators together know fewer than {100 * settings.asked_share:g}% of the nodes with an"
        " exporter{{ end }}: of the rest there are no pods, no verdicts and no reasons of failures. Next: is a shard's"
        " pod waiting, restarting or out of memory, or behind a network policy (Prometheus' page of targets says so);"
        " does each find the exporters' Service?",
    )
    yield Alert(
        "PulltraceAggregatorAbsent",
        "warning",
        settings.absent_for,
        ("cluster",),
        f"count by (cluster) ({TIME})\nunless on (cluster) count by (cluster) (pulltrace_aggregator_build_info)",
        "Exporters are scraped, and no aggregator is.",
        "{{ $value }} nodes have an exporter, and Prometheus sees no aggregator: there are no pods, no verdicts and no"
        " reasons of failures. Next: is the aggregator running, and does Prometheus scrape it with honorLabels?",
    )
    yield Alert(
        "PulltraceSeriesSuppressed",
        "info",
        settings.suppressed_for,
        (*NODE, "kind"),
        f"max by ({names((*NODE, 'kind'))}) (pulltrace_exporter_suppressed_series) > 0",
        "The exporter on node {{ $labels.node }} leaves out series of kind {{ $labels.kind }}.",
        "On node {{ $labels.node }} {{ $value }} of kind {{ $labels.kind }} have no series of their own, because of a"
        " limit; sums are whole, and details are missing. Next: raise --limit.pulls, --limit.layers or"
        " --limit.label-values, or use --layer.min-size if only large layers are of interest.",
    )
