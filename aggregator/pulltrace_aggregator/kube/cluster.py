"""All that is followed in the cluster: a thread for each selection, started and ended together."""

import threading
from collections.abc import Iterable
from typing import Self

from pulltrace.clock import Clock
from pulltrace_aggregator.kube.access import Access
from pulltrace_aggregator.kube.client import Client
from pulltrace_aggregator.kube.complaints import Complaints
from pulltrace_aggregator.kube.health import Health
from pulltrace_aggregator.kube.reflector import Feed
from pulltrace_aggregator.kube.resources import Selection
from pulltrace_aggregator.kube.timing import Timing
from pulltrace_aggregator.model.cluster import NodeSeen, PodSeen, Sink


class Cluster:
    """The Kubernetes API as the aggregator uses it. Started once, closed once; closing ends its access, too."""

    def __init__(
        self, access: Access, selections: Iterable[Selection], sink: Sink, clock: Clock, timing: Timing | None = None
    ) -> None:
        timing = timing or Timing()
        self._access = access
        self._stopping = threading.Event()
        self._client = Client(access, timing, clock)
        complaints = Complaints()
        self._feeds = [Feed(self._client, each, sink, complaints, self._stopping, timing, clock) for each in selections]
        self._threads = [threading.Thread(target=feed.run, name=f"watch {feed.state.name}") for feed in self._feeds]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def health(self) -> Health:
        """As it is now."""
        return Health(tuple(feed.state for feed in self._feeds))

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
