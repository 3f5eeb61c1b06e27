"""The join of one node: which of its pulls is for which of the images that its pods want. Pure."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from pulltrace.model.pull import Phase, Pull
from pulltrace_aggregator.model.image_names import ImageName, image_name
from pulltrace_aggregator.model.states import MatchKind

Teacher = Callable[[ImageName], str | None]
"""Gives the digest that a reference led to elsewhere."""

SETTLING_SECONDS: Final = 1.0
"""Between two clocks' ages: an end that seems so much earlier than the wait may be its own."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An image that one user in one pod wants. Instants are Unix times on the node's clock.

    `asked_at` is when the kubelet asked for it in the present attempt, None when that is not known; `since` is when the
    wait began, as far as ages tell. `sure` means that there is evidence already, `trying` that no failure ended the
    attempt. One that is `done` has its image: of pulls only an ended one can be its own.
    """

    key: Hashable
    image: str
    asked_at: float | None
    since: float
    sure: bool = True
    trying: bool = True
    done: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The pull of a claim, None for an ambiguous match: then it is one of the `candidates`, or none."""

    kind: MatchKind
    pull: Pull | None = None
    candidates: tuple[Pull, ...] = ()


UNMATCHED: Final = Match(MatchKind.NONE)


@dataclass(frozen=True, slots=True)
class _Demand:
    """All claims of one image, however it is written: one request, as far as pulls are told apart."""

    name: ImageName
    asked_at: float | None
    since: float
    urgent: bool

    @property
    def order(self) -> tuple[bool, bool, float, float, str]:
        """The kubelet serves in order; who is not known to ask now comes last."""
        return not self.urgent, self.asked_at is None, self.asked_at or 0.0, self.since, self.name.asked


def correlate(claims: Sequence[Claim], pulls: Iterable[Pull], taught: Teacher) -> Mapping[Hashable, Match]:
    """The match of each claim.

    A digest matches the same root digest. A tag matches the reference that the exporter reports, else a pull of the
    same repository. Of several pulls of one repository it is the one that began after the kubelet had asked for the
    image, in order; what was pulled elsewhere ranks them.
    """
    running = [pull for pull in pulls if not pull.phase.ended]
    ended = [pull for pull in pulls if pull.phase.ended]
    demands = _demands(claim for claim in claims if not claim.done)
    found = _match_running(demands, running, taught) if running else {}
    matches: dict[Hashable, Match] = {}
    for claim in claims:
        name = image_name(claim.image)
        if name is None:
            matches[claim.key] = UNMATCHED
            continue
        match = UNMATCHED if claim.done else found.get(name.asked, UNMATCHED)
        if match.kind is MatchKind.NONE and claim.sure and ended:
            match = _match_ended(claim, name, ended)
        matches[claim.key] = match
    return matches


def _demands(claims: Iterable[Claim]) -> list[_Demand]:
    grouped: dict[str, list[Claim]] = {}
    names: dict[str, ImageName] = {}
    for claim in claims:
        name = image_name(claim.image)
        if name is not None:
            names[name.asked] = name
            grouped.setdefault(name.asked, []).append(claim)
    return sorted((_demand(names[asked], own) for asked, own in grouped.items()), key=lambda demand: demand.order)


def _demand(name: ImageName, claims: Sequence[Claim]) -> _Demand:
    asked = [claim.asked_at for claim in claims if claim.asked_at is not None]
    return _Demand(
        name,
        asked_at=min(asked, default=None),
        since=min(claim.since for claim in claims),
        urgent=any(claim.sure and claim.trying for claim in claims),
    )


def _match_running(demands: Sequence[_Demand], running: Sequence[Pull], taught: Teacher) -> dict[str, Match]:
    found: dict[str, Match] = {}
    room = {id(pull): max(pull.requests or 0, 1) for pull in running}
    rest: list[tuple[_Demand, list[Pull]]] = []
    for demand in demands:
        exact = [pull for pull in running if is_exact(demand.name, pull)]
        if exact:
            pull = min(exact, key=lambda pull: (pull.key.repository != demand.name.repository, -(pull.started_at or 0)))
            found[demand.name.asked] = Match(MatchKind.EXACT, pull)
            room[id(pull)] -= 1
        elif candidates := _candidates(demand.name, running):
            rest.append((demand, candidates))
    found |= _share(rest, room, taught)
    return found


