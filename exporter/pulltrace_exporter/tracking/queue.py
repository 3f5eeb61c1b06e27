"""The kubelet's queue: the intents that no pull serves yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulltrace.model.pull import ImageKey, QueuedImage
from pulltrace.model.reference import Reference, canonical_reference
from pulltrace_exporter.model.observation import Intent


@dataclass(frozen=True, slots=True)
class ImageIntent:
    """An intent with its reference parsed."""

    intent: Intent
    reference: Reference

    def is_for(self, key: ImageKey) -> bool:
        """Whether a pull of `key` may serve this intent; if the reference has a digest, it must be that one."""
        return self.reference.source == key[:2] and self.reference.digest in (None, key.digest)


def parse_intents(intents: Iterable[Intent]) -> tuple[ImageIntent, ...]:
    """The intents whose references can be parsed. The kubelet does not pull any other."""
    parsed = ((intent, Reference.find(intent.reference)) for intent in intents)
    return tuple(ImageIntent(intent, reference) for intent, reference in parsed if reference is not None)


def queued(intents: Sequence[ImageIntent], running: Iterable[ImageKey], resolving: int) -> tuple[QueuedImage, ...]:
    """The images that wait behind the running pulls; `intents` are in order of age.

    The kubelet serves in order. So a running pull serves the oldest intent that it may be for. `resolving` is the
    number of pulls whose image is not known yet: the oldest intents that are left belong to them.
    """
    left = list(intents)
    for key in sorted(running):
        exact = [item for item in left if item.reference.digest and item.is_for(key)]
        served = next(iter(exact or [item for item in left if item.is_for(key)]), None)
        if served is not None:
            left.remove(served)
    return tuple(
        QueuedImage(*item.reference.source, item.intent.reference, item.intent.since) for item in left[resolving:]
    )


def references_of(intents: Sequence[ImageIntent], key: ImageKey) -> tuple[str, ...]:
    """The reference that a running pull serves, if only one image can be it; of several spellings the oldest."""
    own = [item.intent.reference for item in intents if item.is_for(key)]
    return tuple(own[:1]) if len(set(map(canonical_reference, own))) == 1 else ()
