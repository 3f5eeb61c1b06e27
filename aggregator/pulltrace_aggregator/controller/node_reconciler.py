"""One node at one moment: the waits of its pods, its pulls, and what is published of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pulltrace.clock import FOREVER, Deadlines, Monotonic
from pulltrace.model.reference import canonical_reference, image_name
from pulltrace_aggregator.controller.counters import Counters
from pulltrace_aggregator.diagnosis.blocked_by import FAILING, Facts, PeerRates, diagnose
from pulltrace_aggregator.diagnosis.staleness import (
    SlowDownloads,
    StaleLimits,
    is_silent,
    needs_layers,
    node_pulls,
    resolving_stale,
    waits_for_shared_layer,
)
from pulltrace_aggregator.join.correlate import TagDigests
from pulltrace_aggregator.join.wait_phases import JoinedWait, NodeNow, PullQueue, advance_waits
from pulltrace_aggregator.model.node import NodePull, NodeReading, NodeStatus
from pulltrace_aggregator.model.states import PodPhase
from pulltrace_aggregator.model.view import PodImage, PodPull
from pulltrace_aggregator.pods.image_wait import ImageWait
from pulltrace_aggregator.pods.pod import PodRecord

EVENT_SECONDS: Final = 3.0
"""How long after the end of a wait the event `Pulled`, with its durations, may still come."""
FIRST_SECONDS: Final = 4.0
"""A download is not compared with others before this age: its first rates mean nothing."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one node adds to the view.

    It is reconciled again at `next_at` at the latest. `busy` means that its exporter is read often, `layers` that it is
    read with the layers of its pulls.
    """

    status: NodeStatus
    pods: tuple[PodPull, ...] = ()
    pulls: tuple[NodePull, ...] = ()
    next_at: Monotonic = FOREVER
    busy: bool = False
    layers: bool = False


class NodeReconciler:
    """Brings nodes up to now, one by one. It keeps what is common to all: rates, digests of tags, and the counters."""

    def __init__(self, counters: Counters, limits: StaleLimits, linger: float, started: Monotonic) -> None:
        self._counters = counters
        self._limits = limits
        self._linger = linger
        self._started = started
        self._slow = SlowDownloads()
        self._digests = TagDigests()
        self._rates = PeerRates()

    def compare(self, reading: NodeReading, now: Monotonic) -> None:
        """Learn from a node what others are compared with. Called for all nodes of a tick before any is reconciled."""
        self._digests.update(reading.node, reading.reported.pulls)
        silent = is_silent(reading, now, self._limits, Deadlines(now))
        self._rates.update(reading.node, () if silent else reading.reported.pulls)

    def forget(self, node: str) -> None:
        """The node is no longer known."""
        self._digests.update(node, ())
        self._rates.update(node, ())
        self._counters.forget_pulls(node)
        self._slow.forget(node)

    def count(self, namespace: str, wait: ImageWait) -> None:
        """Count a wait that ended well, once. One from before the aggregator is left out: its start is unknown."""
        if wait.ended_at is not None and wait.confirmed and not wait.counted and wait.since >= self._started:
            self._counters.wait_ended(namespace, wait, wait.ended_at)
        wait.counted = True

    def reconcile(
        self, reading: NodeReading, records: Sequence[PodRecord], now: Monotonic, *, expected: bool = True
    ) -> NodeView:
        """Bring the node's waits and pulls up to now; returns its part of the view.

        `expected` is False for a node that cannot have an exporter.
        """
        deadlines = Deadlines(now)
        opened_at = min((wait.opened_at for record in records for wait in record.waits), default=FOREVER)
        silent = is_silent(reading, opened_at, self._limits, deadlines)
        pulls = self._pulls(reading, deadlines, silent=silent)
        coming = any(self._is_coming(record, deadlines) for record in records)
        node = NodeNow(reading, pulls, deadlines, silent, coming)
        joined, queue = self._advance(records, node)
        unanswered = resolving_stale(reading, self._limits, deadlines)
        rows = tuple(self._row(entry, node, queue, unanswered) for entry in joined)
        status = _status(node, queue, rows, unanswered)
        status = replace(status, missing=silent and expected and not coming and status.waiting > 0)
        return NodeView(
            status,
            rows,
            pulls,
            next_at=deadlines.next_at,
            # A pull that has ended counts too: the exporter's answers show when its linger is over.
            busy=bool(pulls) or status.active or any(record.may_wait for record in records),
            layers=any(row.pull is not None and needs_layers(row.pull.pull, pulls) for row in rows),
        )

    def _is_coming(self, record: PodRecord, deadlines: Deadlines) -> bool:
        """Whether the exporter's own pod waits for its image, or got it a moment ago."""
        if not record.is_exporter:
            return False
        ends = [wait.ended_at for wait in record.waits if wait.ended_at is not None]
        return record.trying or any(not deadlines.reached(end + self._limits.silence) for end in ends)

    def _pulls(self, reading: NodeReading, deadlines: Deadlines, *, silent: bool) -> tuple[NodePull, ...]:
        pulls = node_pulls(reading, self._limits, deadlines, silent=silent)
        pulls = self._slow.without_brief(reading.node, pulls, deadlines)
        self._counters.add_pulls(reading, pulls)
        return pulls

    def _advance(self, records: Sequence[PodRecord], node: NodeNow) -> tuple[list[JoinedWait], PullQueue]:
        before = [(record, each, each.wait) for record in records for each in record.containers.values()]
        joined, queue = advance_waits(records, node, self._digests.digest_of, self._linger)
        for record, container, wait in before:
            if wait is not None and container.wait is not wait:
                self.count(record.namespace, wait)
        for entry in joined:
            if self._is_final(entry.wait, node.deadlines):
                self.count(entry.record.namespace, entry.wait)
        return joined, queue

    def _is_final(self, wait: ImageWait, deadlines: Deadlines) -> bool:
        """Whether a wait has ended and an event with its durations need not be awaited."""
        if wait.ended_at is None or wait.counted or not wait.confirmed:
            return False
        return wait.pulled is not None or wait.since < self._started or deadlines.reached(wait.ended_at + EVENT_SECONDS)

    def _row(self, entry: JoinedWait, node: NodeNow, queue: PullQueue, unanswered: int) -> PodPull:
        record, container, matched = entry.record, entry.container, _pull_of(entry)
        registry, repository, digest = _identity(container.image, matched)
        facts = None if entry.phase is PodPhase.PULLED else self._facts(entry, node, queue, unanswered)
        return PodPull(
            labels=PodImage(
                record.namespace, record.name, container.user.name, container.user.type, record.node, container.image
            ),
            uid=record.api_uid or record.uid,
            phase=entry.phase,
            since=entry.wait.since,
            match=entry.match.kind if matched is None else entry.wait.match,
            registry=registry,
            repository=repository,
            digest=digest,
            cause=None if facts is None else diagnose(facts),
            failure=facts.failure if facts is not None and entry.phase in FAILING else None,
            behind=facts.behind if facts is not None else "",
            pull=matched,
        )

    def _facts(self, entry: JoinedWait, node: NodeNow, queue: PullQueue, unanswered: int) -> Facts:
        matched = entry.match.pull
        pull = matched.pull if matched is not None and entry.phase is PodPhase.DOWNLOADING else None
        comparable = matched is not None and node.deadlines.reached(_comparable_at(entry, matched))
        return Facts(
            phase=entry.phase,
            failure=entry.container.failure,
            silent=node.silent and not node.coming,
            runtime_up=node.reading.reported.daemon.up,
            stale=matched.stale if matched else None,
            # The longest waits for a registry come first: the first `unanswered` of them are too long.
            unresolved=canonical_reference(entry.container.image) in queue.resolving[:unanswered],
            behind=queue.head if entry.phase is PodPhase.QUEUED else "",
            remote=pull is not None and bool(pull.remote_pending),
            shared=pull is not None and waits_for_shared_layer(pull, node.pulls),
            share=self._rates.share(node.reading.node, pull) if pull is not None and comparable else None,
        )


