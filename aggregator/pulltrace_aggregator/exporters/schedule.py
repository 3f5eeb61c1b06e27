"""Decides which node to ask when. Pure: names and instants in, names out."""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Final
from zlib import crc32

from pulltrace.clock import FOREVER, NEVER, Monotonic

_CATCH_UP_SECONDS: Final = 0.05
_IDLE_TURN: Final = 10
"""Each tenth request goes to an idle node if one is due: otherwise busy nodes could take them all."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to ask, and how many at once.

    All times are in seconds. `interval` is for busy nodes: a pod waits for an image there, or a pull is known.
    `idle_interval` is for all others. Pauses after failures double: for a busy node from `interval` to `patience`
    intervals, for an idle one from `first_retry` to `idle_interval`; each node's differ by up to a quarter. `at_once`
    bounds the requests under way, so that a machine that is too busy does not begin more than it can end in time.
    `doubtful_at_once` bounds those to nodes that failed last time: a hundred dead ones, each of which takes a whole
    timeout, must leave room for the others.
    """

    interval: float = 2.0
    per_second: int = 200
    idle_interval: float = 300.0
    patience: float = 4.0
    first_retry: float = 10.0
    at_once: int = 128
    doubtful_at_once: int = 64


@dataclass(slots=True, eq=False)
class _Node:
    name: str
    phase: float
    """A fixed part, 0 to 1, of every interval: it spreads the nodes, so that they are not asked all at once."""
    pulling: bool = False
    failures: int = 0
    asked_at: Monotonic = NEVER
    due: Monotonic = FOREVER
    ticket: int = 0
    under_way: bool = False
    doubtful: bool = False
    """Whether the request before the one under way had failed."""


