"""Decides which of the pulls that polls have seen wrote a record."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulltrace_exporter.containerd.inferred.cri_image_writes import LASTING_SECONDS
from pulltrace_exporter.containerd.lease_reader import LeaseReader

MOST_COMPARED = 100
"""Pulls of one image within half a minute. A node that makes more is not counted to the last one."""


@dataclass(slots=True, eq=False)
class _SeenPull:
    """One lease that was seen to hold an image, from `since` on by the clock as it is now.

    `gone_at` is the first moment without it, `wrote_at` its record's.
    """

    since: float
    roots: Sequence[str] = ()
    gone_at: float | None = None
    wrote_at: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Span:
    """When a pull may have written its record."""

    pull: _SeenPull
    begin: float
    end: float


class LeaseImageMatch:
    """Every pull writes one record of its own, under its lease. All times are Unix times."""

    def __init__(self) -> None:
        self._pulls: dict[str, _SeenPull] = {}

    def follow(self, running: Iterable[LeaseReader], now: float) -> None:
        """These pulls are under way at `now`. Each other pull is forgotten when its record's event can come no more."""
        before, self._pulls = self._pulls, {}
        for reader in running:
            pull = before.pop(reader.id, None) or _SeenPull(reader.since)
            pull.since = reader.since
            pull.roots = reader.roots
            self._pulls[reader.id] = pull
        self._pulls |= {lease_id: each for lease_id, each in before.items() if _is_due(each, now)}

    def end(self, reader: LeaseReader, gone_at: float, *, succeeded: bool) -> None:
        """The lease is gone. A pull that failed has written nothing."""
        pull = self._pulls.setdefault(reader.id, _SeenPull(reader.since))
        pull.roots = reader.roots if succeeded else ()
        pull.gone_at = gone_at

    def claim(self, root: str, at: float, now: float, slack: float = 0.0) -> bool:
        """Whether one of the pulls wrote the record of `root` that was written at `at`. Each pull writes one.

        `slack`: so long after its end a pull's record may seem to be written.
        """
        spans = [_span(each, now, slack) for each in self._pulls.values() if root in each.roots]
        # Of several the one that ended first: later records cannot be its.
        spans.sort(key=lambda span: (span.end, span.begin))
        return _assign(at, spans[:MOST_COMPARED])

    def awaits(self, root: str) -> bool:
        """Whether word of a record of this root is due."""
        return any(root in pull.roots and pull.wrote_at is None for pull in self._pulls.values())


def _assign(at: float, spans: list[_Span]) -> bool:
    """Give a record to one of the pulls, and if need be another one's record to yet another.

    Of two pulls of one image under way nobody can say whose the first record is, until one of them has gone.
    Those tried are taken out of `spans`.
    """
    able = [span for span in spans if span.begin <= at <= span.end]
    for span in sorted(able, key=lambda span: span.pull.wrote_at is not None):
        if span not in spans:
            continue
        spans.remove(span)
        if span.pull.wrote_at is None or _assign(span.pull.wrote_at, spans):
            span.pull.wrote_at = at
            return True
    return False


def _span(pull: _SeenPull, now: float, slack: float) -> _Span:
    # A beginning in the future is one before the clock was set back: it bounds nothing then.
    begin = -math.inf if pull.since > now else pull.since
    return _Span(pull, begin, math.inf if pull.gone_at is None else pull.gone_at + slack)


def _is_due(pull: _SeenPull, now: float) -> bool:
    return pull.gone_at is not None and abs(now - pull.gone_at) < LASTING_SECONDS
