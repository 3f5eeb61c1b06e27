"""The aggregator's loop: take in what was observed, bring the reconciler up to now, publish its view."""

import logging
import queue
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from pulltrace.clock import Clock, Instant
from pulltrace.logs import fields
from pulltrace_aggregator.controller.reconciler import Reconciler, TickResult
from pulltrace_aggregator.exporters.state import ExporterGone, ExporterSeen
from pulltrace_aggregator.kube.errors import Forbidden, KubernetesError
from pulltrace_aggregator.kube.reflector import Health
from pulltrace_aggregator.model.cluster import NodeSeen, Observed, PodSeen, SliceGone, SliceSeen
from pulltrace_aggregator.model.view import View
from pulltrace_aggregator.pods.store import Recheck

log = logging.getLogger(__name__)

MAX_INTERVAL: Final = 1.0
"""The longest time between two views: as time passes, pulls become stale and ended ones are removed."""
MIN_INTERVAL: Final = 0.2
"""The shortest time between two views. Observations come in bursts, and one view takes in a whole burst."""
MOST_AT_ONCE: Final = 5000
"""Most items that are taken from the inbox at once. With more of them the view would get old."""
RECHECK_THREADS: Final = 16
"""Most pods and nodes that are read from the API at a time. A deleted pod is shown until its recheck, and a deleted
namespace may have had hundreds."""


@dataclass(frozen=True, slots=True)
class Rechecked:
    """The answer to a recheck: the pod that bears the name now, None where there is none."""

    recheck: Recheck
    found: PodSeen | None


@dataclass(frozen=True, slots=True)
class NodeRead:
    """The answer to the read of a node, None where there is none."""

    name: str
    found: NodeSeen | None


Item: TypeAlias = Observed | ExporterSeen | ExporterGone | Rechecked | NodeRead


class Inbox:
    """Takes items from any thread, with the moment at which they came; emptied by one thread, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: queue.SimpleQueue[tuple[Item | None, Instant]] = queue.SimpleQueue()

    def receive(self, item: Item) -> None:
        """Put one item in; those of one sender stay in order."""
        self._items.put((item, self._clock.now()))

    def wake(self) -> None:
        """End a wait."""
        self._items.put((None, self._clock.now()))

    def wait(self, seconds: float) -> list[tuple[Item, Instant]]:
        """All items up to a limit, as soon as there is one. Empty if none comes within this many seconds."""
        items = []
        try:
            items.append(self._items.get(timeout=max(seconds, 0.0)))
            while len(items) < MOST_AT_ONCE:
                items.append(self._items.get_nowait())
        except queue.Empty:
            pass
        return [(item, at) for item, at in items if item is not None]


class Kubernetes(Protocol):
    """The Kubernetes API as the loop uses it."""

    @property
    def health(self) -> Health:
        """The state of all watches."""

    def server_ahead(self, now: Instant) -> float | None:
        """By how many seconds its clock is ahead of ours at `now`, None before that is known."""

    def pod(self, namespace: str, name: str) -> PodSeen | None:
        """A pod whatever its phase, None where there is none; raises KubernetesError."""

    def node(self, name: str) -> NodeSeen | None:
        """A node, None where there is none; raises KubernetesError."""


class Exporters(Protocol):
    """The exporters as the loop uses them."""

    def receive(self, observed: SliceSeen | SliceGone) -> None:
        """Take a change of the exporters' EndpointSlices."""

    def want(self, nodes: Iterable[str], layers: Iterable[str]) -> None:
        """Read these nodes often, and those in `layers` with the layers of their pulls."""


@dataclass(frozen=True, slots=True)
class Published:
    """What is served. `unready` says why the view cannot be relied on yet; it is empty once it can."""

    view: View = field(default_factory=View)
    unready: str = "nothing has been listed yet"
    problems: tuple[str, ...] = ()


