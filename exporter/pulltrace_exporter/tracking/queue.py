"""The kubelet's queue: which of its intents no pull serves yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey, QueuedImage
from pulltrace.model.reference import InvalidReference, Reference
from pulltrace_exporter.model.observation import Intent


@dataclass(frozen=True, slots=True)
class Wanted:
    """An intent with its reference understood."""

    intent: Intent
    reference: Reference

    def is_for(self, key: ImageKey) -> bool:
        """Whether a pull of `key` may be what was asked for; with a digest it must be that one."""
        reference = self.reference
        same = (reference.host, reference.repository) == (key.registry, key.repository)
        return same and reference.digest in (None, key.digest)


def wanted(intents: Iterable[Intent]) -> tuple[Wanted, ...]:
    """The intents whose references can be understood; a pod with another one never gets to a pull."""
    found = []
    for intent in intents:
        try:
            found.append(Wanted(intent, Reference.parse(intent.reference)))
        except InvalidReference:
            continue
    return tuple(found)


def queued(waiting: Sequence[Wanted], running: Iterable[ImageKey], resolving: int) -> tuple[QueuedImage, ...]:
    """The images that wait behind the running pulls; `waiting` is in order of age.

    The kubelet serves in order, so that of several intents that one running pull may be for the oldest is, and the
    oldest that are left are those whose registries have not answered yet.
    """
    left = list(waiting)
    for key in sorted(running):
        exact = [item for item in left if item.reference.digest and item.is_for(key)]
        served = next(iter(exact or [item for item in left if item.is_for(key)]), None)
        if served is not None:
            left.remove(served)
    return tuple(
        QueuedImage(item.reference.host, item.reference.repository, item.intent.reference, NodeTime(item.intent.since))
        for item in left[resolving:]
    )


def tags(waiting: Sequence[Wanted], key: ImageKey) -> tuple[str, ...]:
    """The reference that a running pull serves, when only one intent can be it."""
    mine = [item.intent.reference for item in waiting if item.is_for(key)]
    return tuple(mine) if len(set(mine)) == 1 else ()
