"""The exporters as the aggregator uses them: a thread that reads them, and what it has learnt."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

from pulltrace.clock import Clock
from pulltrace_aggregator.exporters.discovery import Discovery
from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.http_config import HttpAccess
from pulltrace_aggregator.exporters.poller import ExporterNews, Poller
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.model.cluster import Receiver, SliceGone, SliceSeen

_RESOLVER_THREADS: Final = 2


class PollerThread:
    """Started once, closed once. Its methods may be called by any thread."""

    def __init__(
        self,
        discovery: Discovery,
        access: HttpAccess,
        clock: Clock,
        receiver: Receiver[ExporterNews],
        *,
        pace: Pace | None = None,
        timeout: float = 3.0,
    ) -> None:
        """`timeout` is for a whole request, in seconds. From here on `discovery` and `access` are this thread's."""
        self._poller = Poller(discovery, access, pace or Pace(), timeout, clock, receiver)
        self._loop = asyncio.new_event_loop()
        # For names of hosts, which addresses do without. `close` does not wait for a name server that is silent.
        self._loop.set_default_executor(ThreadPoolExecutor(_RESOLVER_THREADS, "exporter names"))
        self._thread = threading.Thread(target=self._run, name="exporters")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def close(self) -> None:
        """Drop all requests and wait for the thread, which is a matter of milliseconds."""
        if self._thread.ident is None:
            self._loop.close()
            return
        self._call(self._poller.stop)
        self._thread.join()

    def receive(self, observed: object) -> None:
        """Take what Kubernetes tells of EndpointSlices; all else is left to others."""
        if isinstance(observed, SliceSeen | SliceGone):
            self._call(lambda: self._poller.discovered(observed))

    def want(self, nodes: Iterable[str], layers: Iterable[str] = ()) -> None:
        """Take these as all nodes where a pod waits for an image: they are asked often.

        `layers` are those of which the layers of pulls matter, too.
        """
        wanted, layered = frozenset(nodes), frozenset(layers)
        self._call(lambda: self._poller.want(wanted, layered))

    @property
    def requests(self) -> dict[Result, int]:
        """How many requests have ended how since the start, zeros included."""
        return {result: self._poller.requests[result] for result in Result}

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._poller.run())
        finally:
            self._loop.close()
