"""What the landing pages of both programs share: HTML without scripts and without external resources."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from typing import Final

from pulltrace.text import presentable
from pulltrace.units import format_duration
from pulltrace.web.http import HEALTHY_PATH, PULLS_PATH, READY_PATH, Response

MOST_ROWS: Final = 200
_REFRESH_SECONDS: Final = 5
_YEAR_SECONDS: Final = 365 * 86_400

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

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def landing_response(title: str, telemetry_path: str, body: Iterable[str], footer: str) -> Response:
    """The page, with links to all others; `body` is HTML."""
    links = {telemetry_path: "Metrics", PULLS_PATH: "Pulls as JSON", HEALTHY_PATH: "Health", READY_PATH: "Readiness"}
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">
<title>{html_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html_text(title)}</h1>
<nav>
{_lines(f'<a href="{escape(path)}">{name}</a>' for path, name in links.items())}
</nav>
{_lines(body)}
<p><small>{html_text(footer)}</small></p>
</body>
</html>
"""
    return Response(200, text.encode(), "text/html; charset=utf-8", _HEADERS)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    """A table of HTML cells; the first cell of a row wraps. `total` is the number of rows before the limit."""
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "\n".join(_row(row) for row in rows)
    more = f"<p>And {total - len(rows)} more.</p>" if total > len(rows) else ""
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{body}\n</table></div>{more}'


def size_text(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def duration_text(seconds: float) -> str:
    """A time for people, to the second."""
    return "over a year" if seconds > _YEAR_SECONDS else format_duration(round(max(0.0, seconds)))


def html_text(text: str) -> str:
    """Text of any origin as HTML."""
    return escape(presentable(text))


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)


def _row(cells: Sequence[str]) -> str:
    return f'<tr><td class="image">{cells[0]}</td>' + "".join(f"<td>{cell}</td>" for cell in cells[1:]) + "</tr>"
