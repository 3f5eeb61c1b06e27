"""Reading all exporters for ever, in one event loop: joins discovery, schedule, client and roster."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Final

from pulltrace.clock import Clock, Monotonic
from pulltrace.logs import fields
from pulltrace_aggregator.exporters.access import Access
from pulltrace_aggregator.exporters.answer import Answer, read_report
from pulltrace_aggregator.exporters.client import Client
from pulltrace_aggregator.exporters.complaints import Complaints
from pulltrace_aggregator.exporters.discovery import Discovery
from pulltrace_aggregator.exporters.errors import AskError, ConnectionStale
from pulltrace_aggregator.exporters.schedule import Pace, Schedule
from pulltrace_aggregator.exporters.state import Roster
from pulltrace_aggregator.exporters.values import ExporterGone, ExporterSeen, Result, Sink
from pulltrace_aggregator.model.cluster import SliceGone, SliceSeen

log = logging.getLogger(__name__)

TIDY_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 0.1
"""A change of one slice is seldom the only one: they are looked at together."""
REST_FOR_WORK: Final = 50.0
"""A report that takes long to read keeps the thread from all other nodes, so its node gets a fiftieth of the time."""


class Reader:
    """For use within one event loop, but for `roster` and `requests`, which others may look at."""

    def __init__(
        self, discovery: Discovery, access: Access, pace: Pace, timeout: float, clock: Clock, sink: Sink
    ) -> None:
        self.roster = Roster()
        self.requests: Counter[Result] = Counter()
        self._discovery = discovery
        self._access = access
        self._clock = clock
        self._sink = sink
        self._schedule = Schedule(pace)
        self._client = Client(access, timeout, clock)
        self._complaints = Complaints()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self._assign_at = 0.0
        self._tidy_at = 0.0
        self._https = False
        self._layered: frozenset[str] = frozenset()

    def discovered(self, observed: SliceSeen | SliceGone) -> None:
        """Take a change of a slice."""
        self._discovery.receive(observed)
        self._assign_at = min(self._assign_at, self._now() + SETTLE_SECONDS)
        self._wake.set()

    def want(self, nodes: Iterable[str], layered: frozenset[str] = frozenset()) -> None:
        """Take these as all nodes where a pod waits for an image, and those of which the layers of pulls matter."""
        self._layered = layered
        self._schedule.want(nodes, self._now())
        self._wake.set()

    def stop(self) -> None:
        """Have `run` drop what it is doing and return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Ask until stopped."""
        try:
            while not self._stopping:
                await self._pause(self._turn(self._now()))
        finally:
            tasks = tuple(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._client.close()

    def _turn(self, now: Monotonic) -> float:
        """Do what is due; returns when there will be more to do."""
        try:
            if now >= self._tidy_at:
                self._tidy(now)
            if now >= self._assign_at:
                self._assign(now)
            while node := self._schedule.take(now):
                self._tasks[node] = task = asyncio.create_task(self._ask(node))
                task.add_done_callback(lambda done, node=node: self._ended(node, done))  # type: ignore[misc]
        except Exception:
            log.exception("a fault of this program while exporters are asked")
            return now + TIDY_SECONDS
        return min(self._tidy_at, self._assign_at, self._schedule.next_turn())

    async def _pause(self, until: float) -> None:
        timer = asyncio.get_running_loop().call_later(max(0.0, until - self._now()), self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    def _tidy(self, now: Monotonic) -> None:
        self._tidy_at = now + TIDY_SECONDS
        self._client.tidy()
        for gone in self.roster.forget(now):
            self._tell(gone)
        if self._access.current().https != self._https:
            self._assign_at = now

    def _assign(self, now: Monotonic) -> None:
        """Have the nodes asked that there are now."""
        self._assign_at = float("inf")
        self._https = self._access.current().https
        found = self._discovery.resolve(https=self._https)
        self._complaints.compare(found.rivals, {node: target.base_url for node, target in found.targets.items()})
        changes = self.roster.assign(found.targets, now)
        for node in (*changes.asked, *changes.left):
            self._drop(node)
        for node in changes.asked:
            self._schedule.add(node, now, pulling=self.roster.seen(node).pulling)
        for news in changes.news:
            self._tell(news)

    def _drop(self, node: str) -> None:
        """End what is under way: from an address that is no longer the node's, an answer would not be the node's."""
        self._schedule.remove(node)
        task = self._tasks.pop(node, None)
        if task:
            task.cancel()

    def _ended(self, node: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(node) is task:
            del self._tasks[node]
        self._wake.set()

    async def _ask(self, node: str) -> None:
        roster, layers = self.roster, node in self._layered
        try:
            answer = await self._client.ask(
                roster.target(node), roster.etag(node, layers=layers), layers=layers, keep=self._schedule.busy(node)
            )
            self._take(node, answer, layers=layers)
        except ConnectionStale:
            self._schedule.again(node, self._now())
        except AskError as error:
            self._failed(node, error)
        except Exception as error:
            # A fault of ours, with one odd answer maybe: no reason to stop asking, this node or the others.
            log.exception("a fault of this program while an exporter is asked")
            self._failed(node, AskError(Result.INTERNAL, type(error).__name__))

    def _take(self, node: str, answer: Answer, *, layers: bool) -> None:
        now = self._now()
        if answer.not_modified:
            self._answered(self.roster.unchanged(node, now), Result.NOT_MODIFIED, now)
            return
        try:
            report = read_report(answer, self._clock.now().wall, layers=layers)
        except AskError as error:
            self._failed(node, error, self._rest(now))
        else:
            seen = self.roster.reported(node, report, answer.etag, now, layers=layers)
            self._answered(seen, Result.OK, now)

    def _answered(self, seen: ExporterSeen, result: Result, began: Monotonic) -> None:
        self._schedule.answered(seen.node, self._now(), pulling=seen.pulling, rest=self._rest(began))
        self._conclude(seen, result, began)

    def _rest(self, began: float) -> float:
        return (self._now() - began) * REST_FOR_WORK

    def _failed(self, node: str, error: AskError, rest: float = 0.0) -> None:
        now = self._now()
        self._schedule.failed(node, now, rest=rest)
        self._conclude(self.roster.failed(node, error, now), error.result, now)

    def _conclude(self, seen: ExporterSeen, result: Result, now: Monotonic) -> None:
        self.requests[result] += 1
        self._complaints.hear(seen, now)
        self._tell(seen)

    def _tell(self, news: ExporterSeen | ExporterGone) -> None:
        if isinstance(news, ExporterGone):
            self._complaints.forget(news.node)
        try:
            self._sink.receive(news)
        except Exception:
            log.exception("a fault of this program: news of an exporter are lost", extra=fields(node=news.node))

    def _now(self) -> Monotonic:
        return self._clock.now().monotonic
