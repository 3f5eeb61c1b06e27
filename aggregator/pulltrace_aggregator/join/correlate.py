"""The join of one node: which of its pulls is for which of the images that its pods wait for. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey, Phase, Pull
from pulltrace.model.reference import ImageName, image_name
from pulltrace_aggregator.model.node import NodePull
from pulltrace_aggregator.model.states import MatchKind

KnownDigest = Callable[[ImageName], str | None]
"""Gives the digest that was last pulled for a reference on any node; None where none is known."""

TOLERATED_SECONDS: Final = 1.0
"""Two clocks may differ by this: a pull that seems to end this long before a wait began may still be for that wait."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An image that one container of one pod wants. Instants are on the node's clock.

    `requested_at` is when the kubelet asked for it in the present attempt, None when that is not known. `since` is when
    the wait began, computed from its age. `evident` means that there is other evidence of a wait, `trying` that no
    failure ended the attempt. `done` means that the image has come: only an ended pull can match.
    """

    key: Hashable
    image: str
    requested_at: NodeTime | None
    since: NodeTime
    evident: bool = True
    trying: bool = True
    done: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The pull of a claim, None if none was found or the match is ambiguous: then it may be one of the `candidates`."""

    kind: MatchKind
    pull: NodePull | None = None
    candidates: tuple[NodePull, ...] = ()


UNMATCHED: Final = Match(MatchKind.NONE)


@dataclass(frozen=True, slots=True)
class _Request:
    """All claims of one image, in all its spellings. They are one: no pull shows which of them it serves."""

    name: ImageName
    requested_at: NodeTime | None
    since: NodeTime
    urgent: bool

    @property
    def order(self) -> tuple[bool, bool, float, float, str]:
        """The kubelet serves in the order of its requests. Claims without a known present attempt come last."""
        return not self.urgent, self.requested_at is None, self.requested_at or 0.0, self.since, self.name.canonical


def correlate(
    claims: Sequence[Claim], pulls: Iterable[NodePull], known_digest: KnownDigest
) -> Mapping[Hashable, Match]:
    """The match of each claim. No two pulls have the same key.

    A digest matches the same root digest. A tag matches the reference that the exporter reports, else a pull of the
    same repository. Among several of those, a pull of the digest that is known for the tag is chosen first, then, in
    the order of the requests, the earliest pull that began after the kubelet had asked for the image.
    """
    pulls = tuple(pulls)
    running = [entry for entry in pulls if entry.running]
    ended = [entry for entry in pulls if not entry.running]
    requests = _requests(claim for claim in claims if not claim.done)
    found = _match_running(requests, running, known_digest) if running else {}
    matches: dict[Hashable, Match] = {}
    for claim in claims:
        name = image_name(claim.image)
        match = UNMATCHED if name is None or claim.done else found.get(name.canonical, UNMATCHED)
        if name is not None and match.kind is MatchKind.NONE and claim.evident and ended:
            match = _match_ended(claim, name, ended)
        matches[claim.key] = match
    return matches


def _requests(claims: Iterable[Claim]) -> list[_Request]:
    grouped: dict[str, list[Claim]] = {}
    names: dict[str, ImageName] = {}
    for claim in claims:
        name = image_name(claim.image)
        if name is not None:
            names[name.canonical] = name
            grouped.setdefault(name.canonical, []).append(claim)
    found = (_request(names[canonical], own) for canonical, own in grouped.items())
    return sorted(found, key=lambda request: request.order)


def _request(name: ImageName, claims: Sequence[Claim]) -> _Request:
    requested = [claim.requested_at for claim in claims if claim.requested_at is not None]
    return _Request(
        name,
        requested_at=min(requested, default=None),
        since=min(claim.since for claim in claims),
        urgent=any(claim.evident and claim.trying for claim in claims),
    )


def _match_running(
    requests: Sequence[_Request], running: Sequence[NodePull], known_digest: KnownDigest
) -> dict[str, Match]:
    found: dict[str, Match] = {}
    room = {entry.key: max(entry.pull.requests or 0, 1) for entry in running}
    rest: list[tuple[_Request, list[NodePull]]] = []
    for request in requests:
        name = request.name
        exact = [entry for entry in running if _is_exact(name, entry)]
        if exact:
            best = min(
                exact, key=lambda entry: (entry.key.repository != name.repository, -(entry.pull.started_at or 0))
            )
            found[name.canonical] = Match(MatchKind.EXACT, best)
            room[best.key] -= 1
        elif candidates := _candidates(name, running):
            rest.append((request, candidates))
    found |= _share(rest, room, known_digest)
    return found


def _share(
    contenders: Sequence[tuple[_Request, list[NodePull]]], room: dict[ImageKey, int], known_digest: KnownDigest
) -> dict[str, Match]:
    """Give each image its pull of the same repository. A pull that belongs to another request is not a candidate."""
    found: dict[str, Match] = {}
    for choose in (_choice_by_digest(contenders, known_digest), _earliest_after):
        for request, candidates in contenders:
            free = [entry for entry in candidates if room[entry.key] > 0]
            chosen = None if request.name.canonical in found else choose(request, free)
            if chosen is not None:
                found[request.name.canonical] = Match(MatchKind.REPOSITORY, chosen)
                room[chosen.key] -= 1
    for request, candidates in contenders:
        if request.name.canonical not in found:
            found[request.name.canonical] = _only([entry for entry in candidates if room[entry.key] > 0])
    return found