def _share(contenders: Sequence[tuple[_Demand, list[Pull]]], room: dict[int, int], taught: Teacher) -> dict[str, Match]:
    """Give each image its pull of the same repository. One that is somebody else's request is nobody's candidate."""
    found: dict[str, Match] = {}
    for rank in (_taught_first(contenders, taught), _earliest_after):
        for demand, candidates in contenders:
            free = [pull for pull in candidates if room[id(pull)] > 0]
            chosen = None if demand.name.asked in found else rank(demand, free)
            if chosen is not None:
                found[demand.name.asked] = Match(MatchKind.REPOSITORY, chosen)
                room[id(chosen)] -= 1
    for demand, candidates in contenders:
        if demand.name.asked not in found:
            found[demand.name.asked] = _only(tuple(pull for pull in candidates if room[id(pull)] > 0))
    return found


def _taught_first(
    contenders: Sequence[tuple[_Demand, list[Pull]]], taught: Teacher
) -> Callable[[_Demand, list[Pull]], Pull | None]:
    wishes = [taught(demand.name) for demand, _ in contenders]

    def choose(demand: _Demand, free: list[Pull]) -> Pull | None:
        digest = taught(demand.name)
        if len(free) < 2 or digest is None or wishes.count(digest) > 1:
            return None
        return next((pull for pull in _after(demand, free) if pull.key.digest == digest), None)

    return choose


def _earliest_after(demand: _Demand, free: list[Pull]) -> Pull | None:
    starts = [(pull.started_at, pull) for pull in free if pull.started_at is not None]
    if demand.asked_at is None or len(starts) < len(free):
        return None
    after = [(start, pull) for start, pull in starts if start >= demand.asked_at]
    return min(after, key=itemgetter(0))[1] if after else None


def _after(demand: _Demand, pulls: Iterable[Pull]) -> list[Pull]:
    """Those that began not before the image was asked for, as far as that is known."""
    asked_at = demand.asked_at
    if asked_at is None:
        return list(pulls)
    return [pull for pull in pulls if pull.started_at is None or pull.started_at >= asked_at]


def _only(free: tuple[Pull, ...]) -> Match:
    if len(free) == 1:
        return Match(MatchKind.REPOSITORY, free[0])
    return Match(MatchKind.AMBIGUOUS, candidates=free) if free else UNMATCHED


def is_exact(name: ImageName, pull: Pull) -> bool:
    """Whether the pull is for this very image: by digest if it has one, else by what the exporter says."""
    if name.digest is not None:
        return pull.key.digest == name.digest
    return any(found.asked == name.asked for found in _tagged(pull))


def _candidates(name: ImageName, pulls: Iterable[Pull]) -> list[Pull]:
    """Pulls of the repository that may be for a tag; a root can be known from several repositories."""
    if name.digest is not None:
        return []
    same_host = [pull for pull in pulls if pull.key.registry.lower() == name.host and not _is_for_other(name, pull)]
    own = [pull for pull in same_host if pull.key.repository == name.repository]
    return own or [pull for pull in same_host if name.repository in pull.repositories]


def _is_for_other(name: ImageName, pull: Pull) -> bool:
    """Whether the exporter knows the tags of this repository that were asked for, and this is none of them."""
    return any((found.host, found.repository) == (name.host, name.repository) for found in _tagged(pull))


def _tagged(pull: Pull) -> list[ImageName]:
    names = (image_name(reference) for reference in pull.references)
    return [name for name in names if name is not None and name.digest is None]


def _match_ended(claim: Claim, name: ImageName, ended: Iterable[Pull]) -> Match:
    """The pull that came to its end during the wait: the last one of its reference, or the only one it can be."""
    own = [pull for pull in ended if _ended_within(claim, pull)]
    exact = [pull for pull in own if is_exact(name, pull)]
    if exact:
        return Match(MatchKind.EXACT, max(exact, key=_end))
    candidates = _candidates(name, own)
    return Match(MatchKind.REPOSITORY, candidates[0]) if len(candidates) == 1 else UNMATCHED


def _ended_within(claim: Claim, pull: Pull) -> bool:
    if claim.asked_at is not None:
        if pull.phase is not Phase.SUCCEEDED and pull.started_at is not None and pull.started_at < claim.asked_at:
            return False  # somebody else's attempt: this one is still in line
        return _end(pull) >= claim.asked_at
    return _end(pull) >= claim.since - SETTLING_SECONDS


def _end(pull: Pull) -> float:
    """When it ended at the earliest; for ever ago when nobody knows."""
    return next((at for at in (pull.ended_at, pull.started_at) if at is not None), float("-inf"))
