"""Reads all exporters in one event loop: joins discovery, schedule, client and states."""

import asyncio
import contextlib
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from pulltrace.clock import Clock, Monotonic
from pulltrace.logs import fields
from pulltrace_aggregator.exporters.answer import Answer, read_report
from pulltrace_aggregator.exporters.client import ExporterClient
from pulltrace_aggregator.exporters.discovery import Discovery, Resolution
from pulltrace_aggregator.exporters.errors import AskError, ConnectionStale, Result
from pulltrace_aggregator.exporters.http_config import HttpAccess
from pulltrace_aggregator.exporters.schedule import Pace, Schedule
from pulltrace_aggregator.exporters.state import ExporterGone, ExporterSeen, ExporterStates
from pulltrace_aggregator.model.cluster import Receiver, SliceGone, SliceSeen
from pulltrace_aggregator.problem_log import ProblemLog

log = logging.getLogger(__name__)

ExporterNews: TypeAlias = ExporterSeen | ExporterGone
QUIET_SECONDS: Final = 60.0
"""The shortest time between two warnings about one node."""
TIDY_SECONDS: Final = 1.0
COLLECT_SECONDS: Final = 0.1
"""Changes of EndpointSlices come in groups and are handled together."""
REST_FOR_WORK: Final = 50.0
"""A node rests for this many times as long as its report took to parse: parsing holds up all other nodes."""
MAX_LOGGED: Final = 100
"""So many internal errors are remembered: each is logged once, and not with every answer of its node."""
_RESOLVER_THREADS: Final = 2


