"""Recording rules over counters and histograms: speed, success, where time goes, and how far a rollout is."""

from collections.abc import Iterator

from pulltrace_alerts.joins import PULL_SPEED, RECENT, STALE, one
from pulltrace_alerts.levels import IMAGE, LEVELS, NODE, NODE_REGISTRY, REGISTRY, names
from pulltrace_alerts.model import Group, Labels, Recording
from pulltrace_alerts.settings import HOUR, MINUTE, WEEK, Settings

MEAN_1H = "registry:pulltrace_download_bytes_per_second:mean1h"
MEDIAN_1W = "registry:pulltrace_download_bytes_per_second:median1w"
HOURS_1W = "registry:pulltrace_download_bytes_per_second:count1w"
MEDIAN_5M = "registry:pulltrace_download_bytes_per_second:median5m"
NODES_5M = "registry:pulltrace_download_bytes_per_second:count5m"
RATIO_TO_PEERS = "pull:pulltrace_pull_bytes_per_second:ratio_to_peers"
SPEED_OF_NODE = "node_registry:pulltrace_download_bytes_per_second:mean5m"
STEADY_OF_NODE = "node_registry:pulltrace_download_bytes_per_second:steady5m"
WINDOWS = (("5m", 5 * MINUTE), ("30m", 30 * MINUTE), ("1h", HOUR), ("6h", 6 * HOUR))
OWN_FAULTS = "registry_unavailable|timeout|tls|dns|rate_limited"
"""Reasons of failures that speak of the registry and the way to it; the others speak of pods, images and nodes."""
OWN_CAUSES = "registry|rate_limited"
"""The verdicts on pods whose pulls fail for these reasons."""
FAILING_ON_NODE = "node_registry:pulltrace_pod_pull_waiting_seconds:count_failing"
SUCCESS_1H = "registry:pulltrace_pod_pulls:success_ratio_rate1h"

BYTES = "pulltrace_downloaded_bytes_total"
ACTIVE = 'pulltrace_active_seconds_total{stage="download"}'
FAILURES = "pulltrace_pod_pull_failures_total"
SUCCESSES = "pulltrace_pod_pull_duration_seconds_count"


def rate(operation: str, labels: Labels, counter: str, window: str) -> str:
    """The rate of each series first, then their sum: a restart is a reset of one series, never of a sum."""
    return one(operation, labels, f"rate({counter}[{window}])")


def downloaded_for(settings: Settings, window: float, seconds: float) -> str:
    """The nodes and registries with so many seconds of download in the window: in fewer, requests outweigh bytes."""
    active = f"max by ({names(NODE_REGISTRY)}) (increase({ACTIVE}[{settings.duration(window)}]))"
    return f"{active} >= {settings.seconds(seconds)}"


def speed(settings: Settings) -> Group:
    """How fast nodes, registries and images are: bytes by the time in which something was downloaded."""
    return Group("pulltrace.speed", tuple(_speed(settings)))


def _speed(settings: Settings) -> Iterator[Recording]:
    window, hour, week = (settings.duration(seconds) for seconds in (5 * MINUTE, HOUR, WEEK))
    for level in ("node_registry", "registry", "node"):
        labels = LEVELS[level]
        bytes_rate, active = f"{level}:pulltrace_downloaded_bytes:rate5m", f"{level}:pulltrace_active_seconds:rate5m"
        yield Recording(bytes_rate, labels, rate("sum", labels, BYTES, window))
        yield Recording(active, labels, rate("sum", labels, ACTIVE, window))
        mean = f"{level}:pulltrace_download_bytes_per_second:mean5m"
        yield Recording(mean, labels, f"{bytes_rate} / ({active} > 0)")
    yield Recording(
        STEADY_OF_NODE,
        NODE_REGISTRY,
        f"{SPEED_OF_NODE}\n"
        f"and on ({names(NODE_REGISTRY)}) {downloaded_for(settings, 5 * MINUTE, settings.registry_slow_active)}",
    )
    yield Recording(MEDIAN_5M, REGISTRY, f"quantile by ({names(REGISTRY)}) (0.5, {STEADY_OF_NODE})")
    yield Recording(NODES_5M, REGISTRY, one("count", REGISTRY, STEADY_OF_NODE))
    yield Recording(
        "node_registry:pulltrace_download_bytes_per_second:ratio_to_median5m",
        NODE_REGISTRY,
        f"{STEADY_OF_NODE} / on ({names(REGISTRY)}) group_left ()\n"
        f"({MEDIAN_5M} and {NODES_5M} >= {settings.slow_peers})",
    )
    for level, labels in (("image", IMAGE), ("registry", REGISTRY)):
        median = f"quantile by ({names(labels)}) (0.5, {PULL_SPEED})"
        yield Recording(f"{level}:pulltrace_pull_bytes_per_second:median", labels, median)
    yield Recording("image:pulltrace_pull_bytes_per_second:sum", IMAGE, one("sum", IMAGE, PULL_SPEED))
    yield Recording(RATIO_TO_PEERS, LEVELS["pull"], _ratio_to_peers(settings))
    yield Recording(
        MEAN_1H, REGISTRY, f"{rate('sum', REGISTRY, BYTES, hour)}\n/ ({rate('sum', REGISTRY, ACTIVE, hour)} > 0)"
    )
    # One value an hour is enough for a week, and a week of every sample would be too much.
    past = f"{MEAN_1H}[{week}:{hour}] offset {hour}"
    yield Recording(MEDIAN_1W, REGISTRY, f"quantile_over_time(0.5, {past})")
    yield Recording(HOURS_1W, REGISTRY, f"count_over_time({past})")


