"""Alerts about single pulls, and about pods that wait for them."""

from collections.abc import Iterator

from pulltrace_alerts.joins import STALE, UNMOVED, VERDICT, WAIT_OF_PULL
from pulltrace_alerts.levels import PULL, WAIT_PULL, WAIT_VERDICT, names
from pulltrace_alerts.model import Alert, Group
from pulltrace_alerts.rates import RATIO_TO_PEERS
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.texts import IMAGE, NODE, VALUE_PERCENT, VALUE_TIME, VERDICT_OF_POD, WAITS, running


def for_pods(condition: str) -> str:
    """One result for each pod that waits for a pull of the condition, and one for a pull that no pod waits for.

    The verdict is no label of it: it may change while the alert holds. The value is the condition's, which must have
    one series for each pull.
    """
    on = f"on ({names(PULL)})"
    return f"(0 * {WAIT_OF_PULL} + {on} group_left () ({condition}))\nor {on}\n({condition})"


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.pulls", tuple(_alerts(settings)))


def _alerts(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        "PulltracePullStalled",
        "warning",
        settings.stalled_for,
        WAIT_PULL,
        for_pods(f'{UNMOVED}{{phase="downloading"}} > {settings.seconds(settings.stalled_after)}'),
        f"The pull of {IMAGE} on {NODE} stands still.",
        f"{WAITS}, and no byte of it has come for {VALUE_TIME}. {VERDICT_OF_POD} Next: see whether other nodes still"
        " download from {{ $labels.registry }}; if they do, look at this node's path to it (proxy, conntrack, MTU)."
        " containerd gives up after five minutes without a byte, and the kubelet tries again.",
    )
    yield Alert(
        "PulltracePullSlowOnNode",
        "warning",
        settings.slow_for,
        WAIT_PULL,
        for_pods(f"{RATIO_TO_PEERS} < {settings.slow_share:g}"),
        "Node {{ $labels.node }} pulls from {{ $labels.registry }} much slower than its peers.",
        f"{WAITS}, at {VALUE_PERCENT} of the median speed of the nodes that pull the same. {VERDICT_OF_POD} Next: the"
        " registry is fast enough for others, so look at this node: bandwidth limits, a failing link, other traffic,"
        " its distance to the registry or mirror.",
    )
    yield Alert(
        "PulltracePullTakesTooLong",
        "info",
        settings.too_long_for,
        WAIT_PULL,
        for_pods(one_stale("slow")),
        f"The pull of {IMAGE} on {NODE} would take longer than the aggregator's --stale.slow-eta.",
        f"{WAITS}; at its present speed the download needs longer than --stale.slow-eta (an hour by default)."
        f" {VERDICT_OF_POD} Next: compare this node with others that pull the image; if all are as slow, a smaller"
        " image or a cache in the cluster is what helps.",
    )
    yield Alert(
        "PulltraceUnpackSlow",
        "warning",
        settings.unpack_for,
        WAIT_PULL,
        for_pods(f'{UNMOVED}{{phase="unpacking"}} > {settings.seconds(settings.unpack_after)}'),
        f"Unpacking {IMAGE} on {NODE} does not get on.",
        f"{WAITS}; all bytes are there, and no layer was unpacked for {VALUE_TIME}. {VERDICT_OF_POD} Next: look at the"
        " node's disk: throughput, latency, credits of a cloud volume, another pod that writes much.",
    )
    yield Alert(
        "PulltraceImageQueued",
        "warning",
        settings.queue_for,
        WAIT_VERDICT,
        f'{VERDICT}{{cause="queue"}} > {settings.seconds(settings.queue_after)}',
        "Pod {{ $labels.namespace }}/{{ $labels.pod }} waits behind another image on node {{ $labels.node }}.",
        f"{WAITS} for {VALUE_TIME}, because another image is ahead in the kubelet's line{running()}. Verdict: queue."
        " Next: see why that one takes long; maxParallelImagePulls (Kubernetes 1.27) lets the kubelet pull several"
        " images at once.",
    )
    yield Alert(
        "PulltraceGhostPull",
        "info",
        settings.ghost_for,
        (*PULL,),
        f"max by ({names(PULL)}) (max_over_time("
        f'pull:pulltrace_pull_phase:max{{phase="orphaned"}}[{settings.duration(settings.ghost_window)}]))',
        f"A pull of {IMAGE} on {NODE} was left behind by a crash.",
        f"On {NODE} the pull of {IMAGE} ended without a result: containerd or its client was killed in the middle, or"
        " nothing of it has moved for --pull.abandoned. Verdict: orphaned. Next: see whether containerd restarts often"
        " on this node; what the ghost has downloaded stays on the disk until its lease expires.",
    )


def one_stale(reason: str) -> str:
    """The pulls that the aggregator calls stale for this reason, without the label that says so."""
    return f'max by ({names(PULL)}) ({STALE}{{reason="{reason}"}})'