class _Queue:
    """Nodes by the time they are due. An entry with an old ticket is outdated and is dropped when it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[Monotonic, float, int, _Node]] = []

    def push(self, node: _Node) -> None:
        heapq.heappush(self._heap, (node.due, node.phase, node.ticket, node))

    def head(self) -> _Node | None:
        while self._heap and self._heap[0][2] != self._heap[0][3].ticket:
            heapq.heappop(self._heap)
        return self._heap[0][3] if self._heap else None


class Budget:
    """Spreads requests evenly: at most `per_second` in any second, wherever that begins.

    A program that is a little late may catch up, so that a busy moment does not lower the rate.
    """

    def __init__(self, per_second: int) -> None:
        self._gap = 1.0 / per_second
        self._paced = NEVER
        self._last: deque[Monotonic] = deque(maxlen=per_second)

    @property
    def ready_at(self) -> Monotonic:
        """When the next request may begin."""
        full = len(self._last) == self._last.maxlen
        return Monotonic(max(self._paced, self._last[0] + 1.0)) if full else self._paced

    def spend(self, now: Monotonic) -> None:
        """Note that a request begins."""
        self._last.append(now)
        self._paced = Monotonic(max(self._paced, now - _CATCH_UP_SECONDS) + self._gap)


class Schedule:
    """Chooses the node to ask next, within the budget. With too many nodes for it, all intervals grow alike."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._budget = Budget(pace.per_second)
        self._nodes: dict[str, _Node] = {}
        self._wanted: frozenset[str] = frozenset()
        self._queues = {(busy, failing): _Queue() for busy in (True, False) for failing in (True, False)}
        self._tickets = count(1)
        self._turns = 0
        self._under_way = 0
        self._doubtful = 0

    def add(self, name: str, now: Monotonic, *, pulling: bool = False) -> None:
        """Ask a node that is new, or has a new address, as soon as possible."""
        self.remove(name)
        phase = crc32(name.encode("utf-8", "surrogatepass")) / 2**32
        self._nodes[name] = node = _Node(name, phase, pulling)
        self._queue(node, now)

    def remove(self, name: str) -> None:
        """Stop asking it; a request under way counts as ended."""
        node = self._nodes.pop(name, None)
        if node:
            self._end(node)
            node.ticket = 0

    def want(self, names: Iterable[str], now: Monotonic) -> None:
        """Take these as all nodes to be asked often. One that is not known yet counts once it is added."""
        wanted = frozenset(names)
        changed, self._wanted = wanted ^ self._wanted, wanted
        for name in changed:
            node = self._nodes.get(name)
            if node and not node.under_way:
                soon = Monotonic(max(now, node.asked_at + self._pace.interval))
                self._queue(node, min(node.due, soon) if name in wanted else node.due)

    def busy(self, name: str) -> bool:
        """Whether the node is asked often: it is wanted, or a pull is known there."""
        return name in self._wanted or (name in self._nodes and self._nodes[name].pulling)

    def begin_next(self, now: Monotonic) -> str | None:
        """The node that the caller must ask now; None when no node is due, or no request may begin."""
        if self._under_way >= self._pace.at_once or now < self._budget.ready_at:
            return None
        node = self._choose(now)
        if node is None:
            return None
        self._budget.spend(now)
        self._turns += 1
        self._begin(node, now)
        return node.name

    def next_turn(self) -> Monotonic:
        """When `begin_next` can next give a node if nothing else happens; FOREVER if never."""
        if self._under_way >= self._pace.at_once:
            return FOREVER
        due = min((node.due for busy in (True, False) for node in self._heads(busy)), default=FOREVER)
        return max(due, self._budget.ready_at)

    def answered(self, name: str, now: Monotonic, *, pulling: bool, rest: float = 0.0) -> None:
        """The exporter has answered. It is not asked again for `rest` seconds."""
        node = self._nodes[name]
        node.pulling, node.failures = pulling, 0
        self._end(node)
        interval = self._pace.interval if self.busy(name) else self._pace.idle_interval
        self._queue(node, Monotonic(max(_next_multiple(now, interval, node.phase), now + rest)))

    def failed(self, name: str, now: Monotonic, *, rest: float = 0.0) -> None:
        """The exporter gave no usable answer. It is not asked again for `rest` seconds, or for longer: see `Pace`."""
        node = self._nodes[name]
        node.failures += 1
        self._end(node)
        self._queue(node, Monotonic(now + max(self._pause(node), rest)))

    def again(self, name: str, now: Monotonic) -> None:
        """The request failed for a reason that is not the exporter's: ask again at once."""
        node = self._nodes[name]
        self._end(node)
        self._queue(node, now)

    def _pause(self, node: _Node) -> float:
        pace, doublings = self._pace, min(node.failures - 1, 20)
        if self.busy(node.name):
            pause = min(pace.interval * 2.0**doublings, pace.interval * pace.patience)
        else:
            pause = min(pace.first_retry * 2.0**doublings, pace.idle_interval)
        # Spread, so that nodes that failed together are not asked together again.
        return pause * (0.75 + node.phase / 2)

    def _queue(self, node: _Node, due: Monotonic) -> None:
        node.due, node.ticket = due, next(self._tickets)
        self._queues[self.busy(node.name), node.failures > 0].push(node)

    def _choose(self, now: Monotonic) -> _Node | None:
        idle_first = self._turns % _IDLE_TURN == _IDLE_TURN - 1
        for busy in (not idle_first, idle_first):
            due = [node for node in self._heads(busy) if node.due <= now]
            if due:
                return min(due, key=lambda node: node.due)
        return None

    def _heads(self, busy: bool) -> list[_Node]:
        """The first nodes of the queues that may be asked now. Half of the requests at once are kept for busy nodes."""
        if not busy and self._under_way >= max(1, self._pace.at_once // 2):
            return []
        room = self._doubtful < self._pace.doubtful_at_once
        heads = [self._queues[busy, False].head(), self._queues[busy, True].head() if room else None]
        return [node for node in heads if node]

    def _begin(self, node: _Node, now: Monotonic) -> None:
        node.ticket, node.asked_at, node.under_way, node.doubtful = 0, now, True, node.failures > 0
        self._under_way += 1
        self._doubtful += node.doubtful

    def _end(self, node: _Node) -> None:
        if node.under_way:
            node.under_way = False
            self._under_way -= 1
            self._doubtful -= node.doubtful


def _next_multiple(now: Monotonic, interval: float, phase: float) -> float:
    """The node's next turn. Its turns are an interval apart, and the next one is at least a tenth of it from now."""
    offset = phase * interval
    return ceil((now + interval / 10 - offset) / interval) * interval + offset
