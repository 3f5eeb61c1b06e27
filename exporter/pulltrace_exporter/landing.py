"""The landing page: what goes on now, in HTML without scripts or anything from elsewhere."""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Final

from pulltrace.pull import LayerState, NodeReport, Phase, Pull, QueuedImage
from pulltrace.text import presentable
from pulltrace.units import format_duration

_REFRESH_SECONDS: Final = 5
_MOST_ROWS: Final = 200
_YEAR_SECONDS: Final = 365 * 86_400
_DONE: Final = (LayerState.DOWNLOADED, LayerState.UNPACKING, LayerState.UNPACKED, LayerState.CACHED)
_HEADINGS: Final = ("Image", "Phase", "Progress", "Downloaded", "Rate", "Left", "Layers here", "Time")

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
nav { display: flex; flex-wrap: wrap; gap: 1rem; margin: .5rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8886; padding: .35rem .6rem; text-align: left; vertical-align: top; }
td { white-space: nowrap; }
td.image { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
td small { display: block; opacity: .75; }
progress { width: 8rem; vertical-align: middle; }
.bad { color: #b00020; font-weight: 600; }
@media (prefers-color-scheme: dark) { .bad { color: #ff8a80; } }
"""

LANDING_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def landing_page(report: NodeReport, telemetry_path: str, pulls_path: str, *, read: bool) -> str:
    """The page; `read` tells whether reading containerd was attempted."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">
<title>Image pulls of {_text(report.node)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Image pulls of {_text(report.node)}</h1>
<nav>
<a href="{escape(telemetry_path)}">Metrics</a>
<a href="{escape(pulls_path)}">Pulls as JSON</a>
<a href="/-/healthy">Health</a>
<a href="/-/ready">Readiness</a>
</nav>
<p>{_daemon(report, read=read)} {_summary(report)}</p>
{_pulls(report)}
{_queue(report)}
<p><small>pulltrace-exporter {_text(report.version)}</small></p>
</body>
</html>
"""


def _daemon(report: NodeReport, *, read: bool) -> str:
    name = f"containerd {_text(report.daemon.version)}".strip()
    if report.daemon.up:
        return f"{name} answers."
    fault = "cannot be read: the exporter's log says why" if read else "has not been read yet"
    return f'<span class="bad">{name} {fault}.</span>'


def _summary(report: NodeReport) -> str:
    if not report.resolving:
        return ""
    oldest = _duration(report.now - min(report.resolving))
    return f"Waiting for a registry's answer: {len(report.resolving)}, the oldest for {oldest}."


def _pulls(report: NodeReport) -> str:
    if not report.pulls:
        return "<p>No image is being pulled.</p>"
    pulls = sorted(report.pulls, key=lambda pull: (pull.ended_at is not None, -pull.started_at))
    rows = "\n".join(_row(pull, report.now) for pull in pulls[:_MOST_ROWS])
    more = f"<p>And {len(pulls) - _MOST_ROWS} more.</p>" if len(pulls) > _MOST_ROWS else ""
    head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>{more}'


def _row(pull: Pull, now: float) -> str:
    cells = (
        _phase(pull),
        _progress(pull),
        _downloaded(pull),
        _rate(pull),
        _left(pull),
        _layers(pull),
        _time(pull, now),
    )
    return f'<tr><td class="image">{_image(pull)}</td>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _image(pull: Pull) -> str:
    name = pull.references[0] if pull.references else f"{pull.key.registry}/{pull.key.repository}"
    return f"{_text(name)}<small>{_text(pull.key.digest)}</small>"


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
    cached = f"<small>{_size(pull.cached)} were here before</small>" if pull.cached else ""
    return f"{_size(pull.downloaded)} of {_size(pull.size - pull.cached)}{cached}"


def _rate(pull: Pull) -> str:
    return "" if pull.bytes_per_second is None else f"{_size(pull.bytes_per_second)}/s"


def _left(pull: Pull) -> str:
    return "" if pull.eta_seconds is None else _duration(pull.eta_seconds)


def _layers(pull: Pull) -> str:
    done = sum(pull.layer_counts[state] for state in _DONE)
    return "" if pull.size is None else f"{done} of {len(pull.layers)}"


def _time(pull: Pull, now: float) -> str:
    if pull.ended_at is None:
        return f"for {_duration(now - pull.started_at)}"
    return f"{_duration(pull.ended_at - pull.started_at)}, ended {_duration(now - pull.ended_at)} ago"


def _queue(report: NodeReport) -> str:
    if not report.queued:
        return ""
    queued = sorted(report.queued, key=lambda image: image.since)
    return f"<h2>Queue of the kubelet: {len(queued)}</h2>\n<ol>{_entries(queued[:_MOST_ROWS], report.now)}</ol>"


def _entries(queued: Iterable[QueuedImage], now: float) -> str:
    return "".join(f"<li>{_text(image.reference)}, for {_duration(now - image.since)}</li>" for image in queued)


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _duration(seconds: float) -> str:
    return "over a year" if seconds > _YEAR_SECONDS else format_duration(round(max(0.0, seconds)))


def _text(text: str) -> str:
    return escape(presentable(text))
