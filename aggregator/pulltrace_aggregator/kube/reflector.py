"""Follows the cluster: a thread for each selection lists, watches, pauses after a failure, and starts again."""

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from pulltrace.clock import Clock, Instant, Monotonic
from pulltrace.logs import fields
from pulltrace_aggregator.kube.access import ApiAccess
from pulltrace_aggregator.kube.client import ApiClient, Timing
from pulltrace_aggregator.kube.errors import (
    Cut,
    Expired,
    Forbidden,
    InternalError,
    KubernetesError,
    NotFound,
    Stopped,
    Throttled,
)
from pulltrace_aggregator.kube.listwatch import ListWatch
from pulltrace_aggregator.kube.resources import Selection
from pulltrace_aggregator.model.cluster import NodeSeen, Observed, PodSeen, Receiver
from pulltrace_aggregator.problem_log import ProblemLog

log = logging.getLogger(__name__)


class Stage(Enum):
    """Where the list and watch of a selection stands."""

    STARTING = "starting"
    LISTED = "listed"
    WATCHING = "watching"
    FAILING = "failing"
    REFUSED = "refused"
    """A right or an API is missing, which only a person can change as a rule. Tried again ever more slowly."""


@dataclass(frozen=True, slots=True)
class WatchState:
    """State of the watch of one selection. `problem` says what is wrong; it is empty when nothing is.

    `complete` means that a list has been complete once, so that everything from before the start is known. `restarts`
    counts failures of lists and watches by reason. A watch that ends after its requested length is no failure.
    """

    name: str
    resource: str
    stage: Stage = Stage.STARTING
    problem: str = ""
    complete: bool = False
    restarts: Mapping[str, int] = field(default_factory=dict)


