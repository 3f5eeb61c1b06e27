"""Pulls that were seen, as far as the record that their success writes may still be announced."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulltrace_exporter.containerd.echoes import LASTING_SECONDS
from pulltrace_exporter.containerd.reader import LeaseReader


@dataclass(slots=True)
class _Sighting:
    """One lease that was seen to hold an image; `gone_at` is the first moment without it."""

    created_at: float
    roots: Sequence[str] = ()
    gone_at: float | None = None
    announced: bool = False


class Sightings:
    """Every pull writes one record of its own, under its lease. All times are Unix times."""

    def __init__(self) -> None:
        self._pulls: dict[str, _Sighting] = {}

    def follow(self, running: Iterable[LeaseReader], now: float) -> None:
        """These pulls are under way at `now`; the others go when word of their record is due no longer."""
        before, self._pulls = self._pulls, {}
        for reader in running:
            sighting = before.pop(reader.id, None) or _Sighting(reader.created_at)
            sighting.roots = reader.roots
            self._pulls[reader.id] = sighting
        self._pulls |= {lease_id: each for lease_id, each in before.items() if _is_due(each, now)}

    def end(self, reader: LeaseReader, gone_at: float, *, succeeded: bool) -> None:
        """The lease is gone. A pull that failed has written nothing."""
        sighting = self._pulls.setdefault(reader.id, _Sighting(reader.created_at))
        sighting.roots = reader.roots if succeeded else ()
        sighting.gone_at = gone_at

    def claim(self, root: str, at: float, now: float) -> bool:
        """Whether one of them explains that a record of `root` was written at `at`; each explains one."""
        for sighting in sorted(self._pulls.values(), key=lambda each: each.created_at, reverse=True):
            if root in sighting.roots and not sighting.announced and _covers(sighting, at, now):
                sighting.announced = True
                return True
        return False

    def awaits(self, root: str) -> bool:
        """Whether word of a record of this root is due."""
        return any(root in sighting.roots and not sighting.announced for sighting in self._pulls.values())


def _is_due(sighting: _Sighting, now: float) -> bool:
    return sighting.gone_at is not None and not sighting.announced and abs(now - sighting.gone_at) < LASTING_SECONDS


def _covers(sighting: _Sighting, at: float, now: float) -> bool:
    if sighting.created_at > now:
        return True  # the clock was set back since: its creation bounds nothing
    return sighting.created_at <= at and (sighting.gone_at is None or at <= sighting.gone_at)
