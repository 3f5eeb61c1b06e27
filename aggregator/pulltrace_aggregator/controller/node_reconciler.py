"""One node at one moment: its pods' waits, its pulls, and what is to be published of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pulltrace.model.pull import Phase, Pull
from pulltrace_aggregator.controller.counters import Ledger
from pulltrace_aggregator.diagnosis.blocked_by import Case, judge
from pulltrace_aggregator.diagnosis.node_pulls import (
    SlowDownloads,
    StaleCounts,
    layers_matter,
    next_past,
    node_pulls,
    waits_for_shared,
)
from pulltrace_aggregator.diagnosis.peer_rates import Peers
from pulltrace_aggregator.diagnosis.staleness import StaleLimits, is_silent, next_change, resolving_stale
from pulltrace_aggregator.join.pull_queue import Line, wanted
from pulltrace_aggregator.join.tag_digests import Learnt
from pulltrace_aggregator.join.wait_phases import Followed, follow, next_word
from pulltrace_aggregator.kubelet.container_status import ImageStatus
from pulltrace_aggregator.model.exporter import NodeReading, NodeState
from pulltrace_aggregator.model.image_names import image_name
from pulltrace_aggregator.model.states import PodPhase
from pulltrace_aggregator.model.view import NodePull, NodeStatus, PodImage, PodPull
from pulltrace_aggregator.pods.image_wait import Wait
from pulltrace_aggregator.pods.pod import PodRecord

WORDS_SECONDS: Final = 3.0
"""How long the kubelet's figures of a pull may come after the container that it was for has started."""
FIRST_SECONDS: Final = 4.0
"""A download is not compared with others' before: the rate of its first moments says nothing."""
NEVER_AGAIN: Final = float("inf")


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one node adds to the view.

    It is to be looked at again at `next_at` (monotonic) at the latest. `busy` nodes are to be asked often; `layers`
    means that the layers of its pulls matter.
    """

    status: NodeStatus
    pods: tuple[PodPull, ...] = ()
    pulls: tuple[NodePull, ...] = ()
    next_at: float = NEVER_AGAIN
    busy: bool = False
    layers: bool = False


class Assessor:
    """Looks at nodes one by one. What it knows of all of them: rates, what references led to, and the counters."""

    def __init__(self, ledger: Ledger, limits: StaleLimits, linger: float, started: float) -> None:
        self._ledger = ledger
        self._limits = limits
        self._linger = linger
        self._started = started
        self._stale = StaleCounts(started)
        self._slow = SlowDownloads()
        self._learnt = Learnt()
        self._peers = Peers()

    def hear(self, reading: NodeReading, now: float) -> None:
        """Take in what matters of a node for others; before any of them is looked at."""
        pulls = reading.report.pulls if reading.report else ()
        self._learnt.hear(reading.node, pulls)
        answering = not is_silent(reading, now, self._limits, now)
        self._peers.update(reading.node, pulls if answering else ())

    def forget(self, node: str) -> None:
        """The node is no longer known."""
        self._learnt.hear(node, ())
        self._peers.update(node, ())
        self._stale.forget(node)
        self._slow.forget(node)

    def count(self, namespace: str, wait: Wait, now: float) -> None:
        """Count a wait that ended well. Of one that began before we did nobody knows where its time went."""
        if wait.since < self._started:
            wait.counted = True
        elif wait.over is not None and (wait.said is not None or now - wait.over >= WORDS_SECONDS):
            self._ledger.ended_well(namespace, wait)

    def assess(self, reading: NodeReading, records: Sequence[PodRecord], now: float) -> NodeView:
        """The node's part of the view at the monotonic time `now`."""
        waits = [(record, wait) for record in records for wait in record.waits]
        silent = is_silent(reading, min((wait.opened for _, wait in waits), default=now), self._limits, now)
        found = node_pulls(reading, self._limits, now, silent=silent)
        pulls, settled_at = self._slow.settle(reading.node, found, now)
        for reason in self._stale.newly_stale(reading, pulls):
            self._ledger.became_stale(reason)
        followed, line = follow(
            records,
            reading,
            [entry.pull for entry in pulls],
            self._learnt.digest_of,
            now,
            self._linger,
            silent=silent,
        )
        shown = {id(entry.wait) for entry in followed}
        for record, wait in waits:
            if not wait.counted and wait.over is not None:
                self.count(record.namespace, wait, now if id(wait) in shown else NEVER_AGAIN)
        desk = _Desk(reading, pulls, line, silent=silent, stale=resolving_stale(reading, self._limits, now))
        rows = tuple(self._row(entry, desk, now) for entry in followed)
        status = _status(desk, rows)
        return NodeView(
            status,
            rows,
            pulls,
            next_at=min(
                self._next_at(reading, followed, silent=silent, now=now), next_past(reading, pulls, now), settled_at
            ),
            # Also while the only pull known has ended: the exporter tells when it goes.
            busy=bool(pulls) or status.active or any(record.may_wait for record in records),
            layers=_layers_matter(rows, pulls),
        )

    def _row(self, entry: Followed, desk: "_Desk", now: float) -> PodPull:
        entry.wait.anatomy.enter(entry.phase, now if entry.wait.over is None else entry.wait.over)
        record, seeker = entry.record, entry.seeker
        matched = desk.pull_of(entry)
        behind = desk.line.head if entry.phase is PodPhase.QUEUED else ""
        registry, repository, digest = _identity(seeker.image, matched)
        return PodPull(
            labels=PodImage(
                record.namespace, record.name, seeker.user.name, seeker.user.type, record.node, seeker.image
            ),
            uid=record.uid,
            phase=entry.phase,
            since=entry.wait.since,
            match=entry.match.kind if matched is None else entry.wait.match,
            registry=registry,
            repository=repository,
            digest=digest,
            cause=None if entry.phase is PodPhase.PULLED else judge(self._case(entry, matched, behind, desk, now)),
            behind=behind,
            pull=matched,
        )

    def _case(self, entry: Followed, matched: NodePull | None, behind: str, desk: "_Desk", now: float) -> Case:
        pull = matched.pull if matched else None
        downloading = entry.phase is PodPhase.DOWNLOADING and pull is not None
        settled = downloading and now >= _settled_at(entry, desk.reading)
        return Case(
            phase=entry.phase,
            failure=entry.seeker.failure,
            silent=desk.silent,
            runtime_up=desk.reading.report is None or desk.reading.report.daemon.up,
            stale=matched.stale if matched else None,
            unresolved=desk.is_unresolved(entry.seeker.image),
            behind=behind,
            shared=pull is not None and downloading and waits_for_shared(pull, desk.all_pulls),
            share=self._peers.share(desk.reading.node, pull) if pull is not None and settled else None,
        )

    def _next_at(self, reading: NodeReading, followed: Sequence[Followed], *, silent: bool, now: float) -> float:
        at = [next_change(reading, self._limits, now), next_word(followed, reading, now)]
        if followed and not silent and reading.silent_since is not None:
            at.append(reading.silent_since + self._limits.silence)
        for entry in followed:
            wait = entry.wait
            if wait.over is not None:
                at += [wait.over + self._linger] if wait.counted else [now]
            elif now < (settled_at := _settled_at(entry, reading)):
                at.append(settled_at)
            elif reading.state is NodeState.UNKNOWN and not silent:
                at.append(wait.opened + self._limits.silence)
            elif entry.seeker.status is ImageStatus.MISSING and entry.match.pull is None:
                at.append(now)  # an answer that brings nothing new may still tell that nothing goes on
        return min(at)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What lies on the table of one node. `stale` is the number of resolving pulls that take too long."""

    reading: NodeReading
    pulls: tuple[NodePull, ...]
    line: Line
    silent: bool
    stale: int

    @property
    def all_pulls(self) -> list[Pull]:
        return [entry.pull for entry in self.pulls]

    def pull_of(self, entry: Followed) -> NodePull | None:
        """The matched pull as it is published; the last one known for an image that has come."""
        pull = entry.match.pull
        if pull is not None:
            return next(shown for shown in self.pulls if shown.pull is pull)
        if entry.wait.over is None or entry.wait.pull is None:
            return None
        return NodePull(
            self.reading.node,
            entry.wait.pull,
            None,
            self.reading.ahead,
            answering=False,
            timed=self.reading.timed,
        )

    def is_unresolved(self, image: str) -> bool:
        """Whether it is one of those whose registry has not answered for too long: the first in line are."""
        return wanted(image) in self.line.resolving[: self.stale]


def _settled_at(entry: Followed, reading: NodeReading) -> float:
    """From when on the rate of its download says something."""
    pull = entry.match.pull
    if pull is None:
        return float("-inf")
    begun, opened = reading.begun(pull), entry.wait.opened
    return (opened if begun is None else min(begun, opened)) + FIRST_SECONDS


def _identity(image: str, matched: NodePull | None) -> tuple[str, str, str]:
    """Registry, repository and digest: the pull's, else what the reference tells."""
    if matched is not None:
        return matched.pull.key
    name = image_name(image)
    return (name.registry, name.repository, name.digest or "") if name else ("", "", "")


def _status(desk: _Desk, rows: Sequence[PodPull]) -> NodeStatus:
    reading, report = desk.reading, desk.reading.report
    waiting = sum(row.phase is not PodPhase.PULLED for row in rows)
    return NodeStatus(
        node=reading.node,
        state=reading.state,
        answered_at=reading.answered_at,
        queued=len(desk.line.queued),
        resolving=len(report.resolving) if report else 0,
        resolving_stale=desk.stale,
        running=sum(not entry.pull.phase.ended for entry in desk.pulls),
        waiting=waiting,
        missing=desk.silent and waiting > 0,
    )


def _layers_matter(rows: Sequence[PodPull], pulls: Sequence[NodePull]) -> bool:
    downloading = [entry.pull for entry in pulls if entry.pull.phase is Phase.DOWNLOADING]
    if len(downloading) < 2:
        return False
    return any(row.pull is not None and layers_matter(row.pull.pull, downloading) for row in rows)
