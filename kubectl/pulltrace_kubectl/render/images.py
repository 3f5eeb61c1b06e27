"""Rollouts: each image with its nodes by phase, and those that will have it last."""

from collections.abc import Sequence
from typing import Final

from pulltrace_kubectl.core.rollout import Rollout
from pulltrace_kubectl.model.pulls import Wait
from pulltrace_kubectl.render import words
from pulltrace_kubectl.render.layout import Column, Line, Span, Table, lines
from pulltrace_kubectl.render.waits import Form, progress

_COLUMNS: Final = (
    Column("IMAGE", least=14, image=True),
    Column("NODES", right=True),
    Column("PULLED", rank=4),
    Column("PHASES", rank=1),
    Column("SLOWEST", rank=3, least=16),
)
SLOWEST_SHOWN: Final = 3


def image_lines(rollouts: Sequence[Rollout], form: Form) -> list[Line]:
    """The table."""
    table = Table(_COLUMNS, [_cells(rollout, form) for rollout in rollouts])
    return lines(table, form.room, headers=form.headers, ascii_only=not form.unicode)


def _cells(rollout: Rollout, form: Form) -> tuple[Span, ...]:
    phases = ", ".join(f"{count} {phase}" for phase, count in rollout.phases.items())
    late = rollout.slowest[:SLOWEST_SHOWN] if form.wide or form.width is None else rollout.slowest[:1]
    bad = any(wait.phase in ("failed", "backoff") for wait in rollout.slowest)
    return (
        Span(words.image(rollout.image), "name"),
        Span(str(rollout.nodes)),
        Span(progress(rollout.ratio, form), "good" if rollout.ratio == 1 else "active"),
        Span(phases, "bad" if bad else ""),
        Span("; ".join(_slow(wait) for wait in late) or words.UNKNOWN),
    )


def _slow(wait: Wait) -> str:
    pull = wait.pull
    parts = (
        words.percent(wait.ratio) if wait.ratio is not None else wait.phase,
        words.rate(pull.rate) if pull is not None and pull.rate is not None else "",
        f"{words.duration(pull.eta)} left" if pull is not None and pull.eta is not None else "",
    )
    return f"{wait.node or 'no node'}: {words.joined(parts)}"
