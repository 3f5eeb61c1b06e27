"""All that is followed in the cluster: a thread for each selection, started and ended together."""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from pulltrace.clock import Clock
from pulltrace_aggregator.kube.access import ApiAccess
from pulltrace_aggregator.kube.client import ApiClient, Timing
from pulltrace_aggregator.kube.reflector import Reflector, Stage, WatchState
from pulltrace_aggregator.kube.resources import Selection
from pulltrace_aggregator.model.cluster import NodeSeen, Observed, PodSeen, Receiver
from pulltrace_aggregator.problem_log import ProblemLog

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """Of all selections together."""

    watches: tuple[WatchState, ...]

    @property
    def up(self) -> bool:
        """Whether everything is listed and watched at this moment."""
        return all(watch.stage is Stage.WATCHING for watch in self.watches)

    @property
    def ready(self) -> bool:
        """Whether the first lists are in, of everything that was asked for: without one the picture is not whole."""
        return not self.awaited

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names of those whose first list is still to come, as long as it is refused as well."""
        return tuple(watch.name for watch in self.watches if not watch.complete)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, each once."""
        return tuple(dict.fromkeys(watch.problem for watch in self.watches if watch.problem))

    @property
    def restarts(self) -> Mapping[tuple[str, str], int]:
        """By resource and reason."""
        counts: Counter[tuple[str, str]] = Counter()
        for watch in self.watches:
            for reason, count in watch.restarts.items():
                counts[watch.resource, reason] += count
        return counts


class Cluster:
    """The Kubernetes API as the aggregator uses it. Started once, closed once; closing ends its access, too."""

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

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def health(self) -> Health:
        """As it is now."""
        return Health(tuple(each.state for each in self._reflectors))

    @property
    def server_ahead(self) -> float | None:
        """Seconds by which the API server's clock is ahead of ours; None before its first answer."""
        return self._client.server_ahead

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
        """End every request and wait for the threads, which is a matter of milliseconds."""
        self._stopping.set()
        self._access.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
