"""The landing page of the exporter: what its node pulls now."""

from typing import Final

from pulltrace.model.pull import LayerState, NodeReport, Phase, Pull
from pulltrace.web import Response
from pulltrace.web.landing import MOST_ROWS, duration_text, html_text, landing_response, size_text, table

_DONE: Final = (LayerState.DOWNLOADED, LayerState.UNPACKING, LayerState.UNPACKED, LayerState.CACHED)
_HEADINGS: Final = ("Image", "Phase", "Progress", "Downloaded", "Rate", "Left", "Layers here", "Time")


def landing_page(report: NodeReport, telemetry_path: str, *, read: bool) -> Response:
    """The page; `read` tells whether reading containerd was attempted."""
    return landing_response(
        f"Image pulls of {report.node}",
        telemetry_path,
        (f"<p>{_daemon(report, read=read)} {_summary(report)}</p>", _pulls(report), _queue(report)),
        f"pulltrace-exporter {report.version}",
    )


def _daemon(report: NodeReport, *, read: bool) -> str:
    name = f"containerd {html_text(report.daemon.version)}".strip()
    if report.daemon.up:
        return f"{name} answers."
    fault = "cannot be read: the exporter's log says why" if read else "has not been read yet"
    return f'<span class="bad">{name} {fault}.</span>'


def _summary(report: NodeReport) -> str:
    if not report.resolving:
        return ""
    oldest = duration_text(report.now - min(report.resolving))
    return f"Waiting for a registry's answer: {len(report.resolving)}, the oldest for {oldest}."


def _pulls(report: NodeReport) -> str:
    if not report.pulls:
        return "<p>No image is being pulled.</p>"
    pulls = sorted(report.pulls, key=lambda pull: (pull.ended_at is not None, -(pull.started_at or 0.0)))
    rows = [_row(pull, report.now) for pull in pulls[:MOST_ROWS]]
    return table(_HEADINGS, rows, len(pulls))


def _row(pull: Pull, now: float) -> tuple[str, ...]:
    rate, eta = pull.bytes_per_second, pull.eta_seconds
    return (
        _image(pull),
        _phase(pull),
        _progress(pull),
        _downloaded(pull),
        "" if rate is None else f"{size_text(rate)}/s",
        "" if eta is None else duration_text(eta),
        _layers(pull),
        _time(pull, now),
    )


def _image(pull: Pull) -> str:
    name = pull.references[0] if pull.references else f"{pull.key.registry}/{pull.key.repository}"
    return f"{html_text(name)}<small>{html_text(pull.key.digest)}</small>"


def _phase(pull: Pull) -> str:
    bad = pull.phase in (Phase.FAILED, Phase.ORPHANED)
    return f'<span class="bad">{pull.phase}</span>' if bad else str(pull.phase)


def _progress(pull: Pull) -> str:
    ratio = pull.progress_ratio
    if ratio is None:
        return "" if pull.phase.ended else "<progress></progress>"
    return f'<progress value="{ratio:.3f}"></progress> {int(ratio * 100)} %'


def _downloaded(pull: Pull) -> str:
    if pull.size is None or pull.cached is None or pull.downloaded is None:
        return ""
    if pull.remote:
        by = html_text(pull.snapshotter) or "a remote snapshotter"
        return f"{size_text(pull.remote)} by {by}"
    cached = f"<small>{size_text(pull.cached)} were here before</small>" if pull.cached else ""
    return f"{size_text(pull.downloaded)} of {size_text(pull.size - pull.cached)}{cached}"


def _layers(pull: Pull) -> str:
    done = sum(pull.layer_counts[state] for state in _DONE)
    return "" if pull.size is None else f"{done} of {len(pull.layers)}"


def _time(pull: Pull, now: float) -> str:
    started_at = now if pull.started_at is None else pull.started_at
    if pull.ended_at is None:
        return f"for {duration_text(now - started_at)}"
    return f"{duration_text(pull.ended_at - started_at)}, ended {duration_text(now - pull.ended_at)} ago"


def _queue(report: NodeReport) -> str:
    if not report.queued:
        return ""
    queued = sorted(report.queued, key=lambda image: image.since)
    ages = ((image.reference, duration_text(report.now - image.since)) for image in queued[:MOST_ROWS])
    entries = "".join(f"<li>{html_text(reference)}, for {age}</li>" for reference, age in ages)
    return f"<h2>Queue of the kubelet: {len(queued)}</h2>\n<ol>{entries}</ol>"