class Reflector:
    """Runs in a thread of its own until `stopping` is set and the client's access is closed.

    `state` is replaced as a whole with each change.
    """

    def __init__(
        self,
        client: ApiClient,
        selection: Selection,
        receiver: Receiver[Observed],
        problems: ProblemLog,
        stopping: threading.Event,
        timing: Timing,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._following = ListWatch(client, selection, receiver, self, timing, jitter)
        self._problems = problems
        self._stopping = stopping
        self._timing = timing
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._expired = False
        self._accepted_at = clock.now().monotonic
        self.state = WatchState(selection.name, selection.resource)

    def run(self) -> None:
        """List, watch and pause until stopped."""
        while not self._stopping.is_set():
            self._stopping.wait(self.attempt())

    def attempt(self) -> float:
        """List if needed and watch once; returns how long to wait before the next attempt, in seconds."""
        began = self._clock.now().monotonic
        try:
            self._following.run()
        except Stopped:
            return 0.0
        except KubernetesError as error:
            return self._failed(error, began)
        except Exception as error:
            # An internal error, perhaps because of one odd object. The others must still be seen.
            log.exception(
                "internal error: a change from the API server was dropped, listing again",
                extra=fields(watch=self.state.name),
            )
            self._following.resource_version = ""
            return self._failed(InternalError(f"{self.state.name}: {type(error).__name__}"), began)
        # From its acceptance on: the time of a list before it, or of a slow answer, does not count.
        if self._lasted(self._accepted_at) < self._timing.at_once:
            return self._failed(Cut(f"{self.state.name}: the API server ends watches at once"), began)
        self._failures, self._expired = 0, False
        return 0.0

    def listed(self) -> None:
        """The list is complete."""
        self.state = replace(self.state, stage=Stage.LISTED, complete=True)

    def watching(self) -> None:
        """The server has accepted the watch."""
        self._accepted_at = self._clock.now().monotonic
        self._problems.works(self.state.name, watch=self.state.name)
        self.state = replace(self.state, stage=Stage.WATCHING, problem="")

    def _lasted(self, began: Monotonic) -> float:
        return self._clock.now().monotonic - began

    def _failed(self, error: KubernetesError, began: Monotonic) -> float:
        if self._accepted_at >= began and self._lasted(self._accepted_at) > self._timing.longest_pause:
            self._failures, self._expired = 0, False
        self._failures += 1
        # The first time a new list solves it, whatever failed before.
        mended = isinstance(error, Expired) and not self._expired
        self._expired = isinstance(error, Expired)
        counts = {**self.state.restarts, error.reason: self.state.restarts.get(error.reason, 0) + 1}
        refused = isinstance(error, Forbidden | NotFound)
        # A version that is too old is not a problem by itself.
        problem = self.state.problem if isinstance(error, Expired) else str(error)
        if refused or (self._failures > 1 and not mended):  # what solves itself at once is not logged
            self._problems.failed(
                self.state.name,
                str(error) if refused else error.reason,
                watch=self.state.name,
                error=str(error),
            )
        stage = Stage.REFUSED if refused else Stage.FAILING
        self.state = replace(self.state, stage=stage, problem=problem, restarts=MappingProxyType(counts))
        return 0.0 if mended else self._pause(error)

    def _pause(self, error: KubernetesError) -> float:
        """How long to wait, in seconds. A random part keeps watches that failed together from coming back together."""
        # Pauses begin short: an API server that has just started refuses everything until it has read its roles.
        refused = isinstance(error, Forbidden | NotFound)
        longest = self._timing.refused_pause if refused else self._timing.longest_pause
        growing = self._timing.first_pause * 2.0 ** min(self._failures - 1, 10)
        pause = min(growing, longest) * (0.5 + self._jitter() / 2)
        if isinstance(error, Throttled):
            asked = min(error.retry_after, self._timing.longest_asked_pause)
            return max(pause, asked * (1 + self._jitter() / 4))
        return pause


@dataclass(frozen=True, slots=True)
class Health:
    """State of the watches of all selections together."""

    watches: tuple[WatchState, ...]

    @property
    def up(self) -> bool:
        """Whether everything is listed and watched at this moment."""
        return all(watch.stage is Stage.WATCHING for watch in self.watches)

    @property
    def ready(self) -> bool:
        """Whether the first list of every selection is complete. Before that the view is incomplete."""
        return not self.awaited

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names of the selections whose first list is not complete yet, also of those whose list is refused."""
        return tuple(watch.name for watch in self.watches if not watch.complete)

    @property
    def problems(self) -> tuple[str, ...]:
        """The present problems, each once."""
        return tuple(dict.fromkeys(watch.problem for watch in self.watches if watch.problem))

    @property
    def restarts(self) -> Mapping[tuple[str, str], int]:
        """Failures of lists and watches by resource and reason, since the start."""
        counts: Counter[tuple[str, str]] = Counter()
        for watch in self.watches:
            for reason, count in watch.restarts.items():
                counts[watch.resource, reason] += count
        return counts


class Cluster:
    """The Kubernetes API as the aggregator uses it. Started once, closed once; closing also closes its access."""

    def __init__(
        self,
        access: ApiAccess,
        selections: Iterable[Selection],
        receiver: Receiver[Observed],
        clock: Clock,
        timing: Timing | None = None,
    ) -> None:
        timing = timing or Timing()
        self._access = access
        self._stopping = threading.Event()
        self._client = ApiClient(access, timing, clock)
        problems = ProblemLog(
            log,
            "the Kubernetes API fails, retrying",
            "the Kubernetes API is listed and watched again",
            together=True,
        )
        self._reflectors = [
            Reflector(self._client, each, receiver, problems, self._stopping, timing, clock) for each in selections
        ]
        self._threads = [
            threading.Thread(target=each.run, name=f"watch {each.state.name}") for each in self._reflectors
        ]

    @property
    def health(self) -> Health:
        """The present health."""
        return Health(tuple(each.state for each in self._reflectors))

    def server_ahead(self, now: Instant) -> float | None:
        """Seconds by which the API server's clock is ahead of ours at `now`; None before its first answer."""
        return self._client.server_ahead(now)

    def pod(self, namespace: str, name: str) -> PodSeen | None:
        """A pod whatever its phase, None where there is none; raises KubernetesError. Takes a request's time."""
        return self._client.pod(namespace, name)

    def node(self, name: str) -> NodeSeen | None:
        """A node, None where there is none; raises KubernetesError. Takes a request's time."""
        return self._client.node(name)

    def start(self) -> None:
        """Begin to list and watch."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End every request and wait for the threads, which end within milliseconds."""
        self._stopping.set()
        self._access.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