def _choice_by_digest(
    contenders: Sequence[tuple[_Request, list[NodePull]]], known_digest: KnownDigest
) -> Callable[[_Request, list[NodePull]], NodePull | None]:
    digests = [known_digest(request.name) for request, _ in contenders]

    def choose(request: _Request, free: list[NodePull]) -> NodePull | None:
        digest = known_digest(request.name)
        if len(free) < 2 or digest is None or digests.count(digest) > 1:
            return None
        return next((entry for entry in _after(request, free) if entry.key.digest == digest), None)

    return choose


def _earliest_after(request: _Request, free: list[NodePull]) -> NodePull | None:
    starts = [(entry.pull.started_at, entry) for entry in free if entry.pull.started_at is not None]
    if request.requested_at is None or len(starts) < len(free):
        return None
    after = [(start, entry) for start, entry in starts if start >= request.requested_at]
    return min(after, key=itemgetter(0))[1] if after else None


def _after(request: _Request, pulls: Iterable[NodePull]) -> list[NodePull]:
    """The pulls that did not begin before the image was asked for, as far as that is known."""
    asked = request.requested_at
    return [
        entry for entry in pulls if asked is None or entry.pull.started_at is None or entry.pull.started_at >= asked
    ]


def _only(free: Sequence[NodePull]) -> Match:
    if len(free) == 1:
        return Match(MatchKind.REPOSITORY, free[0])
    return Match(MatchKind.AMBIGUOUS, candidates=tuple(free)) if free else UNMATCHED


def _is_exact(name: ImageName, entry: NodePull) -> bool:
    """Whether the pull is for exactly this image: by digest if the name has one, else by the reported references."""
    if name.digest is not None:
        return entry.key.digest == name.digest
    return any(tagged.canonical == name.canonical for tagged in _tagged(entry))


def _candidates(name: ImageName, pulls: Iterable[NodePull]) -> list[NodePull]:
    """Pulls of the repository that may be for a tag. One pull may serve several repositories."""
    if name.digest is not None:
        return []
    same_host = [
        entry for entry in pulls if entry.key.registry.lower() == name.host and not _is_for_other_tag(name, entry)
    ]
    own = [entry for entry in same_host if entry.key.repository == name.repository]
    return own or [entry for entry in same_host if name.repository in entry.pull.repositories]


def _is_for_other_tag(name: ImageName, entry: NodePull) -> bool:
    """Whether a tag of this repository is known for the pull: it is another one, since no exact match was found."""
    return any((tagged.host, tagged.repository) == (name.host, name.repository) for tagged in _tagged(entry))


def _tagged(entry: NodePull) -> list[ImageName]:
    names = (image_name(reference) for reference in entry.pull.references)
    return [name for name in names if name is not None and name.digest is None]


def _match_ended(claim: Claim, name: ImageName, ended: Iterable[NodePull]) -> Match:
    """The pull that ended during the wait: the last exact match, or the only candidate of its repository."""
    own = [entry for entry in ended if _ended_within(claim, entry)]
    exact = [entry for entry in own if _is_exact(name, entry)]
    if exact:
        return Match(MatchKind.EXACT, max(exact, key=_end))
    candidates = _candidates(name, own)
    return Match(MatchKind.REPOSITORY, candidates[0]) if len(candidates) == 1 else UNMATCHED


def _ended_within(claim: Claim, entry: NodePull) -> bool:
    requested_at, started_at = claim.requested_at, entry.pull.started_at
    if requested_at is None:
        return _end(entry) >= claim.since - TOLERATED_SECONDS
    if entry.pull.phase is not Phase.SUCCEEDED and started_at is not None and started_at < requested_at:
        return False  # the attempt of another pod: this claim is still queued
    return _end(entry) >= requested_at


def _end(entry: NodePull) -> float:
    """When it ended, or the earliest time at which it can have; minus infinity when that is not known."""
    return next((at for at in (entry.pull.ended_at, entry.pull.started_at) if at is not None), float("-inf"))


# What finished pulls have shown

MOST_REFERENCES: Final = 10_000


class TagDigests:
    """The digest last pulled for each tag. It ranks candidates, and makes no match by itself: tags move."""

    def __init__(self, limit: int = MOST_REFERENCES) -> None:
        self._limit = limit
        self._digests: OrderedDict[str, str] = OrderedDict()
        self._known: dict[str, frozenset[tuple[ImageKey, NodeTime | None]]] = {}

    def digest_of(self, name: ImageName) -> str | None:
        """The digest last pulled for the reference, None where none is known."""
        return self._digests.get(name.canonical)

    def update(self, node: str, pulls: Iterable[Pull]) -> None:
        """Learn from a node's report. Each success counts once: it must not replace a later one on another node."""
        succeeded = {(pull.key, pull.started_at): pull for pull in pulls if pull.phase is Phase.SUCCEEDED}
        before = self._known.get(node, frozenset())
        for identity, pull in succeeded.items():
            if identity not in before:
                self._learn(pull)
        if succeeded:
            self._known[node] = frozenset(succeeded)
        else:
            self._known.pop(node, None)

    def _learn(self, pull: Pull) -> None:
        for reference in pull.references:
            name = image_name(reference)
            if name is None or name.digest is not None:
                continue
            self._digests[name.canonical] = pull.key.digest
            self._digests.move_to_end(name.canonical)
            if len(self._digests) > self._limit:
                self._digests.popitem(last=False)
