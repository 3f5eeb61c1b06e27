"""How the waits of one node advance: their begin and end by pulls, their phases, and the kubelet's queue. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulltrace.clock import FOREVER, Deadlines, Monotonic, NodeTime
from pulltrace.model.pull import ImageKey, Phase
from pulltrace.model.reference import canonical_reference, same_image
from pulltrace_aggregator.join.correlate import UNMATCHED, Claim, KnownDigest, Match, correlate
from pulltrace_aggregator.kubelet.container_status import ImageStatus
from pulltrace_aggregator.model.node import NodePull, NodeReading
from pulltrace_aggregator.model.states import MatchKind, PodPhase
from pulltrace_aggregator.pods.container_image import ContainerImage
from pulltrace_aggregator.pods.image_wait import ImageWait
from pulltrace_aggregator.pods.pod import PodRecord

ANSWER_SECONDS: Final = 5.0
"""If a node has nothing under way for this long after the kubelet's request, that attempt is over."""
EVENT_SECONDS: Final = 5.0
"""This long after a pull failed, the kubelet's events have named its pod."""

_RUNNING: Final = {Phase.DOWNLOADING: PodPhase.DOWNLOADING, Phase.UNPACKING: PodPhase.UNPACKING}
_IN_VAIN: Final = (Phase.FAILED, Phase.ORPHANED)


@dataclass(frozen=True, slots=True)
class PullQueue:
    """What the kubelet serves now and next; all but `head` are canonical references.

    `fetching` are downloaded by pulls whose image is not known yet. `resolving` wait for their registry, the longest
    wait first. `head` is the reference that is served now, empty when none is known.
    """

    head: str = ""
    fetching: tuple[str, ...] = ()
    resolving: tuple[str, ...] = ()
    queued: frozenset[str] = frozenset()

    @classmethod
    def of(cls, waiting: Iterable[Claim], node: "NodeNow", images: Mapping[ImageKey, str]) -> "PullQueue":
        """Queue the images for which no pull was found.

        The exporter reports how many pulls are unidentified or resolving. As many of the images, those that have waited
        longest, are taken to be these; not those that the kubelet's intents show to be queued. All others are queued.
        `images` has the image of a pull as a pod writes it.
        """
        since: dict[str, NodeTime] = {}
        for claim in waiting:
            image = canonical_reference(claim.image)
            start = claim.since if claim.requested_at is None else claim.requested_at
            since[image] = min(start, since.get(image, start))
        in_order = sorted(since, key=lambda image: (since[image], image))
        report = node.reading.reported
        begun = report.unidentified + len(report.resolving)
        served = [image for image in in_order if image not in node.intents][:begun]
        return cls(
            head=_head(node.pulls, served, images),
            fetching=tuple(served[: report.unidentified]),
            resolving=tuple(served[report.unidentified :]),
            queued=frozenset(in_order).union(node.intents).difference(served),
        )


def _head(pulls: Iterable[NodePull], served: Sequence[str], images: Mapping[ImageKey, str]) -> str:
    running = [entry.pull for entry in pulls if entry.running]
    if not running:
        return served[0] if served else ""
    first = min(running, key=lambda pull: float("inf") if pull.started_at is None else pull.started_at)
    if first.references:
        return first.references[0]
    return images.get(first.key) or f"{first.key.registry}/{first.key.repository}@{first.key.digest}"


@dataclass(slots=True)
class JoinedWait:
    """A container of a pod with its wait, the pull that was found for it, and its phase."""

    record: PodRecord
    container: ContainerImage
    wait: ImageWait
    claim: Claim
    match: Match
    phase: PodPhase = PodPhase.UNKNOWN


