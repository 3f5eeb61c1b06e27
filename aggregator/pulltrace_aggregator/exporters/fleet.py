"""The exporters as the aggregator uses them: a thread that reads them, and what it has learnt."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Final, Self

from pulltrace.clock import Clock
from pulltrace_aggregator.exporters.access import Access
from pulltrace_aggregator.exporters.discovery import Discovery
from pulltrace_aggregator.exporters.poller import Reader
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.exporters.values import ExporterGone, ExporterSeen, FleetView, Result, Sink
from pulltrace_aggregator.model.cluster import SliceGone, SliceSeen

_RESOLVER_THREADS: Final = 2


class _Nobody:
    def receive(self, observed: ExporterSeen | ExporterGone) -> None:
        """Hear it; `view` tells the same."""


class Fleet:
    """Started once, closed once. Its methods may be called by any thread."""

    def __init__(
        self,
        discovery: Discovery,
        access: Access,
        clock: Clock,
        *,
        pace: Pace | None = None,
        timeout: float = 3.0,
        sink: Sink | None = None,
    ) -> None:
        """`timeout` is for a whole request, in seconds. From here on `discovery` and `access` are the fleet's."""
        self._reader = Reader(discovery, access, pace or Pace(), timeout, clock, sink or _Nobody())
        self._loop = asyncio.new_event_loop()
        # For names of hosts, which addresses do without. `close` does not wait for a name server that is silent.
        self._loop.set_default_executor(ThreadPoolExecutor(_RESOLVER_THREADS, "fleet resolver"))
        self._thread = threading.Thread(target=self._run, name="fleet")

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
        self._call(self._reader.stop)
        self._thread.join()

    def receive(self, observed: object) -> None:
        """Take what Kubernetes tells of EndpointSlices; all else is left to others."""
        if isinstance(observed, SliceSeen | SliceGone):
            self._call(lambda: self._reader.discovered(observed))

    def want(self, nodes: Iterable[str], layers: Iterable[str] = ()) -> None:
        """Take these as all nodes where a pod waits for an image: they are asked often.

        `layers` are those of which the layers of pulls matter, too.
        """
        wanted, layered = frozenset(nodes), frozenset(layers)
        self._call(lambda: self._reader.want(wanted, layered))

    def view(self) -> FleetView:
        """Everything as it is now."""
        return FleetView(MappingProxyType(self._reader.roster.exporters), MappingProxyType(self.requests))

    @property
    def requests(self) -> dict[Result, int]:
        """How many requests have ended how since the start, zeros included."""
        return {result: self._reader.requests[result] for result in Result}

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._reader.run())
        finally:
            self._loop.close()
