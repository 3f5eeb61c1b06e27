"""Alerts about pods that cannot start because of their images."""

from collections.abc import Iterator
from typing import Final

from pulltrace_alerts.levels import NAMESPACE_REGISTRY, REGISTRY, WAIT_CAUSE, WAIT_REASON, names
from pulltrace_alerts.model import NAMESPACE, PLATFORM, Alert, Group
from pulltrace_alerts.recorded import FAILING, FAILURES, LASTING, NO_ANSWER, RECENT, UNREACHED, WAIT_CAUSES
from pulltrace_alerts.registries import unanswered
from pulltrace_alerts.settings import HOUR, Settings
from pulltrace_alerts.texts import POD, REASON, VALUE_TIME, WAITS, longest_wait, running

OF_NODES: Final = "disk_full|rate_limited|kubelet_rate_limit"
"""Reasons that only those who run the cluster can mend, beside a registry that does not answer."""


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.pods", tuple(_alerts(settings)))


def _alerts(settings: Settings) -> Iterator[Alert]:
    yield _many(settings)
    yield _of_workload()
    yield _of_platform(settings)
    yield _short_lived(settings)
    yield Alert(
        "PulltraceImageQueued",
        "warning",
        PLATFORM,
        "queue_for",
        WAIT_CAUSE,
        "pod",
        f'{WAIT_CAUSES}{{cause="queue"}} > {settings.seconds("queue_after")}',
        "Pod {{ $labels.namespace }}/{{ $labels.pod }} waits behind another image on node {{ $labels.node }}.",
        f"{WAITS} for {VALUE_TIME}, because another image is ahead in the kubelet's queue{running()}."
        " Blocked by: queue. Next: see why that one takes long; maxParallelImagePulls (Kubernetes 1.27) lets the"
        " kubelet pull several images at once.",
    )


def _many(settings: Settings) -> Alert:
    blocked = f'{RECENT}{{cause!="progressing"}} > {settings.seconds("many_after")}'
    pods = f"count by (cluster) (count by (cluster, namespace, pod) ({blocked}))"
    namespaces = f"count by (cluster) (count by (cluster, namespace) ({blocked}))"
    most = f"topk(1, count by (cause) ({WAIT_CAUSES}{{cluster=%q,cause!=%q}}))"
    return Alert(
        "PulltraceManyPodsCannotStart",
        "critical",
        PLATFORM,
        "many_for",
        ("cluster",),
        "overview",
        f"{pods} >= {settings.number('many_pods')}\n"
        f"and on (cluster) {namespaces} >= {settings.number('many_namespaces')}",
        "{{ $value }} pods of several namespaces cannot start, because their images do not come.",
        "{{ $value }} pods have waited for an image for long, and something blocks them. "
        f'{{{{ with query (printf "{most}" $labels.cluster "progressing") }}}}{{{{ with . | first }}}}'
        "Most are blocked by: {{ .Labels.cause }} ({{ .Value }}). {{ end }}{{ end }}"
        f"{longest_wait('cluster')} Next: open the overview, which counts the waiting images by cause: one registry,"
        " one group of nodes, or everything?",
        outlast=True,
    )


def _of_workload() -> Alert:
    return Alert(
        "PulltraceImagePullFailing",
        "warning",
        NAMESPACE,
        "failing_for",
        WAIT_REASON,
        "pod",
        f'{FAILING}{{reason!~"{OF_NODES}|{NO_ANSWER}"}}',
        f"The image of {POD} cannot be pulled: {{{{ $labels.reason }}}}.",
        f"{WAITS} for {VALUE_TIME}, and its pull fails again and again. {REASON} Next:"
        ' {{ if eq $labels.reason "unauthorized" }}check the imagePullSecrets of the pod and of its service account: do'
        " they exist in the namespace, are they for {{ $labels.registry }}, have they expired?"
        '{{ else if or (eq $labels.reason "not_found") (eq $labels.reason "invalid_name") }}check the name for a slip,'
        " that the image was pushed, and that it exists for this node's platform."
        "{{ else }}read the pod's events (kubectl describe pod), which have the failure's own words.{{ end }}",
    )


def _of_platform(settings: Settings) -> Alert:
    on = f"on ({names(REGISTRY)})"
    return Alert(
        "PulltraceNodeCannotPull",
        "warning",
        PLATFORM,
        "failing_for",
        WAIT_REASON,
        "node",
        f'{FAILING}{{reason=~"{OF_NODES}"}}\nor ({UNREACHED} unless {on} ({unanswered(settings)}))',
        "Node {{ $labels.node }} cannot pull from {{ $labels.registry }}: {{ $labels.reason }}.",
        f"{WAITS} for {VALUE_TIME}, and its pull fails again and again or gets no answer. {REASON} Next:"
        ' {{ if eq $labels.reason "disk_full" }}free or enlarge the image store of this node (crictl rmi --prune), and'
        " see what else fills the disk."
        '{{ else if eq $labels.reason "rate_limited" }}pull with an account, or through a cache in the cluster.'
        '{{ else if eq $labels.reason "kubelet_rate_limit" }}raise registryPullQPS and registryBurst of the kubelet.'
        '{{ else if eq $labels.reason "dns" }}resolve the name on the node itself, which does not use the cluster\'s'
        " DNS; check its spelling, resolv.conf and name servers."
        '{{ else if eq $labels.reason "tls" }}check the certificate of the registry, and the clock and the trust store'
        " of the node."
        "{{ else }}see whether other nodes reach the registry; if they do, look at this node's network, firewall and"
        " proxy.{{ end }}",
    )


def _short_lived(settings: Settings) -> Alert:
    labels = (*NAMESPACE_REGISTRY, "reason")
    hour = settings.fixed(HOUR)
    return Alert(
        "PulltraceShortLivedPodsFailing",
        "warning",
        NAMESPACE,
        "short_lived_for",
        labels,
        "registry",
        f"sum by ({names(labels)}) (increase({FAILURES}[{hour}])) >= {settings.number('short_lived_failures')}\n"
        # A pod that waits for long has an alert of its own.
        f"unless on ({names(NAMESPACE_REGISTRY)}) max_over_time({LASTING}[{hour}])",
        "Pulls from {{ $labels.registry }} fail again and again in namespace {{ $labels.namespace }}:"
        " {{ $labels.reason }}.",
        f"In the last hour at least {settings.number('short_lived_failures')} pulls from"
        " {{ $labels.registry }} failed in namespace"
        f" {{{{ $labels.namespace }}}}, and none of its pods has waited for long: they are gone before that. {REASON}"
        " Next: look for a Job, CronJob or autoscaler that makes pods whose image cannot be pulled (kubectl get jobs,"
        " kubectl get events).",
    )
