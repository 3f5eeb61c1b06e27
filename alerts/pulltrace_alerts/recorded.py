"""Recording rules: one series of what two generations of a program say, what several alerts need, and dashboards' sums.

Each is used by an alert, by the text of one, or by a dashboard; a test holds that.
"""

from collections.abc import Iterator
from typing import Final

from pulltrace_alerts.levels import (
    NAMESPACE_REGISTRY,
    NODE,
    NODE_REGISTRY,
    PULL,
    REGISTRY,
    REGISTRY_LE,
    REGISTRY_STAGE,
    WAIT,
    WAIT_CAUSE,
    WAIT_IMAGE,
    WAIT_PULL,
    WAIT_REASON,
    names,
)
from pulltrace_alerts.model import Group, Labels, Recording
from pulltrace_alerts.settings import HOUR, MINUTE, Settings

TIME: Final = "node:pulltrace_exporter_time_seconds:max"
UNMOVED: Final = "pull:pulltrace_pull_unmoved_seconds:min"
SPEED: Final = "pull:pulltrace_pull_bytes_per_second:max"
STALE: Final = "pull:pulltrace_pull_stale:top1"
WAITING: Final = "wait:pulltrace_pod_pull_waiting_seconds:max"
INFO: Final = "wait:pulltrace_pod_pull_info:top1"
BLOCKED_BY: Final = "wait:pulltrace_pod_pull_blocked_by:top1"
WAIT_OF_PULL: Final = "wait_pull:pulltrace_pod_pull_waiting_seconds:max"
WAIT_CAUSES: Final = "wait_cause:pulltrace_pod_pull_waiting_seconds:max"
RECENT: Final = "wait_cause:pulltrace_pod_pull_waiting_seconds:max3m"
FAILING: Final = "wait_reason:pulltrace_pod_pull_failing_seconds:max3m"
UNREACHED: Final = "wait_reason:pulltrace_pod_pull_unreached_seconds:max3m"
LASTING: Final = "namespace_registry:pulltrace_pod_pull_failing:count"
FAULTY_NODES: Final = "registry:pulltrace_pod_pull_failing_nodes:count"
PULLED_NODES: Final = "registry:pulltrace_pulls_succeeded_nodes:count"
MEAN_1H: Final = "registry:pulltrace_download_bytes_per_second:mean1h"
FETCHED_5M: Final = "registry:pulltrace_downloaded_bytes:rate5m"
CACHED_5M: Final = "registry:pulltrace_cached_bytes:rate5m"
REMOTE_5M: Final = "registry:pulltrace_remote_bytes:rate5m"
ACTIVE_5M: Final = "registry:pulltrace_download_active_seconds:rate5m"
DURATIONS_5M: Final = "registry_le:pulltrace_pull_duration_seconds_bucket:rate5m"
STAGE_SECONDS_5M: Final = "registry_stage:pulltrace_pull_stage_seconds_sum:rate5m"
STAGE_PULLS_5M: Final = "registry_stage:pulltrace_pull_stage_seconds_count:rate5m"

FAILURES: Final = "pulltrace_pod_pull_failures_total"
SUCCESSES: Final = "pulltrace_pod_pull_duration_seconds_count"
BYTES: Final = "pulltrace_downloaded_bytes_total"
ACTIVE: Final = 'pulltrace_active_seconds_total{stage="download"}'
MATCHES: Final = ("none", "ambiguous", "repository", "exact")
BURN_WINDOWS: Final = (("5m", 5 * MINUTE), ("30m", 30 * MINUTE), ("1h", HOUR), ("6h", 6 * HOUR))
NO_ANSWER: Final = "registry_unavailable|timeout|tls|dns"
"""Reasons of a registry that cannot be reached or talked to."""
OWN_FAULTS: Final = f"{NO_ANSWER}|rate_limited"
"""Reasons that speak of the registry and the way to it; the others speak of pods, images and nodes."""
FLAP: Final = 3 * MINUTE
"""Failing counts as going on through a retry, during which cause and reason are others for a moment."""


def one(operation: str, labels: Labels, metric: str) -> str:
    """One series for each combination of these labels."""
    return f"{operation} by ({names(labels)}) ({metric})"