class Loop:
    """Runs in a thread of its own until stopped; `published` is replaced as a whole with each step."""

    def __init__(
        self, inbox: Inbox, reconciler: Reconciler, kubernetes: Kubernetes, exporters: Exporters, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._reconciler = reconciler
        self._kubernetes = kubernetes
        self._exporters = exporters
        self._clock = clock
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(RECHECK_THREADS, "recheck")
        self._rechecks: set[Recheck] = set()
        self._wanted: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self._ready = False
        self._last_error = ""
        self._forbidden: set[str] = set()
        self.published = Published()

    def run(self) -> None:
        """Handle and publish, until `stop`."""
        while not self._stopping.is_set():
            began = self._clock.now().monotonic
            self.step()
            rest = began + MIN_INTERVAL - self._clock.now().monotonic
            self._stopping.wait(max(rest, 0.0))
            self._handle_all(self._inbox.wait(began + MAX_INTERVAL - self._clock.now().monotonic))
        self._threads.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Let `run` return soon. It waits for rechecks that are under way: close the Kubernetes API first."""
        self._stopping.set()
        self._inbox.wake()

    def step(self) -> None:
        """Handle everything that has come, and publish the view that it leads to."""
        # The health is read first. So the items of all lists that it calls complete are among these, if not too many.
        health, items = self._kubernetes.health, self._inbox.wait(0.0)
        self._handle_all(items)
        result = self._tick()
        self._ready = self._ready or (health.ready and len(items) < MOST_AT_ONCE)
        unready = "" if self._ready else _reason(health)
        view = self.published.view if result is None else result.view
        self.published = Published(view, unready, health.problems)
        if result is not None:
            for node, error in result.faults:
                self._log_error(error, node)
            self._act(result)

    def _tick(self) -> TickResult | None:
        try:
            return self._reconciler.tick(self._clock.now())
        except Exception as error:  # noqa: BLE001 - logged; the last view stays
            self._log_error(error)
            return None

    def _handle_all(self, items: Iterable[tuple[Item, Instant]]) -> None:
        for item, at in items:
            try:
                self._handle(item, at)
            except Exception as error:  # noqa: BLE001 - logged; the other items are still handled
                self._log_error(error)

    def _handle(self, item: Item, at: Instant) -> None:
        ahead = self._kubernetes.server_ahead(at) or 0.0
        match item:
            case ExporterSeen():
                self._reconciler.read(item.reading)
            case ExporterGone():
                self._reconciler.forget(item.node)
            case Rechecked():
                self._reconciler.rechecked(item.recheck, item.found, at, ahead)
            case NodeRead():
                self._reconciler.node_read(item.name, item.found)
            case SliceSeen() | SliceGone():
                self._exporters.receive(item)
            case _:
                self._reconciler.observe(item, at, ahead)

    def _log_error(self, error: Exception, node: str = "") -> None:
        kind = f"{node} {type(error).__name__}: {error}"
        if kind != self._last_error:
            self._last_error = kind
            log.error("internal error: the last update was dropped", exc_info=error, extra=fields(node=node))

    def _act(self, result: TickResult) -> None:
        if (result.busy, result.layers) != self._wanted:
            self._wanted = (result.busy, result.layers)
            self._exporters.want(*self._wanted)
        for recheck in result.rechecks:
            if recheck not in self._rechecks:
                self._rechecks.add(recheck)
                self._threads.submit(self._recheck, recheck)
        for name in result.node_reads:
            self._threads.submit(self._read_node, name)

    def _recheck(self, recheck: Recheck) -> None:
        try:
            self._inbox.receive(Rechecked(recheck, self._kubernetes.pod(recheck.namespace, recheck.name)))
            self._forbidden.discard("pod")
        except KubernetesError as error:
            self._log_unread("pod", recheck.name, error)
        except Exception as error:  # noqa: BLE001 - logged; the thread's caller asks for no result
            self._log_error(error)
        finally:
            self._rechecks.discard(recheck)

    def _read_node(self, name: str) -> None:
        try:
            self._inbox.receive(NodeRead(name, self._kubernetes.node(name)))
            self._forbidden.discard("node")
        except KubernetesError as error:
            # A node that cannot be read counts as one that can have an exporter.
            self._log_unread("node", name, error)
        except Exception as error:  # noqa: BLE001 - as above
            self._log_error(error, name)

    def _log_unread(self, kind: str, name: str, error: KubernetesError) -> None:
        """A right is missing for all objects of a kind, so only the first of them gives a warning."""
        new = isinstance(error, Forbidden) and kind not in self._forbidden
        if new:
            self._forbidden.add(kind)
        level = logging.WARNING if new else logging.DEBUG
        log.log(level, "cannot read an object from the Kubernetes API", extra=fields(**{kind: name}, error=error))


def _reason(health: Health) -> str:
    awaited = ", ".join(health.awaited)
    reasons = (*((f"waiting for the first list of {awaited}",) if awaited else ()), *health.problems)
    return "; ".join(reasons) or "the lists are still being read"
