"""Alerts about registries: what makes all nodes wait, so that one page is worth more than hundreds."""

from collections.abc import Iterator

from pulltrace_alerts.levels import NODE_REGISTRY, REGISTRY, names
from pulltrace_alerts.model import PLATFORM, Alert, Group
from pulltrace_alerts.recorded import (
    ACTIVE,
    BYTES,
    FAULTY_NODES,
    MEAN_1H,
    PULLED_NODES,
    UNREACHED,
    one,
    rate,
)
from pulltrace_alerts.settings import HOUR, WEEK, Settings
from pulltrace_alerts.texts import VALUE_PERCENT, longest_wait

ON = f"on ({names(REGISTRY)})"


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.registries", tuple(_alerts(settings)))


def known(settings: Settings) -> str:
    """The names that are those of registries: several nodes have pulled from them within the week."""
    past = f"max_over_time({PULLED_NODES}[{settings.fixed(WEEK)}:{settings.fixed(HOUR)}])"
    enough = f">= {settings.number('known_nodes')}"
    # Each by itself: counters that began anew with an update of the exporters take nothing from what was seen before.
    return f"{PULLED_NODES} {enough} or {past} {enough}"


def unanswered(settings: Settings) -> str:
    """The known registries that several nodes cannot reach."""
    nodes = one("count", REGISTRY, one("count", NODE_REGISTRY, UNREACHED))
    return f"{nodes} >= {settings.number('unanswered_nodes')}\nand {ON} ({known(settings)})"


def _alerts(settings: Settings) -> Iterator[Alert]:
    worst = longest_wait("cluster", "registry")
    yield Alert(
        "PulltraceRegistryNotAnswering",
        "critical",
        PLATFORM,
        "unanswered_for",
        REGISTRY,
        "registry",
        unanswered(settings),
        "Registry {{ $labels.registry }} does not answer.",
        "On {{ $value }} nodes pods wait for {{ $labels.registry }}, which does not answer or breaks off; nodes have"
        f" pulled from it before. {worst} Next: see whether the registry is up and reachable from outside the cluster;"
        " then its certificate, firewalls, proxies and name resolution on the way.",
        outlast=True,
    )
    past = f"{MEAN_1H}[{settings.fixed(WEEK)}:{settings.fixed(HOUR)}] offset {settings.fixed(HOUR)}"
    yield Alert(
        "PulltraceRegistrySlow",
        "warning",
        PLATFORM,
        "registry_slow_for",
        REGISTRY,
        "registry",
        f"({_lately(settings)}) / quantile_over_time(0.5, {past}) < {settings.number('registry_slow_share')}\n"
        f"and {ON} count_over_time({past}) >= {settings.number('registry_slow_hours')}",
        "Downloads from {{ $labels.registry }} are much slower than in the last week.",
        f"Over the last hour downloads from {{{{ $labels.registry }}}} had {VALUE_PERCENT} of the speed of the median"
        f" hour of the last week. {worst} Next: look at the registry or its mirror, its storage and its uplink, and ask"
        " what has changed: a new proxy, other images, more nodes that pull at once, a limit of the registry.",
        outlast=True,
    )
    yield _burn(settings, worst)


def _lately(settings: Settings) -> str:
    """The speed in the last hour, of the nodes that downloaded for long enough."""
    hour = settings.fixed(HOUR)
    active = f"max by ({names(NODE_REGISTRY)}) (increase({ACTIVE}[{hour}]))"
    enough = f"and on ({names(NODE_REGISTRY)}) {active} >= {settings.seconds('registry_slow_active')}"
    loaded, busy = (
        f"sum by ({names(REGISTRY)}) (\n  {rate('sum', NODE_REGISTRY, counter, hour)}\n  {enough}\n)"
        for counter in (BYTES, ACTIVE)
    )
    return f"{loaded}\n/ {busy}"


def _burn(settings: Settings, worst: str) -> Alert:
    """Burn rates over a long and a short window: the long one says that it matters, the short one that it goes on."""
    fast = _burns(settings, "burn_fast", ("1h", "5m"), 1)
    slow = _burns(settings, "burn_slow", ("6h", "30m"), 6)
    return Alert(
        "PulltraceRegistryErrorBudgetBurn",
        "warning",
        PLATFORM,
        "burn_for",
        REGISTRY,
        "registry",
        f"(({fast})\nor {ON} ({slow}))\nand {ON} ({known(settings)})",
        "Pulls from {{ $labels.registry }} fail much more often than its error budget allows.",
        f"{VALUE_PERCENT} of the pulls from {{{{ $labels.registry }}}} failed of late for reasons of the registry or"
        f" the way to it; the objective is that {settings.number('objective')} of them do not. {worst} Next: see which"
        " reasons there are (dashboard, pulltrace_pod_pull_failures_total): timeouts, refusals and rate limits have"
        " different remedies.",
    )


def _burns(settings: Settings, factor: str, windows: tuple[str, str], hours: float) -> str:
    long, short = windows
    limit = f"{settings.number(factor)} * (1 - {settings.number('objective')})"
    window = settings.fixed(hours * HOUR)
    attempts = f"registry:pulltrace_pod_pulls:rate{long} * {hours * HOUR / settings.scale:g}"
    return (
        f"registry:pulltrace_pod_pull_errors:ratio_rate{long} > {limit}\n"
        f"and {ON} registry:pulltrace_pod_pull_errors:ratio_rate{short} > {limit}\n"
        f"and {ON} {attempts} >= {settings.number('burn_attempts')}\n"
        f"and {ON} max_over_time({FAULTY_NODES}[{window}]) >= {settings.number('burn_nodes')}"
    )