def _ratio_to_peers(settings: Settings) -> str:
    """Against the nodes that pull the same digest, and where there are too few those that use the same registry."""
    parts = []
    for level, labels in (("image", IMAGE), ("registry", REGISTRY)):
        nodes = f"count by ({names(labels)}) (count by ({names(('cluster', 'node', *labels[1:]))}) ({PULL_SPEED}))"
        parts.append(
            f"{PULL_SPEED} / on ({names(labels)}) group_left ()\n"
            f"({level}:pulltrace_pull_bytes_per_second:median and {nodes} >= {settings.slow_peers})"
        )
    return "\nor\n".join(parts)


def attempts(settings: Settings) -> Group:
    """How often pulls succeed, and why they fail."""
    return Group("pulltrace.attempts", tuple(_attempts(settings)))


def _attempts(settings: Settings) -> Iterator[Recording]:
    short = settings.duration(5 * MINUTE)
    for level in ("registry_reason", "namespace_registry_reason"):
        yield Recording(
            f"{level}:pulltrace_pod_pull_failures:rate5m", LEVELS[level], rate("sum", LEVELS[level], FAILURES, short)
        )
    for name, seconds in WINDOWS:
        window = settings.duration(seconds)
        attempts, failed = f"registry:pulltrace_pod_pulls:rate{name}", _failed("", window)
        succeeded = rate("sum", REGISTRY, SUCCESSES, window)
        # A side without a series has counted none; a ratio needs both.
        yield Recording(attempts, REGISTRY, f"({succeeded} or 0 * {failed})\n+ ({failed} or 0 * {succeeded})")
        own = _failed(f'{{reason=~"{OWN_FAULTS}"}}', window)
        yield Recording(
            f"registry:pulltrace_pod_pull_errors:ratio_rate{name}",
            REGISTRY,
            f"({own} or 0 * {attempts}) / ({attempts} > 0)",
        )
    # The counters know no node.
    failing = f'{RECENT}{{cause=~"{OWN_CAUSES}"}}'
    yield Recording(FAILING_ON_NODE, NODE_REGISTRY, one("count", NODE_REGISTRY, failing))
    yield Recording(
        SUCCESS_1H,
        REGISTRY,
        f"({rate('sum', REGISTRY, SUCCESSES, settings.duration(HOUR))} or 0 * registry:pulltrace_pod_pulls:rate1h)\n"
        "/ (registry:pulltrace_pod_pulls:rate1h > 0)",
    )
    yield from _attempts_of_nodes(settings)


def _failed(matchers: str, window: str) -> str:
    return rate("sum", REGISTRY, f"{FAILURES}{matchers}", window)


def _attempts_of_nodes(settings: Settings) -> Iterator[Recording]:
    """From the exporters' counters, which know the node; what never named an image has no registry there."""
    hour = settings.duration(HOUR)
    ended = rate("sum", NODE, "pulltrace_pulls_total", hour)
    unresolved = rate("sum", NODE, "pulltrace_unresolved_pulls_total", hour)
    succeeded = rate("sum", NODE, 'pulltrace_pulls_total{result="succeeded"}', hour)
    yield Recording(
        "node:pulltrace_pulls:success_ratio_rate1h",
        NODE,
        f"({succeeded} or 0 * {unresolved})\n/ ((({ended} or 0 * {unresolved}) + {unresolved}) > 0)",
    )