def best(labels: Labels, of: str) -> str:
    """For each combination of these labels the series with the highest value, with its other labels."""
    return f"topk by ({names(labels)}) (1,\n{of}\n)"


def rate(operation: str, labels: Labels, counter: str, window: str) -> str:
    """The rate of each series first, then their sum: a restart is a reset of one series, never of a sum."""
    return one(operation, labels, f"rate({counter}[{window}])")


def pulls(_: Settings) -> Group:
    """What nodes pull."""
    return Group("pulltrace.pulls", tuple(_pulls()))


def _pulls() -> Iterator[Recording]:
    yield Recording(TIME, NODE, one("max", NODE, "pulltrace_exporter_time_seconds"))
    running = one("max", (*PULL, "phase"), 'pulltrace_pull_phase{phase=~"downloading|unpacking"}')
    since = one("max", PULL, "pulltrace_pull_last_progress_timestamp_seconds")
    yield Recording(
        UNMOVED,
        (*PULL, "phase"),
        # On the node's own clock, from which an instant of a busy scrape may be a moment ahead.
        f"{running} * on ({names(PULL)}) group_left ()\n"
        f"clamp_min({TIME} - on ({names(NODE)}) group_right () {since}, 0)",
    )
    yield Recording(SPEED, PULL, one("max", PULL, "pulltrace_pull_bytes_per_second"))
    # Two generations of the aggregator may differ in the reason for a moment.
    stale = one("max", (*PULL, "reason"), "pulltrace_pull_stale")
    yield Recording(STALE, (*PULL, "reason"), best(PULL, f"  {stale}"))
    succeeded = one("max", NODE_REGISTRY, 'pulltrace_pulls_total{result="succeeded"}')
    yield Recording(PULLED_NODES, REGISTRY, one("count", REGISTRY, f"{succeeded} > 0"))


def waits(settings: Settings) -> Group:
    """What pods wait for."""
    return Group("pulltrace.waits", (*_waits(settings), *_failing(settings)))


def _ranked(rank: int, match: str, info: Labels) -> str:
    metric = f'pulltrace_pod_pull_info{{match="{match}"}}'
    return f"  {rank} * {one('max', info, metric)}"


def _waits(settings: Settings) -> Iterator[Recording]:
    yield Recording(WAITING, WAIT, one("max", WAIT, "pulltrace_pod_pull_waiting_seconds"))
    info = (*WAIT, "uid", "registry", "repository", "digest", "match")
    yield Recording(
        INFO,
        info,
        # An aggregator that has just started may not have found the pull yet: the surest match is taken.
        f"group by ({names(info)}) (\n"
        + best(WAIT, "\n  or\n".join(_ranked(rank, match, info) for rank, match in enumerate(MATCHES, 1)))
        + "\n)",
    )
    causes = (*WAIT, "cause")
    blocked = one("max", causes, 'pulltrace_pod_pull_blocked_by{cause!="progressing"}')
    progressing = one("max", causes, 'pulltrace_pod_pull_blocked_by{cause="progressing"}')
    of = f"  2 * {blocked}\n  or\n  {progressing}"
    yield Recording(BLOCKED_BY, causes, f"group by ({names(causes)}) (\n{best(WAIT, of)}\n)")
    on = f"* on ({names(WAIT)}) group_left"
    yield Recording(WAIT_OF_PULL, WAIT_PULL, f"{WAITING}\n{on} (registry, repository, digest) {INFO}")
    yield Recording(WAIT_CAUSES, WAIT_CAUSE, one("max", WAIT_CAUSE, f"\n{WAIT_OF_PULL}\n{on} (cause) {BLOCKED_BY}\n"))
    yield Recording(
        RECENT,
        WAIT_CAUSE,
        f"max_over_time({WAIT_CAUSES}[{settings.fixed(FLAP)}])\nand on ({names(WAIT)}) {WAITING}",
    )