@dataclass(frozen=True, slots=True)
class NodeNow:
    """A node at the moment of the deadlines, and its pulls.

    `silent` means that no exporter answers for it. `coming` means that the exporter's own pod waits for its image, or
    got it a moment ago. `intents` is when the kubelet queued each image, by canonical reference.
    """

    reading: NodeReading
    pulls: tuple[NodePull, ...]
    deadlines: Deadlines
    silent: bool
    coming: bool = False
    intents: Mapping[str, NodeTime] = field(init=False)

    def __post_init__(self) -> None:
        intents = {canonical_reference(image.reference): image.since for image in self.reading.reported.queued}
        object.__setattr__(self, "intents", intents)


def advance_waits(
    records: Iterable[PodRecord], node: NodeNow, known_digest: KnownDigest, linger: float
) -> tuple[list[JoinedWait], PullQueue]:
    """Bring the waits of a node's pods up to now, and queue those without a pull."""
    claimed = {
        claim.key: (record, container, claim)
        for record in records
        for container in record.containers.values()
        if (claim := _claim(record, container, node)) is not None
    }
    matches = correlate([claim for _, _, claim in claimed.values()], node.pulls, known_digest) if claimed else {}
    joined: list[JoinedWait] = []
    for key, (record, container, claim) in claimed.items():
        match = UNMATCHED if _comes_again(matches[key], claim, node) else matches[key]
        wait = container.wait = _advance(record, container, match, node, linger)
        if wait is not None:
            joined.append(JoinedWait(record, container, wait, claim, match))
    queue = _place(joined, node)
    for entry in joined:
        entry.wait.enter(entry.phase, node.deadlines.now)
    return joined, queue


def _claim(record: PodRecord, container: ContainerImage, node: NodeNow) -> Claim | None:
    wait = container.wait
    if wait is None and not record.is_possible(container) and not container.waits(watched=record.watched):
        return None
    intent = node.intents.get(canonical_reference(container.image))
    # The kubelet's stamps mean nothing on another clock than the node's.
    requested_at = container.requested_at if node.reading.reported.timed else None
    return Claim(
        key=(record.uid, container.key),
        image=container.image,
        requested_at=intent if requested_at is None else requested_at,
        since=node.reading.to_node_time(node.deadlines.now if wait is None else wait.since),
        evident=wait is not None or intent is not None,
        trying=container.trying,
        done=wait is not None and wait.ended_at is not None,
    )


def _comes_again(match: Match, claim: Claim, node: NodeNow) -> bool:
    """Whether the matched pull has succeeded, and the kubelet shows that it will pull the image once more."""
    succeeded = match.pull is not None and match.pull.pull.phase is Phase.SUCCEEDED
    return succeeded and not claim.done and canonical_reference(claim.image) in node.intents


# The wait


def _advance(
    record: PodRecord, container: ContainerImage, match: Match, node: NodeNow, linger: float
) -> ImageWait | None:
    """The wait as it is now; None when there is none, or none any more."""
    wait, now = container.wait, node.deadlines.now
    if wait is None:
        since = _evident_since(record, container, match, node)
        wait = None if since is None else ImageWait.begin(since, now)
    elif wait.ended_at is not None:
        wait = None if wait.confirmed and node.deadlines.reached(wait.ended_at + linger) else wait
    elif not _is_evident(record, container, match, node):
        wait = None
    if wait is not None and match.pull is not None:
        wait.match, wait.pull = match.kind, match.pull
        succeeded = match.pull.pull.phase is Phase.SUCCEEDED and not container.is_refused(match.pull)
        if wait.ended_at is None and succeeded:
            wait.end(now, confirmed=False)
            container.pulled_at = now
    return wait


def _evident_since(record: PodRecord, container: ContainerImage, match: Match, node: NodeNow) -> Monotonic | None:
    """When the evidence that it waits began; None when there is none."""
    now = node.deadlines.now
    if container.waits(watched=record.watched):
        return container.since(record.created, now)
    intent = node.intents.get(canonical_reference(container.image))
    if intent is not None:
        return max(record.turn_of(container), node.reading.to_monotonic(intent))
    if match.pull is not None and match.pull.running:
        return now if match.pull.began_at is None else max(record.turn_of(container), match.pull.began_at)
    return None


