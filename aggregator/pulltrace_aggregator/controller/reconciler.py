"""The aggregator's state machine: observations of the cluster and readings of nodes in, views out. It does no I/O.

What comes in is stored at once. A tick then reconciles the nodes with news, and those whose deadline has passed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from pulltrace.clock import NEVER, Instant, Moment, Monotonic
from pulltrace_aggregator.controller.counters import Counters
from pulltrace_aggregator.controller.node_reconciler import NodeReconciler, NodeView
from pulltrace_aggregator.diagnosis.staleness import StaleLimits
from pulltrace_aggregator.model.cluster import EventSeen, NodeSeen, Observed, PodSeen
from pulltrace_aggregator.model.node import NodePull, NodeReading, NodeState, NodeStatus
from pulltrace_aggregator.model.view import PodPull, View
from pulltrace_aggregator.pods.store import PodStore, Recheck

NODE_RETRY_SECONDS: Final = 60.0
"""A node that could not be read from the API is read again after this long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the flags set: when pulls are stale, and for how many seconds an image that has come is shown.

    At most `repositories` have counters of their own.
    """

    stale: StaleLimits = field(default_factory=StaleLimits)
    pod_linger: float = 120.0
    repositories: int = 500


@dataclass(frozen=True, slots=True)
class TickResult:
    """What a tick gives: the view, and what others are to do.

    `rechecks` are pods and `node_reads` nodes to be read from the API now. Each is given once, and again if no answer
    comes for a while. `busy` are the nodes whose exporters are read often: a pull is known there, running or ended, or
    a pod waits for an image, or may wait. `layers` are those of them that are read with the layers of pulls. `faults`
    are internal errors, each with its node; that node is shown as it was before.
    """

    view: View
    rechecks: tuple[Recheck, ...]
    busy: frozenset[str]
    layers: frozenset[str]
    node_reads: tuple[str, ...] = ()
    faults: tuple[tuple[str, Exception], ...] = ()


class Reconciler:
    """Mutable, and for one thread.

    `owns` tells which nodes are this replica's; `exporter` is namespace and name of the exporters' DaemonSet.
    """

    def __init__(
        self,
        started: Instant,
        limits: Limits | None = None,
        owns: Callable[[str], bool] = lambda _: True,
        exporter: tuple[str, str] | None = None,
    ) -> None:
        limits = limits or Limits()
        self._owns = owns
        self._counters = Counters(limits.repositories, started.monotonic)
        self._pods = PodStore(owns, exporter)
        self._nodes = NodeReconciler(self._counters, limits.stale, limits.pod_linger, started.monotonic)
        self._readings: dict[str, NodeReading] = {}
        self._views: dict[str, NodeView] = {}
        self._changed: set[str] = set()
        self._expected: dict[str, bool] = {}
        self._asked_at: dict[str, Monotonic] = {}

    def observe(self, seen: Observed, now: Instant, server_ahead: float = 0.0) -> None:
        """Take in what the Kubernetes API showed at `now`.

        `server_ahead` is by how many seconds the API server's clock is ahead of ours: its stamps become ages with it.
        """
        self._pods.observe(seen, Moment(now, server_ahead))
        if isinstance(seen, EventSeen) and self._owns(seen.node):
            self._counters.add_event(seen, self._pods.image_of(seen))
        elif isinstance(seen, PodSeen):
            self._counters.add_pod(seen.namespace, seen.name, self._pods.image_of)

    def rechecked(self, recheck: Recheck, found: PodSeen | None, now: Instant, server_ahead: float = 0.0) -> None:
        """Take in the answer to a recheck: the pod that bears the name now, None where there is none."""
        self._pods.rechecked(recheck, found, Moment(now, server_ahead))

    def node_read(self, name: str, found: NodeSeen | None) -> None:
        """Take in what Kubernetes knows of a node that `node_reads` asked for, None where there is none."""
        self._expected[name] = found is None or found.can_have_exporter
        self._changed.add(name)

    def read(self, reading: NodeReading) -> None:
        """Take in how a node's exporter was read. After an answer without news the node is not reconciled."""
        if not self._owns(reading.node):
            return
        before = self._readings.get(reading.node)
        reading = self._readings[reading.node] = reading.after(before)
        if before is None or before.report is not reading.report or before.state is not reading.state:
            self._changed.add(reading.node)
        elif reading.node in self._views:
            view = self._views[reading.node]
            status = replace(view.status, answered_at=reading.answered_at)
            self._views[reading.node] = replace(view, status=status)

    def forget(self, node: str) -> None:
        """The node has no exporter any more, and its last report is dropped."""
        if self._readings.pop(node, None) is not None:
            self._nodes.forget(node)
            self._changed.add(node)

    def tick(self, now: Instant) -> TickResult:
        """Bring everything up to `now`."""
        rechecks = self._pods.rechecks(now.monotonic)
        faults = tuple(self._reconcile(self._due(now.monotonic), now.monotonic))
        for namespace, wait in self._pods.pop_finished():
            self._nodes.count(namespace, wait)
        return TickResult(
            self._view(),
            rechecks,
            node_reads=self._node_reads(now.monotonic),
            busy=frozenset(node for node, view in self._views.items() if view.busy),
            layers=frozenset(node for node, view in self._views.items() if view.layers),
            faults=faults,
        )

    def _due(self, now: Monotonic) -> list[str]:
        due = self._changed | self._pods.pop_changed()
        self._changed = set()
        due.update(node for node, view in self._views.items() if view.next_at <= now)
        return sorted(due)

    def _reconcile(self, nodes: list[str], now: Monotonic) -> Iterator[tuple[str, Exception]]:
        readings = {node: self._readings.get(node) or NodeReading(node, NodeState.UNKNOWN) for node in nodes}
        # First learn from all of them, because each is compared with the others.
        for node, reading in readings.items():
            try:
                self._nodes.compare(reading, now)
            except Exception as error:  # noqa: BLE001 - returned to the caller; the other nodes go on
                yield node, error
        for node, reading in readings.items():
            records = self._pods.on(node)
            try:
                if records or node in self._readings:
                    expected = self._expected.get(node, True)
                    self._views[node] = self._nodes.reconcile(reading, records, now, expected=expected)
                else:
                    for remembered in (self._views, self._expected, self._asked_at):
                        remembered.pop(node, None)
            except Exception as error:  # noqa: BLE001 - as above
                yield node, error

    def _node_reads(self, now: Monotonic) -> tuple[str, ...]:
        """Nodes to be read, to find out whether they can have an exporter: a pod waits there, and none answers."""
        dark = [
            name
            for name, view in self._views.items()
            if view.status.waiting and view.status.state is not NodeState.OK and name not in self._expected
        ]
        due = [name for name in dark if now >= self._asked_at.get(name, NEVER) + NODE_RETRY_SECONDS]
        self._asked_at.update(dict.fromkeys(due, now))
        return tuple(due)

    def _view(self) -> View:
        pods: list[PodPull] = []
        pulls: list[NodePull] = []
        nodes: list[NodeStatus] = []
        for view in self._views.values():
            pods += view.pods
            pulls += view.pulls
            nodes.append(view.status)
        return View(tuple(pods), tuple(pulls), tuple(nodes), self._counters.totals())
