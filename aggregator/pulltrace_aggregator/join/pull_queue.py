"""The kubelet's queue on one node: whose registry has not answered, who is queued, and behind which image. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey
from pulltrace_aggregator.join.correlate import Claim
from pulltrace_aggregator.model.image_names import canonical_reference
from pulltrace_aggregator.model.view import NodePull


@dataclass(frozen=True, slots=True)
class PullQueue:
    """`resolving` (the longest-waiting first) and `queued` are canonical references.

    `head` is the reference that is served now, empty when nothing is known to be.
    """

    head: str = ""
    resolving: tuple[str, ...] = ()
    queued: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        waiting: Iterable[Claim],
        intents: Mapping[str, NodeTime],
        resolving: int,
        pulls: Iterable[NodePull],
        images: Mapping[ImageKey, str],
    ) -> "PullQueue":
        """Put the images that no pull was found for in line.

        As many as the exporter reports resolving are those that have waited longest, leaving out the ones that the
        kubelet's `intents` show to be queued; the others are queued. `images` names the pulls in the words of a pod.
        """
        since: dict[str, NodeTime] = {}
        for claim in waiting:
            image = canonical_reference(claim.image)
            start = claim.since if claim.requested_at is None else claim.requested_at
            since[image] = min(start, since.get(image, start))
        in_order = sorted(since, key=lambda image: (since[image], image))
        unanswered = tuple(image for image in in_order if image not in intents)[:resolving]
        return cls(
            head=_head(pulls, unanswered, images),
            resolving=unanswered,
            queued=frozenset(in_order).union(intents).difference(unanswered),
        )


def _head(pulls: Iterable[NodePull], resolving: Sequence[str], images: Mapping[ImageKey, str]) -> str:
    running = [entry.pull for entry in pulls if entry.running]
    if not running:
        return resolving[0] if resolving else ""
    first = min(running, key=lambda pull: float("inf") if pull.started_at is None else pull.started_at)
    if first.references:
        return first.references[0]
    return images.get(first.key) or f"{first.key.registry}/{first.key.repository}@{first.key.digest}"