def _failing(settings: Settings) -> Iterator[Recording]:
    on = f"on ({names(WAIT)})"
    failure = one("max", (*WAIT, "reason"), f"max_over_time(pulltrace_pod_pull_failure[{settings.fixed(FLAP)}])")
    yield Recording(
        FAILING,
        WAIT_REASON,
        f"{one('max', WAIT_REASON, f'{failure} * {on} group_left (registry, repository) {WAIT_OF_PULL}')}\n"
        f"or {on} {_without_reason('backoff', 'unknown')}",
    )
    # A registry that took its time and sends now has answered, however recent the failure is.
    sending = one("max", WAIT, 'pulltrace_pod_pull_phase{phase=~"downloading|unpacking"}')
    yield Recording(
        UNREACHED,
        WAIT_REASON,
        f'({FAILING}{{reason=~"{NO_ANSWER}"}}\nor {on} {_without_reason("registry", "no_answer")})\n'
        f"unless {on} {sending}",
    )
    yield Recording(
        LASTING, NAMESPACE_REGISTRY, one("count", NAMESPACE_REGISTRY, f"{FAILING} > {settings.seconds('failing_for')}")
    )
    own = f'{FAILING}{{reason="rate_limited"}} or {UNREACHED}'
    yield Recording(FAULTY_NODES, REGISTRY, one("count", REGISTRY, one("count", NODE_REGISTRY, own)))


def _without_reason(cause: str, reason: str) -> str:
    """Waits that a cause blocks, with a reason for those of which no failure was told."""
    return f'label_replace({one("max", WAIT_IMAGE, f"{RECENT}{{{_cause(cause)}}}")}, "reason", "{reason}", "", "")'


def _cause(cause: str) -> str:
    return f'cause="{cause}"'


def registries(settings: Settings) -> Group:
    """How fast registries are, and how often pulls from them fail."""
    return Group("pulltrace.registries", (*_speed(settings), *_attempts(settings)))


def _speed(settings: Settings) -> Iterator[Recording]:
    hour = settings.fixed(HOUR)
    yield Recording(
        MEAN_1H, REGISTRY, f"{rate('sum', REGISTRY, BYTES, hour)}\n/ ({rate('sum', REGISTRY, ACTIVE, hour)} > 0)"
    )


def _attempts(settings: Settings) -> Iterator[Recording]:
    for name, seconds in BURN_WINDOWS:
        window = settings.fixed(seconds)
        failed, succeeded = rate("sum", REGISTRY, FAILURES, window), rate("sum", REGISTRY, SUCCESSES, window)
        # A side without a series has counted none; a ratio needs both.
        attempts = f"(({succeeded} or 0 * {failed})\n+ ({failed} or 0 * {succeeded}))"
        if name in ("1h", "6h"):
            yield Recording(f"registry:pulltrace_pod_pulls:rate{name}", REGISTRY, attempts)
            attempts = f"registry:pulltrace_pod_pulls:rate{name}"
        own = rate("sum", REGISTRY, f'{FAILURES}{{reason=~"{OWN_FAULTS}"}}', window)
        yield Recording(
            f"registry:pulltrace_pod_pull_errors:ratio_rate{name}",
            REGISTRY,
            f"({own} or 0 * {attempts})\n/ ({attempts} > 0)",
        )


def overviews(settings: Settings) -> tuple[Recording, ...]:
    """What dashboards show of all nodes over time: cheap to ask for, however many nodes there are."""
    window = settings.fixed(5 * MINUTE)
    summed = (
        (FETCHED_5M, REGISTRY, BYTES),
        (CACHED_5M, REGISTRY, "pulltrace_cached_bytes_total"),
        (REMOTE_5M, REGISTRY, "pulltrace_remote_bytes_total"),
        (ACTIVE_5M, REGISTRY, ACTIVE),
        (DURATIONS_5M, REGISTRY_LE, "pulltrace_pull_duration_seconds_bucket"),
        (STAGE_SECONDS_5M, REGISTRY_STAGE, "pulltrace_pull_stage_seconds_sum"),
        (STAGE_PULLS_5M, REGISTRY_STAGE, "pulltrace_pull_stage_seconds_count"),
    )
    return tuple(Recording(name, labels, rate("sum", labels, counter, window)) for name, labels, counter in summed)
