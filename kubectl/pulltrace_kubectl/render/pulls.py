"""One pull in a few lines: how far, how fast, and its layers."""

from typing import Final

from pulltrace_kubectl.core.advice import ADVICE
from pulltrace_kubectl.model.pulls import Layer, Pull
from pulltrace_kubectl.render import words
from pulltrace_kubectl.render.layout import Column, Line, Span, Table, lines, wrapped
from pulltrace_kubectl.render.waits import BAR, STYLES, Form, progress

LAYER_STYLES: Final = {
    "waiting": "dim", "downloading": "active", "downloaded": "active", "unpacking": "busy", "unpacked": "good",
    "cached": "dim", "remote": "dim",
}  # fmt: skip
ENDS: Final = {"succeeded": "good", "failed": "bad", "orphaned": "bad"}
_STALE: Final = {
    "no_progress": ADVICE["stalled"],
    "unpack_no_progress": ADVICE["slow_unpack"],
    "remote_no_progress": "its snapshotter fetches it and no layer was finished: look at the snapshotter's log",
    "slow": "it would take very long at this rate: compare with other nodes",
    "exporter_unreachable": ADVICE["no_exporter"],
    "orphaned": "nobody goes on with it, after a crash or because its client was killed",
}
_LAYER_COLUMNS: Final = (
    Column("LAYER", right=True),
    Column("TYPE", rank=1, least=8),
    Column("SIZE", right=True),
    Column("STATE"),
    Column("PROGRESS", rank=2),
    Column("RATE", rank=3, right=True),
)


def pull_line(pull: Pull, form: Form, phase: str = "") -> Line:
    """Phase, a bar where there is one to draw, bytes, rate and time left; how long it took when it has ended."""
    said = phase or pull.phase
    head = Span(said, ENDS.get(said) or STYLES.get(said, ""))
    if pull.ended_age is not None:
        took = None if pull.age is None else pull.age - pull.ended_age
        times = words.joined((f"in {words.duration(took)}", f"{words.duration(pull.ended_age)} ago"))
        return (head, Span(f"  {amount(pull)}  {times}"))
    parts = (
        amount(pull),
        words.rate(pull.rate) if pull.rate is not None else "",
        f"{words.duration(pull.eta)} left" if pull.eta is not None else "",
        f"nothing for {words.duration(pull.idle)}" if pull.stale.endswith("no_progress") else "",
    )
    bar = () if pull.ratio is None else (Span("  " + progress(pull.ratio, form, BAR), STYLES.get(said, "")),)
    return (head, *bar, Span("  " + words.joined(parts, "  ")))


def amount(pull: Pull) -> str:
    """The fetched part of what has to be fetched, and what was there before."""
    if pull.size is None:
        return "size unknown"
    if pull.unseen:
        return _unseen_amount(pull)
    cached = f" (and {words.size(pull.cached)} cached)" if pull.cached else ""
    if pull.phase == "unpacking" and pull.unpacked is not None:
        return f"{words.size(pull.unpacked)} of {words.size(pull.size)} unpacked"
    remote = f" (and {words.size(pull.remote)} by {pull.fetcher})" if pull.remote else ""
    return f"{words.size(pull.downloaded)} of {words.size(pull.wanted)}{cached}{remote}"


def _unseen_amount(pull: Pull) -> str:
    """Finished layers of all, or their bytes where the layers are not known. A bar would stay at 0."""
    states = [layer.state for layer in pull.layers]
    done = f"{states.count('unpacked') + states.count('cached')} of {len(states)} layers"
    if not states:
        done = f"{words.size(pull.remote - pull.remote_pending)} of {words.size(pull.remote)}"
    lasted = f"for {words.duration(pull.age)}" if pull.age is not None else ""
    return words.joined((f"{done} finished", f"fetched by {pull.fetcher}", lasted), "  ")


def stale_lines(pull: Pull, form: Form, indent: int) -> list[Line]:
    """Why it is stale, and what to do."""
    if not pull.stale:
        return []
    advice = _STALE.get(pull.stale, "")
    spans = (Span(" " * indent), Span(pull.stale, "bad"), Span(f": {advice}" if advice else ""))
    return wrapped(spans, form.room, indent + 2)


def layer_lines(layers: tuple[Layer, ...], form: Form, indent: int) -> list[Line]:
    """A table with a line for each layer."""
    table = Table(_LAYER_COLUMNS, [_cells(layer, form) for layer in layers])
    room = None if form.room is None else form.room - indent
    drawn = lines(table, room, headers=form.headers, ascii_only=not form.unicode)
    return [(Span(" " * indent), *line) for line in drawn]


def _cells(layer: Layer, form: Form) -> tuple[Span, ...]:
    style = LAYER_STYLES.get(layer.state, "")
    share = None
    if layer.state == "downloading" and layer.size and layer.downloaded is not None:
        share = min(1.0, layer.downloaded / layer.size)
    return (
        Span(str(layer.index)),
        Span(words.cell(words.media_type(layer.media_type))),
        Span(words.size(layer.size)),
        Span(words.cell(layer.state or words.UNKNOWN), style),
        Span(progress(share, form), style),
        Span(words.rate(layer.rate)),
    )
