"""Pods in detail: each image with its layers, what is ahead of it, and why the last attempt failed."""

from collections.abc import Sequence

from pulltrace_kubectl.core import select
from pulltrace_kubectl.core.advice import advice
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.core.pod_status import explain
from pulltrace_kubectl.model.pulls import Pull, Wait
from pulltrace_kubectl.render import words
from pulltrace_kubectl.render.layout import Line, Span, wrapped
from pulltrace_kubectl.render.pulls import layer_lines, pull_line
from pulltrace_kubectl.render.waits import STYLES, Form, cause_style


def pod_lines(picture: Picture, form: Form) -> list[Line]:
    """One block for each pod that was named, with a blank line between."""
    drawn: list[Line] = []
    for name in picture.named:
        waits = [wait for wait in picture.waits if (wait.namespace, wait.pod) == name]
        drawn += [(), *_block(name, waits, picture, form)]
    return drawn[1:]


def _block(name: tuple[str, str], waits: Sequence[Wait], picture: Picture, form: Form) -> list[Line]:
    if not waits:
        return _nothing(name, picture, form)
    node = next((wait.node for wait in waits if wait.node), "")
    where = f" on {node}" if node else ""
    drawn: list[Line] = [(Span("/".join(filter(None, name)), "name"), Span(where))]
    for wait in waits:
        drawn += _image(wait, picture, form)
    return drawn


def _nothing(name: tuple[str, str], picture: Picture, form: Form) -> list[Line]:
    pod = next((pod for pod in picture.pods if (pod.namespace, pod.name) == name), None)
    text = explain(pod) if pod else f"{'/'.join(filter(None, name))} waits for no image that the aggregator knows of"
    return wrapped((Span(text),), form.room, 2)


def _image(wait: Wait, picture: Picture, form: Form) -> list[Line]:
    kind = "" if wait.container_type in ("container", "") else f" ({wait.container_type})"
    reference = words.image(wait.image)
    drawn = wrapped((Span("  "), Span(words.cell(wait.container)), Span(f"{kind}  "), Span(reference)), form.room, 4)
    drawn += wrapped((Span("    "), *_state(wait, picture, form)), form.room, 6, "  ")
    drawn += _cause(wait, form)
    drawn += _ahead(wait, picture, form)
    return drawn + _layers(wait, picture, form)


def _state(wait: Wait, picture: Picture, form: Form) -> tuple[Span, ...]:
    waiting = Span(f"  waiting {words.duration(wait.waiting)}" if wait.waiting is not None else "")
    moving = wait.phase in ("downloading", "unpacking", "pulled")
    if wait.pull is not None and moving:
        # The aggregator has no layers. Where nobody sees the bytes, the exporter's finished layers are counted.
        pull = (pull_with_layers(wait, picture) if wait.pull.unseen else None) or wait.pull
        return (*pull_line(pull, form, wait.phase), waiting)
    return (Span(words.cell(wait.phase), STYLES.get(wait.phase, "")), waiting)


def _cause(wait: Wait, form: Form) -> list[Line]:
    if wait.over or not wait.cause:
        return []
    reason = f" ({wait.reason})" if wait.reason and wait.reason != wait.cause else ""
    text = advice(wait.cause, wait.reason)
    told: tuple[Span, ...] = (
        Span("    blocked by "),
        Span(wait.cause + reason, cause_style(wait.cause)),
        Span(f": {text}" if text else ""),
    )
    if wait.cause == "progressing":
        if wait.pull is not None and wait.pull.unseen:
            text = f"{wait.pull.fetcher} fetches it, and containerd does not show the bytes"
        told = (Span(f"    {text}", "dim"),)
    return wrapped(told, form.room, 6)


def _ahead(wait: Wait, picture: Picture, form: Form) -> list[Line]:
    ahead = select.ahead_of(wait, picture.all_waits)
    if not ahead:
        return [(Span(f"    behind {words.image(wait.behind)}"),)] if wait.behind and not wait.over else []
    return [
        (Span("    ahead of it on the node:"),),
        *(line for number, each in enumerate(ahead, 1) for line in wrapped(_in_line(number, each, form), form.room, 9)),
    ]


def _in_line(number: int, wait: Wait, form: Form) -> tuple[Span, ...]:
    left = wait.pull.eta if wait.pull is not None else None
    share = f" {words.percent(wait.ratio)}" if wait.ratio is not None else ""
    times = f", {words.duration(left)} left" if left is not None else ""
    image = words.image(wait.image)
    state = Span(f"{wait.phase}{share}{times}", STYLES.get(wait.phase, ""))
    return (Span(f"      {number}. {image}  "), state, Span(f"  for {wait.namespace}/{wait.pod}", "dim"))


def _layers(wait: Wait, picture: Picture, form: Form) -> list[Line]:
    if wait.phase not in ("downloading", "unpacking"):
        return []
    pull = pull_with_layers(wait, picture)
    if pull is not None and pull.layers:
        return layer_lines(pull.layers, form, 4)
    why = picture.missing_layers.get(wait.node, "")
    return wrapped((Span(f"    layers are not known: {why}", "dim"),), form.room, 6) if why else []


def pull_with_layers(wait: Wait, picture: Picture) -> Pull | None:
    """The pull as the node's exporter tells it; None where that is not known."""
    report = picture.reports.get(wait.node)
    if report is None or wait.pull is None:
        return None
    return next((pull for pull in report.pulls if pull.digest == wait.pull.digest), None)
