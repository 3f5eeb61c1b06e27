"""Alerts about single pulls that stand still or are slow."""

from collections.abc import Iterator

from pulltrace_alerts.levels import IMAGE as IMAGE_LABELS
from pulltrace_alerts.levels import PULL, REGISTRY, WAIT_PULL, names
from pulltrace_alerts.model import PLATFORM, Alert, Group, Labels
from pulltrace_alerts.recorded import SPEED, STALE, UNMOVED, WAIT_OF_PULL
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.texts import BLOCKED, IMAGE, NODE, VALUE_PERCENT, WAITS


def for_pods(*conditions: str, include: str = "") -> str:
    """One result for each pod that waits for a pull of a condition, and one for a pull that no pod waits for.

    The cause is no label of it: it may change while the alert holds. A condition has one series for each pull, and an
    earlier one goes before a later one; values and the label `include` are kept.
    """
    on = f"on ({names(PULL)})"
    either = f"\nor {on} ".join(f"({condition})" for condition in conditions)
    return f"(0 * {WAIT_OF_PULL} + {on} group_left ({include}) (\n{either}\n))\nor {on} {either}"


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.pulls", tuple(_alerts(settings)))


def _alerts(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        "PulltracePullStalled",
        "warning",
        PLATFORM,
        "stalled_for",
        (*WAIT_PULL, "reason"),
        "node",
        for_pods(_stalled(settings), include="reason"),
        f"The pull of {IMAGE} on {NODE} stands still.",
        f"{WAITS}, and the pull has not got on. Reason: {{{{ $labels.reason }}}}. {BLOCKED} Next:"
        ' {{ if eq $labels.reason "unpack_no_progress" }}look at the disk of the node: throughput, latency, credits of'
        " a cloud volume, another pod that writes much."
        '{{ else if eq $labels.reason "remote_no_progress" }}look at the remote snapshotter of the node and at its log.'
        "{{ else }}see whether other nodes still download from {{ $labels.registry }}; if they do, look at the path of"
        " this node to it (proxy, conntrack, MTU). containerd gives up after five minutes without a byte, and the"
        " kubelet tries again.{{ end }}",
    )
    yield Alert(
        "PulltracePullSlow",
        "info",
        PLATFORM,
        "slow_for",
        WAIT_PULL,
        "node",
        for_pods(f"{_ratio_to_peers(settings)} < {settings.number('slow_share')}", _eta()),
        f"The pull of {IMAGE} on {NODE} is slow.",
        f"{WAITS}, and the download {{{{ if lt $value 1.0 }}}}has {VALUE_PERCENT} of the median speed of its peers: the"
        f" nodes that pull this image or, where fewer than {settings.number('slow_peers')} do, those that pull other"
        " images from the same registry{{ else }}would take longer than --stale.slow-eta of the aggregator (an hour by"
        f" default){{{{ end }}}}. {BLOCKED} Next: compare the nodes. Where others are faster, look at this node:"
        " bandwidth limits, a failing link, other traffic. Where all are alike, a smaller image or a cache in the"
        " cluster helps.",
    )


def _stalled(settings: Settings) -> str:
    """Stale by the flags of the aggregator. A layer that takes long to unpack gets more time."""
    unpacking = f'{UNMOVED}{{phase="unpacking"}} > {settings.seconds("unpack_after")}'
    return (
        f'{STALE}{{reason=~"no_progress|remote_no_progress"}}\n'
        f'or ({STALE}{{reason="unpack_no_progress"}} and on ({names(PULL)}) {unpacking})'
    )


def _eta() -> str:
    return f'max by ({names(PULL)}) ({STALE}{{reason="slow"}})'


def _ratio_to_peers(settings: Settings) -> str:
    """Against the nodes that pull the same digest, and where there are too few those that use the same registry."""
    return f"({_ratio(settings, IMAGE_LABELS)}\nor {_ratio(settings, REGISTRY)})"


def _ratio(settings: Settings, labels: Labels) -> str:
    median = f"quantile by ({names(labels)}) (0.5, {SPEED})"
    nodes = f"count by ({names(labels)}) (count by ({names(('node', *labels))}) ({SPEED}))"
    return f"{SPEED} / on ({names(labels)}) group_left ()\n({median} and {nodes} >= {settings.number('slow_peers')})"