def durations(settings: Settings) -> Group:
    """How long the stages of a pull and of a pod's start take."""
    return Group("pulltrace.durations", tuple(_durations(settings)))


def _durations(settings: Settings) -> Iterator[Recording]:
    hour = settings.duration(HOUR)
    for level, metric in (
        ("registry", "pulltrace_pull_duration_seconds"),
        ("node", "pulltrace_pull_duration_seconds"),
        ("namespace_stage", "pulltrace_pod_pull_stage_seconds"),
    ):
        labels = LEVELS[level]
        buckets = rate("sum", (*labels, "le"), f"{metric}_bucket", hour)
        for percent in (50, 90, 99):
            expr = f"histogram_quantile({percent / 100}, {buckets})"
            yield Recording(f"{level}:{metric}:p{percent}_rate1h", labels, expr)
    for level, metric in (
        ("registry_stage", "pulltrace_pull_stage_seconds"),
        ("node_stage", "pulltrace_pull_stage_seconds"),
        ("namespace_stage", "pulltrace_pod_pull_stage_seconds"),
    ):
        labels = LEVELS[level]
        total, count = (rate("sum", labels, f"{metric}_{part}", hour) for part in ("sum", "count"))
        yield Recording(f"{level}:{metric}:mean1h", labels, f"{total}\n/ ({count} > 0)")
    whole = rate("sum", ("cluster", "namespace"), f"{metric}_sum", hour)
    yield Recording(
        f"namespace_stage:{metric}:ratio_rate1h",
        labels,
        f"{total}\n/ on (cluster, namespace) group_left ()\n({whole} > 0)",
    )
    # No histogram has the image: this is of the pulls that have just ended, one value for each node.
    took = (
        f"{one('max', LEVELS['pull'], 'pulltrace_pull_end_time_seconds')}\n"
        f"- {one('min', LEVELS['pull'], 'pulltrace_pull_start_time_seconds')}"
    )
    for percent in (50, 90, 99):
        yield Recording(
            f"image:pulltrace_pull_total_seconds:p{percent}",
            IMAGE,
            f"quantile by ({names(IMAGE)}) ({percent / 100},\n{took}\n)",
        )


def rollout(settings: Settings) -> Group:
    """How many of the nodes that began an image in the last hour have it."""
    return Group("pulltrace.rollout", tuple(_rollout(settings)))


def _rollout(settings: Settings) -> Iterator[Recording]:
    hour = settings.duration(HOUR)
    seen = "max_over_time(pull:pulltrace_pull_phase:max{}[" + hour + "])"
    began = one("count", IMAGE, one("max", LEVELS["pull"], seen.replace("{}", "")))
    done = one("count", IMAGE, one("max", LEVELS["pull"], seen.replace("{}", '{phase="succeeded"}')))
    ended = one("count", IMAGE, one("max", LEVELS["pull"], seen.replace("{}", '{phase=~"succeeded|failed|orphaned"}')))
    yield Recording(
        "image:pulltrace_pull_nodes:count",
        (*IMAGE, "phase"),
        one("count", (*IMAGE, "phase"), "pull:pulltrace_pull_phase:max"),
    )
    yield Recording("image:pulltrace_pull_nodes_begun:count1h", IMAGE, began)
    yield Recording(
        "image:pulltrace_pull_nodes_done:count1h", IMAGE, f"{done}\nor 0 * image:pulltrace_pull_nodes_begun:count1h"
    )
    yield Recording(
        "image:pulltrace_pull_nodes_done:ratio1h",
        IMAGE,
        "image:pulltrace_pull_nodes_done:count1h / image:pulltrace_pull_nodes_begun:count1h",
    )
    yield Recording(
        "image:pulltrace_pull_nodes:success_ratio1h", IMAGE, f"image:pulltrace_pull_nodes_done:count1h\n/ {ended}"
    )
    yield Recording(
        "registry:pulltrace_pull_stale:count", (*REGISTRY, "reason"), one("count", (*REGISTRY, "reason"), STALE)
    )
