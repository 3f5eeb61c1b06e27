"""Recording rules that make one series of what two generations say, and join what belongs together."""

from collections.abc import Iterator

from pulltrace_alerts.levels import NODE, PULL, WAIT, WAIT_CAUSE, WAIT_PULL, names
from pulltrace_alerts.model import Group, Labels, Recording
from pulltrace_alerts.settings import Settings

TIME = "node:pulltrace_exporter_time_seconds:max"
UNMOVED = "pull:pulltrace_pull_unmoved_seconds:min"
PULL_SPEED = "pull:pulltrace_pull_bytes_per_second:max"
WAITING = "wait:pulltrace_pod_pull_waiting_seconds:max"
PHASE = "wait:pulltrace_pod_pull_phase:top1"
WAIT_OF_PULL = "wait_pull:pulltrace_pod_pull_waiting_seconds:max"
VERDICT = "wait_verdict:pulltrace_pod_pull_waiting_seconds:max"
RECENT = "wait_cause:pulltrace_pod_pull_waiting_seconds:max3m"
STALE = "pull:pulltrace_pull_stale:max"

MATCHES = ("none", "ambiguous", "repository", "exact")


def one(operation: str, labels: Labels, metric: str) -> str:
    """One series of all that have these labels."""
    return f"{operation} by ({names(labels)}) ({metric})"


def best(labels: Labels, of: str) -> str:
    """One series for each of the labels, with the rest of its own: that of the highest value."""
    return f"topk by ({names(labels)}) (1,\n{of}\n)"


def pulls(_: Settings) -> Group:
    """What nodes pull."""
    return Group("pulltrace.pulls", tuple(_pulls()))


def _pulls() -> Iterator[Recording]:
    yield Recording(TIME, NODE, one("max", NODE, "pulltrace_exporter_time_seconds"))
    yield Recording(
        "pull:pulltrace_pull_phase:max", (*PULL, "phase"), one("max", (*PULL, "phase"), "pulltrace_pull_phase")
    )
    # An exporter that has just started may not know the tag yet; only names that are known are recorded.
    named = one("max", (*PULL, "reference"), 'pulltrace_pull_info{reference!=""}')
    yield Recording("pull:pulltrace_pull_info:top1", (*PULL, "reference"), best(PULL, f"  {named}"))
    for metric, operation in (
        ("pulltrace_pull_size_bytes", "max"),
        ("pulltrace_pull_downloaded_bytes", "max"),
        ("pulltrace_pull_progress_ratio", "max"),
        ("pulltrace_pull_bytes_per_second", "max"),
        ("pulltrace_pull_eta_seconds", "min"),
    ):
        yield Recording(f"pull:{metric}:{operation}", PULL, one(operation, PULL, metric))
    yield Recording("pull:pulltrace_pull_age_seconds:max", PULL, _age("min", "pulltrace_pull_start_time_seconds"))
    yield Recording(
        UNMOVED,
        (*PULL, "phase"),
        # Ended pulls do not move.
        f'pull:pulltrace_pull_phase:max{{phase=~"downloading|unpacking"}} * on ({names(PULL)}) group_left ()\n'
        f"(\n{_age('max', 'pulltrace_pull_last_progress_timestamp_seconds')}\n)",
    )
    yield Recording(STALE, (*PULL, "reason"), one("max", (*PULL, "reason"), "pulltrace_pull_stale"))


def _age(operation: str, instant: str) -> str:
    """On the node's own clock, from which an instant of a busy scrape may be a moment ahead."""
    since = one(operation, PULL, instant)
    return f"clamp_min({TIME} - on ({names(NODE)}) group_right () {since}, 0)"


def _ranked(rank: int, match: str, info: Labels) -> str:
    metric = f'pulltrace_pod_pull_info{{match="{match}"}}'
    return f"  {rank} * {one('max', info, metric)}"


def waits(settings: Settings) -> Group:
    """What pods wait for."""
    return Group("pulltrace.waits", tuple(_waits(settings)))


def _waits(settings: Settings) -> Iterator[Recording]:
    yield Recording(WAITING, WAIT, one("max", WAIT, "pulltrace_pod_pull_waiting_seconds"))
    phase = one("max", (*WAIT, "phase"), "pulltrace_pod_pull_phase")
    yield Recording(PHASE, (*WAIT, "phase"), best(WAIT, f"  {phase}"))
    info = (*WAIT, "uid", "registry", "repository", "digest", "match")
    yield Recording(
        "wait:pulltrace_pod_pull_info:top1",
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
    yield Recording(
        "wait:pulltrace_pod_pull_blocked_by:top1", causes, f"group by ({names(causes)}) (\n{best(WAIT, of)}\n)"
    )
    on = f"* on ({names(WAIT)}) group_left"
    yield Recording(
        WAIT_OF_PULL,
        WAIT_PULL,
        f"{WAITING}\n{on} (registry, repository, digest) wait:pulltrace_pod_pull_info:top1",
    )
    yield Recording(
        VERDICT, (*WAIT_PULL, "cause"), f"{WAIT_OF_PULL}\n{on} (cause) wait:pulltrace_pod_pull_blocked_by:top1"
    )
    # A retry has another verdict for a moment, and the pod still fails.
    yield Recording(
        RECENT,
        WAIT_CAUSE,
        f"{one('max', WAIT_CAUSE, f'max_over_time({VERDICT}[{settings.duration(settings.flap)}])')}\n"
        f"and on ({names(WAIT)}) {WAITING}",
    )