def _pull_of(entry: JoinedWait) -> NodePull | None:
    """The matched pull; for an image that has come, the last one that was matched."""
    if entry.match.pull is not None or entry.wait.ended_at is None or entry.wait.pull is None:
        return entry.match.pull
    return replace(entry.wait.pull, stale=None, answering=False)


def _comparable_at(entry: JoinedWait, matched: NodePull) -> float:
    """When the rate of its download can first be compared with that of other nodes."""
    opened_at = entry.wait.opened_at
    return (opened_at if matched.began_at is None else min(matched.began_at, opened_at)) + FIRST_SECONDS


def _identity(image: str, matched: NodePull | None) -> tuple[str, str, str]:
    """Registry, repository and digest: the pull's, else the reference's."""
    if matched is not None:
        return matched.key
    name = image_name(image)
    return (name.registry, name.repository, name.digest or "") if name else ("", "", "")


def _status(node: NodeNow, queue: PullQueue, rows: Sequence[PodPull], unanswered: int) -> NodeStatus:
    waiting = sum(row.phase is not PodPhase.PULLED for row in rows)
    return NodeStatus(
        node=node.reading.node,
        state=node.reading.state,
        answered_at=node.reading.answered_at,
        queued=len(queue.queued),
        resolving=len(node.reading.reported.resolving),
        resolving_stale=unanswered,
        running=sum(entry.running for entry in node.pulls),
        waiting=waiting,
    )