class Poller:
    """For use within one event loop; other threads may read `states` and `requests`."""

    def __init__(
        self,
        discovery: Discovery,
        access: HttpAccess,
        pace: Pace,
        timeout: float,
        clock: Clock,
        receiver: Receiver[ExporterNews],
    ) -> None:
        self.states = ExporterStates()
        self.requests: Counter[Result] = Counter()
        self._discovery = discovery
        self._access = access
        self._clock = clock
        self._receiver = receiver
        self._schedule = Schedule(pace)
        self._client = ExporterClient(access, timeout, clock)
        self._problems = ProblemLog(log, "exporter does not answer", "exporter answers again", quiet=QUIET_SECONDS)
        self._claims: dict[str, str] = {}
        self._rivals: Mapping[str, tuple[str, ...]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._logged: deque[str] = deque(maxlen=MAX_LOGGED)
        self._stopping = False
        self._update_at = 0.0
        self._tidy_at = 0.0
        self._https = False
        self._layered: frozenset[str] = frozenset()

    def discovered(self, observed: SliceSeen | SliceGone) -> None:
        """Take a change of an EndpointSlice."""
        self._discovery.receive(observed)
        self._update_at = min(self._update_at, self._now() + COLLECT_SECONDS)
        self._wake.set()

    def want(self, nodes: Iterable[str], layered: frozenset[str] = frozenset()) -> None:
        """Take `nodes` as all nodes to be read often, and `layered` as those to be read with the layers of pulls."""
        self._layered = layered
        self._schedule.want(nodes, self._now())
        self._wake.set()

    def stop(self) -> None:
        """Make `run` cancel all requests and return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Ask until stopped."""
        try:
            while not self._stopping:
                await self._pause(self._begin_due(self._now()))
        finally:
            tasks = tuple(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._client.close()

    def _begin_due(self, now: Monotonic) -> Monotonic:
        """Do what is due; returns when there will be more to do."""
        try:
            if now >= self._tidy_at:
                self._tidy(now)
            if now >= self._update_at:
                self._update_targets(now)
            while node := self._schedule.begin_next(now):
                self._tasks[node] = task = asyncio.create_task(self._ask(node))
                task.add_done_callback(lambda done, node=node: self._ended(node, done))  # type: ignore[misc]
        except Exception:
            log.exception("internal error while exporters are read, retrying")
            return Monotonic(now + TIDY_SECONDS)
        return Monotonic(min(self._tidy_at, self._update_at, self._schedule.next_turn()))

    async def _pause(self, until: Monotonic) -> None:
        timer = asyncio.get_running_loop().call_later(max(0.0, until - self._now()), self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    def _tidy(self, now: Monotonic) -> None:
        self._tidy_at = now + TIDY_SECONDS
        self._client.tidy()
        for gone in self.states.forget(now):
            self._report(gone)
        if self._access.current().https != self._https:
            self._update_at = now

    def _update_targets(self, now: Monotonic) -> None:
        """Schedule the nodes that discovery knows now."""
        self._update_at = float("inf")
        self._https = self._access.current().https
        found = self._discovery.resolve(https=self._https)
        self._warn_of_rivals(found)
        changes = self.states.set_targets(found.targets, now)
        for node in (*changes.asked, *changes.left):
            self._drop(node)
        for node in changes.asked:
            self._schedule.add(node, now, pulling=self.states.seen(node).pulling)
        for news in changes.news:
            self._report(news)

    def _drop(self, node: str) -> None:
        """Cancel the request under way: an answer from an address that the node no longer has may be another's."""
        self._schedule.remove(node)
        task = self._tasks.pop(node, None)
        if task:
            task.cancel()

    def _ended(self, node: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(node) is task:
            del self._tasks[node]
        self._wake.set()

    async def _ask(self, node: str) -> None:
        states, layers = self.states, node in self._layered
        try:
            answer = await self._client.ask(
                states.target(node), states.etag(node, layers=layers), layers=layers, keep=self._schedule.busy(node)
            )
            self._read(node, answer, layers=layers)
        except ConnectionStale:
            self._schedule.again(node, self._now())
        except AskError as error:
            self._failed(node, error)
        except Exception as error:
            # An internal error, perhaps because of one odd answer. This node and the others are still asked.
            if repr(error) not in self._logged:
                self._logged.append(repr(error))
                log.exception("internal error while an exporter is read", extra=fields(node=node))
            self._failed(node, AskError(Result.INTERNAL, type(error).__name__))

    def _read(self, node: str, answer: Answer, *, layers: bool) -> None:
        now = self._now()
        if answer.not_modified:
            self._answered(self.states.unchanged(node, now), Result.NOT_MODIFIED, now)
            return
        try:
            report = read_report(answer, self._clock.now().wall, layers=layers)
        except AskError as error:
            self._failed(node, error, self._rest(now))
        else:
            seen = self.states.reported(node, report, answer.etag, now, layers=layers)
            self._answered(seen, Result.OK, now)

    def _answered(self, seen: ExporterSeen, result: Result, began: Monotonic) -> None:
        self._schedule.answered(seen.node, self._now(), pulling=seen.pulling, rest=self._rest(began))
        self._conclude(seen, result, began)

    def _rest(self, began: Monotonic) -> float:
        return (self._now() - began) * REST_FOR_WORK

    def _failed(self, node: str, error: AskError, rest: float = 0.0) -> None:
        now = self._now()
        self._schedule.failed(node, now, rest=rest)
        self._conclude(self.states.failed(node, error, now), error.result, now)

    def _conclude(self, seen: ExporterSeen, result: Result, now: Monotonic) -> None:
        self.requests[result] += 1
        what = {"node": seen.node, "url": seen.base_url}
        if seen.error is None:
            self._problems.works(seen.node, **what)
        else:
            self._problems.failed(seen.node, seen.error, now, **what, error=seen.detail)
        self._warn_of_claim(seen)
        self._report(seen)

    def _warn_of_claim(self, seen: ExporterSeen) -> None:
        if seen.claims and self._claims.get(seen.node) != seen.claims:
            self._claims[seen.node] = seen.claims
            log.warning(
                "exporter reports another node name; the discovered name is used",
                extra=fields(node=seen.node, url=seen.base_url, claims=seen.claims),
            )

    def _warn_of_rivals(self, found: Resolution) -> None:
        for node in found.rivals.keys() - self._rivals.keys():
            log.warning(
                "node has more than one exporter, only one is read",
                extra=fields(node=node, url=found.targets[node].base_url, others=", ".join(found.rivals[node])),
            )
        self._rivals = found.rivals

    def _report(self, news: ExporterNews) -> None:
        if isinstance(news, ExporterGone):
            self._problems.forget(news.node)
            self._claims.pop(news.node, None)
        try:
            self._receiver.receive(news)
        except Exception:
            log.exception("internal error: the last update of an exporter was dropped", extra=fields(node=news.node))

    def _now(self) -> Monotonic:
        return self._clock.now().monotonic


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
        """`timeout` is for a whole request, in seconds. From now on only this thread uses `discovery` and `access`."""
        self._poller = Poller(discovery, access, pace or Pace(), timeout, clock, receiver)
        self._loop = asyncio.new_event_loop()
        # These resolve host names; addresses need none. `close` does not wait for a name server that does not answer.
        self._loop.set_default_executor(ThreadPoolExecutor(_RESOLVER_THREADS, "exporter names"))
        self._thread = threading.Thread(target=self._run, name="exporters")

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def close(self) -> None:
        """Cancel all requests and wait for the thread, which ends within milliseconds."""
        if self._thread.ident is None:
            self._loop.close()
            return
        self._call(self._poller.stop)
        self._thread.join()

    def receive(self, observed: SliceSeen | SliceGone) -> None:
        """Take a change of an EndpointSlice."""
        self._call(lambda: self._poller.discovered(observed))

    def want(self, nodes: Iterable[str], layers: Iterable[str] = ()) -> None:
        """Take `nodes` as all nodes to be read often, and `layers` as those to be read with the layers of pulls."""
        wanted, layered = frozenset(nodes), frozenset(layers)
        self._call(lambda: self._poller.want(wanted, layered))

    @property
    def requests(self) -> dict[Result, int]:
        """Number of requests since the start by result, zeros included."""
        return {result: self._poller.requests[result] for result in Result}

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._poller.run())
        finally:
            self._loop.close()
