"""The landing page of the aggregator: what has waited longest, and what blocks it."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from pulltrace import __version__
from pulltrace.web import Response
from pulltrace.web.landing import MOST_ROWS, duration_text, html_text, landing_response, size_text, table
from pulltrace_aggregator.loop import Published
from pulltrace_aggregator.model.node import NodePull, NodeState
from pulltrace_aggregator.model.states import Cause, PodPhase
from pulltrace_aggregator.model.view import PodImage, PodPull, View

_HEADINGS: Final = ("Pod", "Image", "Node", "Phase", "Progress", "Rate", "Left", "Blocked by", "Waiting")
_HARMLESS: Final = (None, Cause.PROGRESSING, Cause.QUEUE, Cause.SHARED_LAYER)


def landing_page(published: Published, now: float, telemetry_path: str) -> Response:
    """The page at the monotonic time `now`, in seconds."""
    return landing_response(
        "Image pulls of the cluster",
        telemetry_path,
        (*_faults(published), f"<p>{_summary(published.view)}</p>", _waiting(published.view, now)),
        f"pulltrace-aggregator {__version__}",
    )


def _faults(published: Published) -> Iterator[str]:
    if published.unready:
        yield f'<p class="bad">Not ready: {html_text(published.unready)}.</p>'
    else:
        yield from (f'<p class="bad">{html_text(problem)}</p>' for problem in published.problems)


def _summary(view: View) -> str:
    states = Counter(node.state for node in view.nodes)
    running = sum(node.running for node in view.nodes)
    silent = states[NodeState.UNREACHABLE]
    exporters = f"{states[NodeState.OK]} exporters answer" + (
        f', <span class="bad">{silent} do not</span>' if silent else ""
    )
    return f"{exporters}; {running} pulls are under way."


def _waiting(view: View, now: float) -> str:
    waiting = sorted((row for row in view.pods if row.phase is not PodPhase.PULLED), key=lambda row: row.since)
    if not waiting:
        return "<p>No pod waits for an image.</p>"
    return table(_HEADINGS, [_row(entry, now) for entry in waiting[:MOST_ROWS]], len(waiting))


def _row(entry: PodPull, now: float) -> tuple[str, ...]:
    labels, pull = entry.labels, entry.pull
    rate, eta = (pull.bytes_per_second, pull.eta_seconds) if pull else (None, None)
    return (
        _pod(labels),
        html_text(labels.image),
        html_text(labels.node),
        html_text(entry.phase),
        _progress(pull),
        "" if rate is None else f"{size_text(rate)}/s",
        "" if eta is None else duration_text(eta),
        _cause(entry),
        duration_text(now - entry.since),
    )


def _pod(labels: PodImage) -> str:
    container = f"{html_text(labels.container_type)} {html_text(labels.container)}"
    return f"{html_text(labels.namespace)}/{html_text(labels.pod)}<small>{container}</small>"


def _progress(entry: NodePull | None) -> str:
    ratio = None if entry is None else entry.pull.progress_ratio
    return "" if ratio is None else f'<progress value="{ratio:.3f}"></progress> {int(ratio * 100)} %'


def _cause(entry: PodPull) -> str:
    behind = f"<small>behind {html_text(entry.behind)}</small>" if entry.behind else ""
    cause = html_text(entry.cause or "")
    return (cause if entry.cause in _HARMLESS else f'<span class="bad">{cause}</span>') + behind
