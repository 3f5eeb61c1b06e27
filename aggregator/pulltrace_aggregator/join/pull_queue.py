"""The kubelet's line on one node: whose registry has not answered, who is queued, and behind whom. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pulltrace.model.pull import NodeReport, Pull
from pulltrace_aggregator.join.correlate import Claim
from pulltrace_aggregator.model.image_names import image_name


@dataclass(frozen=True, slots=True)
class Line:
    """`resolving` (the longest-waiting first) and `queued` are images as `wanted` writes them.

    `head` is the reference that is served now, empty when nothing is known to be.
    """

    head: str = ""
    resolving: tuple[str, ...] = ()
    queued: frozenset[str] = frozenset()


def wanted(image: str) -> str:
    """One text for all spellings of one image."""
    name = image_name(image)
    return image if name is None else name.asked


def line_up(waiting: Iterable[Claim], report: NodeReport, serving: Mapping[int, str]) -> Line:
    """Put the images that no pull was found for in line.

    As many as the exporter reports resolving are those that have waited longest, leaving out the ones that the
    kubelet's intents show to be queued; the others are queued. `serving` is the image of a claim for each matched pull,
    by the pull's `id`.
    """
    intents = {wanted(image.reference): image.since for image in report.queued}
    since: dict[str, float] = {}
    for claim in waiting:
        image = wanted(claim.image)
        start = claim.since if claim.asked_at is None else claim.asked_at
        since[image] = min(start, since.get(image, start))
    in_order = sorted(since, key=lambda image: (since[image], image))
    resolving = [image for image in in_order if image not in intents][: len(report.resolving)]
    return Line(
        head=_head(report.pulls, resolving, serving),
        resolving=tuple(resolving),
        queued=frozenset(in_order).union(intents).difference(resolving),
    )


def _head(pulls: Iterable[Pull], resolving: Sequence[str], serving: Mapping[int, str]) -> str:
    running = [pull for pull in pulls if not pull.phase.ended]
    if not running:
        return resolving[0] if resolving else ""
    first = min(running, key=lambda pull: float("inf") if pull.started_at is None else pull.started_at)
    if first.references:
        return first.references[0]
    return serving.get(id(first)) or f"{first.key.registry}/{first.key.repository}@{first.key.digest}"