def _is_evident(record: PodRecord, container: ContainerImage, match: Match, node: NodeNow) -> bool:
    """Whether an open wait goes on. A pod that left the watched pods stays as it was until a recheck."""
    return (
        record.left_at is not None
        or container.waits(watched=record.watched)
        or (match.pull is not None and not node.deadlines.reached(_evident_until(match.pull, node.reading)))
        or canonical_reference(container.image) in node.intents
    )


def _evident_until(entry: NodePull, reading: NodeReading) -> Monotonic:
    """Until when a pull alone is evidence: a failed pull only until the kubelet's events must have named its pod."""
    return Monotonic(reading.ended_at(entry.pull) + EVENT_SECONDS) if entry.pull.phase in _IN_VAIN else FOREVER


# The phase


def _place(joined: list[JoinedWait], node: NodeNow) -> PullQueue:
    in_line: list[JoinedWait] = []
    images: dict[ImageKey, str] = {}
    for entry in joined:
        phase = _known_phase(entry, node)
        if phase is None:
            in_line.append(entry)
        else:
            entry.phase = phase
        if entry.match.pull is not None:
            images[entry.match.pull.key] = entry.container.image
    if node.coming and node.reading.report is None:
        return _place_by_requests(in_line)
    queue = PullQueue.of((entry.claim for entry in in_line), node, images)
    served = dict.fromkeys(queue.fetching, PodPhase.DOWNLOADING) | dict.fromkeys(queue.resolving, PodPhase.RESOLVING)
    for entry in in_line:
        entry.phase = served.get(canonical_reference(entry.claim.image), PodPhase.QUEUED)
    return queue


def _place_by_requests(in_line: list[JoinedWait]) -> PullQueue:
    """Without an exporter the kubelet's requests give the order. The first image is served, in an unknown phase."""
    if not in_line:
        return PullQueue()
    head = min(in_line, key=lambda entry: entry.claim.requested_at or entry.claim.since).container.image
    queued = [entry for entry in in_line if not same_image(entry.container.image, head)]
    for entry in queued:
        entry.phase = PodPhase.QUEUED
    return PullQueue(head, queued=frozenset(canonical_reference(entry.container.image) for entry in queued))


def _known_phase(entry: JoinedWait, node: NodeNow) -> PodPhase | None:
    """The phase; None when it depends on the place in the kubelet's queue."""
    pull = entry.match.pull
    if entry.wait.ended_at is not None:
        return PodPhase.PULLED
    if pull is not None and pull.running and not entry.container.is_refused(pull):
        return _RUNNING[pull.pull.phase]
    if not entry.container.trying or _is_over(entry, node):
        return entry.container.failing_phase
    if entry.match.kind is MatchKind.AMBIGUOUS:
        phases = {candidate.pull.phase for candidate in entry.match.candidates}
        return _RUNNING[phases.pop()] if len(phases) == 1 else PodPhase.UNKNOWN
    if pull is not None:
        return PodPhase.FAILED
    return None if _is_known(entry, node) or node.coming else PodPhase.UNKNOWN


def _is_over(entry: JoinedWait, node: NodeNow) -> bool:
    """Whether the attempt of the last `Pulling` is over: the status shows a failure and the node is idle.

    Between two pulls of the kubelet's queue a node seems idle, too: a new pull is not reported in its first second.
    """
    answered, idle_since = node.reading.answered_at, node.reading.idle_since
    if entry.container.status is not ImageStatus.MISSING or answered is None or idle_since is None:
        return False
    since = max(idle_since, entry.container.events.pulling.arrived)
    return node.deadlines.reached(since + ANSWER_SECONDS, known_until=answered)


def _is_known(entry: JoinedWait, node: NodeNow) -> bool:
    """Whether it is known what the node does for this wait."""
    reading = node.reading
    if reading.report is None or reading.answered_at is None or not reading.report.daemon.up:
        return False
    return not node.silent or entry.wait.since <= reading.answered_at
