"""Alerts about registries: what makes all nodes wait, so that one page is worth more than hundreds."""

from collections.abc import Iterator

from pulltrace_alerts.failures import in_namespace
from pulltrace_alerts.joins import PHASE, RECENT
from pulltrace_alerts.levels import NODE, NODE_REGISTRY, REGISTRY, WAIT, WAIT_CAUSE, names
from pulltrace_alerts.model import Alert, Group
from pulltrace_alerts.rates import (
    ACTIVE,
    BYTES,
    FAILING_ON_NODE,
    HOURS_1W,
    MEDIAN_1W,
    MEDIAN_5M,
    NODES_5M,
    SUCCESS_1H,
    SUCCESSES,
    downloaded_for,
    rate,
)
from pulltrace_alerts.settings import HOUR, WEEK, Settings, number
from pulltrace_alerts.texts import POD, VALUE_PERCENT, VALUE_SPEED, longest_wait, waiting

NO_ANSWER = f'({RECENT}{{cause="registry"}} unless on ({names(WAIT)}) {PHASE}{{phase=~"downloading|unpacking"}})'
"""Pods that wait in vain. A registry that took its time and sends now has answered, however recent the verdict is."""


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.registries", tuple(_alerts(settings)))


def _alerts(settings: Settings) -> Iterator[Alert]:
    worst = longest_wait("cluster", "registry")
    yield Alert(
        "PulltraceRegistrySlow",
        "critical",
        settings.registry_slow_for,
        REGISTRY,
        f"{MEDIAN_5M} < {number(settings.registry_slow)}\n"
        f"and on ({names(REGISTRY)}) {NODES_5M} >= {settings.registry_slow_nodes}",
        "Registry {{ $labels.registry }} is slow for all nodes.",
        f"The median node downloads from {{{{ $labels.registry }}}} with {VALUE_SPEED} only; images that pods wait for:"
        f" {waiting('cluster', 'registry')}. {worst} Next: look at the registry or its mirror, its storage and its"
        " uplink; no single node is to blame.",
        outlast=settings.outlast,
    )
    yield from _silence(settings, worst)
    yield from _budget(settings, worst)
    yield Alert(
        "PulltraceRegistryThroughputFallen",
        "warning",
        settings.fallen_for,
        REGISTRY,
        f"(({_lately(settings)}) / {MEDIAN_1W}) < {settings.fallen_share:g}\n"
        f"and on ({names(REGISTRY)}) {HOURS_1W} >= {settings.fallen_hours}",
        "Downloads from {{ $labels.registry }} are much slower than in the last week.",
        f"Over the last hour downloads from {{{{ $labels.registry }}}} had {VALUE_PERCENT} of the speed of the median"
        f" hour of the last week. {worst} Next: ask what has changed: a new mirror or proxy, other images, more nodes"
        " that pull at once, a limit of the registry.",
    )


def _lately(settings: Settings) -> str:
    """The speed in the last hour, of the nodes that downloaded for long enough."""
    enough = f"and on ({names(NODE_REGISTRY)}) {downloaded_for(settings, HOUR, settings.fallen_active)}"
    loaded, active = (
        f"sum by ({names(REGISTRY)}) (\n  {rate('sum', NODE_REGISTRY, counter, settings.duration(HOUR))}\n  {enough}\n)"
        for counter in (BYTES, ACTIVE)
    )
    return f"{loaded}\n/ {active}"


def _silence(settings: Settings, worst: str) -> Iterator[Alert]:
    # By namespace, since one node's clock or resolver must not keep silent what all the others wait for.
    unexplained = f"({NO_ANSWER}\nunless {in_namespace(settings, 'tls|dns')})"
    nodes = f"count by ({names(REGISTRY)}) (count by ({names(NODE_REGISTRY)}) {unexplained})"
    many = f"{nodes} >= {settings.registry_silent_nodes}"
    yield Alert(
        "PulltraceRegistryNotAnswering",
        "critical",
        settings.registry_silent_for,
        REGISTRY,
        many,
        "Registry {{ $labels.registry }} does not answer.",
        f"On {{{{ $value }}}} nodes pods wait for {{{{ $labels.registry }}}}, which does not answer or breaks off."
        f" {worst} Next: see whether the registry is up and reachable from outside the cluster, then firewalls, proxies"
        " and name resolution on the way.",
        outlast=settings.outlast,
    )
    yield Alert(
        "PulltraceNodeCannotReachRegistry",
        "warning",
        settings.failing_for,
        WAIT_CAUSE,
        f"({unexplained}\nunless on ({names(REGISTRY)}) ({many}))\n"
        f"or (max by ({names(NODE)}) (pulltrace_node_resolving_stale) > 0) unless on ({names(NODE)}) {NO_ANSWER}",
        "Node {{ $labels.node }} gets no answer from"
        " {{ if $labels.registry }}{{ $labels.registry }}{{ else }}a registry{{ end }}.",
        f"{POD} waits for {{{{ if $labels.image }}}}{{{{ $labels.image }}}}{{{{ else }}}}an image{{{{ end }}}} on node"
        " {{ $labels.node }}, and the registry does not answer there. Verdict: registry. Next: no other node waits for"
        " it, so look at this node's network, DNS and proxy.",
    )


def _budget(settings: Settings, worst: str) -> Iterator[Alert]:
    """Burn rates over a long and a short window: the long one says that it matters, the short one that it goes on."""
    yield _burn(settings, "Fast", ("1h", "5m", 1.0), settings.burn_fast, settings.burn_fast_for, worst)
    yield _burn(settings, "Slow", ("6h", "30m", 6.0), settings.burn_slow, settings.burn_slow_for, worst)


def _burn(
    settings: Settings, name: str, windows: tuple[str, str, float], factor: float, hold: float, worst: str
) -> Alert:
    long, short, hours = windows
    limit = number(factor * (1 - settings.objective))
    attempts = f"registry:pulltrace_pod_pulls:rate{long} * {settings.seconds(hours * HOUR)}"
    window = settings.duration(hours * HOUR)
    failing = f"count by ({names(REGISTRY)}) (max_over_time({FAILING_ON_NODE}[{window}]))"
    on = f"on ({names(REGISTRY)})"
    return Alert(
        f"PulltraceRegistryErrorBudgetBurn{name}",
        "critical" if name == "Fast" else "warning",
        hold,
        REGISTRY,
        f"registry:pulltrace_pod_pull_errors:ratio_rate{long} > {limit}\n"
        f"and {on} registry:pulltrace_pod_pull_errors:ratio_rate{short} > {limit}\n"
        f"and {on} {attempts} >= {number(settings.burn_attempts)}\n"
        f"and {on} {failing} >= {settings.burn_nodes}\n"
        f"and {on} {_known(settings)}",
        f"Pulls from {{{{ $labels.registry }}}} fail at least {factor:g} times as often as its error budget allows.",
        f"Over the last {long} {VALUE_PERCENT} of the pulls from {{{{ $labels.registry }}}} failed for reasons of the"
        f" registry or the way to it; the objective allows {number(100 * (1 - settings.objective))}%. {worst} Next: see"
        " which reasons (registry_reason:pulltrace_pod_pull_failures:rate5m): timeouts, refusals and rate limits have"
        " different remedies.",
    )


def _known(settings: Settings) -> str:
    """The names that are those of registries: something was pulled from them, since the aggregator began or lately."""
    hour, week = settings.duration(HOUR), settings.duration(WEEK)
    ever = f"max by ({names(REGISTRY)}) ({SUCCESSES}) > 0"
    return f"({ever} or max_over_time({SUCCESS_1H}[{week}:{hour}]) > 0)"
