"""A node: what it pulls, layer by layer, and what is queued there."""

from collections.abc import Sequence
from typing import Final

from pulltrace_kubectl.core import select
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.model.pulls import Pull, Report
from pulltrace_kubectl.render import words
from pulltrace_kubectl.render.layout import Line, Span, wrapped
from pulltrace_kubectl.render.pulls import layer_lines, pull_line, stale_lines
from pulltrace_kubectl.render.waits import STYLES, Form

ENDED_SHOWN: Final = 5


def node_lines(picture: Picture, form: Form) -> list[Line]:
    """One block for each node, with a blank line between."""
    drawn: list[Line] = []
    for node, report in sorted(picture.reports.items()):
        drawn += [(), *_block(node, report, picture, form)]
    return drawn[1:]


def pull_row(pull: Pull, form: Form) -> Line:
    """A pull in one line."""
    stale = (Span(f"  {pull.stale}", "bad"),) if pull.stale else ()
    return (Span(f"{pull.node}  {_name(pull)}  "), *pull_line(pull, form), *stale)


def _block(node: str, report: Report, picture: Picture, form: Form) -> list[Line]:
    drawn: list[Line] = [_heading(node, report)]
    pulls = select.running_first(report.pulls)
    names = {wait.pull.digest: wait.image for wait in picture.waits if wait.pull is not None and wait.node == node}
    running = [pull for pull in pulls if pull.ended_age is None]
    for pull in running:
        drawn += _running(pull, names.get(pull.digest) or pull.name, form)
    why = picture.missing_layers.get(node)
    if why and running:
        drawn += wrapped((Span(f"  layers are not known: {why}", "dim"),), form.room, 4)
    if report.resolving:
        times = words.duration(max(report.resolving))
        drawn.append((Span(f"  {words.counted(len(report.resolving), 'pull')} without an answer yet, for {times}"),))
    drawn += _line(node, report, picture, form)
    for pull in pulls[len(running) :][:ENDED_SHOWN]:
        drawn += wrapped((Span(f"  {_name(pull)}  ", "dim"), *pull_line(pull, form)), form.room, 4, "  ")
    return drawn if len(drawn) > 1 else [*drawn, (Span("  pulls nothing"),)]


def _heading(node: str, report: Report) -> Line:
    runtime = f"  containerd {report.runtime_version}" if report.runtime_version else ""
    down = () if report.up else (Span("  containerd cannot be read: look at the exporter's log", "bad"),)
    return (Span(node, "name"), Span(runtime, "dim"), *down)


def _running(pull: Pull, name: str, form: Form) -> list[Line]:
    return [
        (Span(f"  {words.image(name)}"),),
        *wrapped((Span("    "), *pull_line(pull, form)), form.room, 6, "  "),
        *stale_lines(pull, form, 4),
        *(layer_lines(pull.layers, form, 4) if pull.layers else ()),
    ]


def _line(node: str, report: Report, picture: Picture, form: Form) -> list[Line]:
    """What is queued: for which pods where they are known, else as the kubelet's intents say."""
    waiting = [wait for wait in select.line_of(node, picture.all_waits) if wait.phase == "queued"]
    entries: Sequence[tuple[str, float | None, str]] = [
        (wait.image, wait.waiting, f"  for {wait.namespace}/{wait.pod}") for wait in waiting
    ] or [(reference, age, "") for reference, age in report.queued]
    drawn: list[Line] = []
    for number, (image, age, pod) in enumerate(entries, 1):
        queued = Span(f"queued {words.duration(age)}", STYLES["queued"])
        drawn += wrapped((Span(f"    {number}. {words.image(image)}  "), queued, Span(pod, "dim")), form.room, 7)
    return [(Span("  in line:"),), *drawn] if drawn else []


def _name(pull: Pull) -> str:
    return words.image(pull.name)
