"""The aggregator's loop: hear what is new, bring the core up to now, publish its view."""

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from pulltrace.clock import Clock, Instant
from pulltrace.logs import fields
from pulltrace_aggregator.controller.reconciler import Reconciler, TickResult
from pulltrace_aggregator.exporters.values import ExporterGone, ExporterSeen
from pulltrace_aggregator.inbox import MOST_AT_ONCE, Inbox, News, Rechecked
from pulltrace_aggregator.kube.errors import Forbidden, KubernetesError
from pulltrace_aggregator.kube.health import Health
from pulltrace_aggregator.model.cluster import PodSeen, SliceGone, SliceSeen
from pulltrace_aggregator.model.view import View
from pulltrace_aggregator.pods.store import Recheck

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 1.0
"""The longest time between two views: time alone makes pulls stale and lets what is over go."""
CLOSEST_SECONDS: Final = 0.2
"""The shortest: news come in bursts, and one view serves all that come within this."""
LOOKING_THREADS: Final = 16
"""Looks at pods under way at a time. Deleted pods leave with theirs, and a namespace may have hundreds of them."""


class Kubernetes(Protocol):
    """The Kubernetes API as the loop uses it."""

    @property
    def health(self) -> Health:
        """How listing and watching fares."""
        ...

    @property
    def server_ahead(self) -> float | None:
        """By how many seconds its clock is ahead of ours, None before that is known."""
        ...

    def pod(self, namespace: str, name: str) -> PodSeen | None:
        """A pod whatever its phase, None where there is none; raises KubernetesError."""
        ...


class Exporters(Protocol):
    """The exporters as the loop uses them."""

    def receive(self, observed: object) -> None:
        """Take what Kubernetes tells of where they are."""
        ...

    def want(self, nodes: Iterable[str], layers: Iterable[str]) -> None:
        """Ask these nodes often, and some of them for the layers of their pulls too."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """What is served. `unready` says why the view is not to be relied on yet, empty once it is."""

    view: View = field(default_factory=View)
    unready: str = "nothing has been listed yet"
    problems: tuple[str, ...] = ()


class Loop:
    """Runs in a thread of its own until stopped; what is published is replaced as a whole with each turn."""

    def __init__(
        self, inbox: Inbox, core: Reconciler, kubernetes: Kubernetes, exporters: Exporters, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._core = core
        self._kubernetes = kubernetes
        self._exporters = exporters
        self._clock = clock
        self._stopping = threading.Event()
        self._looking = ThreadPoolExecutor(LOOKING_THREADS, "look")
        self._looks: set[Recheck] = set()
        self._wanted: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self._ready = False
        self._complaint = ""
        self._forbidden = False
        self._published = Published()

    @property
    def published(self) -> Published:
        """The last view, and whether to rely on it."""
        return self._published

    def run(self) -> None:
        """Hear and publish, until `stop`."""
        while not self._stopping.is_set():
            began = self._clock.now().monotonic
            self.turn()
            rest = began + CLOSEST_SECONDS - self._clock.now().monotonic
            self._stopping.wait(max(rest, 0.0))
            self._hear(self._inbox.wait(began + IDLE_SECONDS - self._clock.now().monotonic))
        self._looking.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Let `run` return soon. Looks that are under way are waited for: close the Kubernetes API first."""
        self._stopping.set()
        self._inbox.wake()

    def turn(self) -> None:
        """Hear everything that has come, and publish what it makes of the view."""
        # Before what was listed is heard: what is complete here has been heard then, unless there was too much.
        health, news = self._kubernetes.health, self._inbox.take()
        self._hear(news)
        turn = self._tick()
        self._ready = self._ready or (health.ready and len(news) < MOST_AT_ONCE)
        unready = "" if self._ready else _reason(health)
        view = self._published.view if turn is None else turn.view
        self._published = Published(view, unready, health.problems)
        if turn is not None:
            for node, error in turn.faults:
                self._complain(error, node)
            self._act(turn)

    def _tick(self) -> TickResult | None:
        try:
            return self._core.tick(self._clock.now())
        except Exception as error:  # noqa: BLE001 - said; the view before stays
            self._complain(error)
            return None

    def _hear(self, news: Iterable[tuple[News, Instant]]) -> None:
        for one, at in news:
            try:
                self._take(one, at)
            except Exception as error:  # noqa: BLE001 - said, and no reason to go blind for all the others
                self._complain(error)

    def _take(self, news: News, at: Instant) -> None:
        ahead = self._kubernetes.server_ahead or 0.0
        match news:
            case ExporterSeen():
                self._core.read(news.reading, at)
            case ExporterGone():
                self._core.forget(news.node)
            case Rechecked():
                self._core.rechecked(news.recheck, news.found, at, ahead)
            case SliceSeen() | SliceGone():
                self._exporters.receive(news)
            case _:
                self._core.observe(news, at, ahead)

    def _complain(self, error: Exception, node: str = "") -> None:
        kind = f"{node} {type(error).__name__}: {error}"
        if kind != self._complaint:
            self._complaint = kind
            log.error("a fault of this program: what was told last is lost", exc_info=error, extra=fields(node=node))

    def _act(self, turn: TickResult) -> None:
        if (turn.busy, turn.layers) != self._wanted:
            self._wanted = (turn.busy, turn.layers)
            self._exporters.want(*self._wanted)
        for recheck in turn.rechecks:
            if recheck not in self._looks:
                self._looks.add(recheck)
                self._looking.submit(self._look, recheck)

    def _look(self, recheck: Recheck) -> None:
        try:
            found = self._kubernetes.pod(recheck.namespace, recheck.name)
        except KubernetesError as error:
            # A right that is missing is missing for all pods, and nothing else tells of this one: said once.
            new = isinstance(error, Forbidden) and not self._forbidden
            self._forbidden = self._forbidden or new
            log.log(
                logging.WARNING if new else logging.DEBUG,
                "a pod cannot be looked at",
                extra=fields(pod=recheck.name, error=error),
            )
        else:
            self._forbidden = False
            self._inbox.receive(Rechecked(recheck, found))
        finally:
            self._looks.discard(recheck)


def _reason(health: Health) -> str:
    awaited = ", ".join(health.awaited)
    reasons = (*((f"the first list is still to come of {awaited}",) if awaited else ()), *health.problems)
    return "; ".join(reasons) or "what was listed is still being read"
