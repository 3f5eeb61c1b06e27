"""When the bytes of a blob are let go: rates, stalls and cuts, which a test may set and lift at any moment."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

CHUNK = 16 * 1024
PAUSE = 0.05
"""Longest wait before a held transfer looks whether its client is still there, in seconds."""


class TransferEnded(Exception):
    """A transfer must stop here: cut by the test, the client gone, or everything closed."""


class Stall:
    """Holds every transfer of one blob at `after` bytes of the blob until it is released."""

    def __init__(self, changed: threading.Condition, digest: str, after: int) -> None:
        self.digest = digest
        self.after = after
        self._changed = changed
        self._held = 0
        self.released = False

    def release(self) -> None:
        """Let the held transfers go on. May be called twice."""
        with self._changed:
            self.released = True
            self._changed.notify_all()

    def wait_held(self, timeout: float = 30) -> None:
        """Return when a transfer stands at the mark; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held > 0, timeout):
                raise TimeoutError(f"no transfer of {self.digest} reached byte {self.after} in {timeout} s")

    def note_held(self) -> None:
        """Called by a transfer, under the lock, when it stands at the mark."""
        if not self._held:
            self._held = 1
            self._changed.notify_all()


@dataclass(slots=True)
class Rate:
    """A budget that fills at `per_second` bytes and holds a twentieth of a second's worth at most."""

    per_second: float
    budget: float = 0.0
    filled_at: float = field(default_factory=time.monotonic)

    def fill(self, now: float) -> None:
        most = max(self.per_second * PAUSE, 1.0)
        self.budget = min(most, self.budget + (now - self.filled_at) * self.per_second)
        self.filled_at = now


@dataclass(slots=True)
class Transfer:
    """One answer's way through the blob: which one, and the position in it."""

    digest: str
    position: int
    end: int
    gone: Callable[[], bool]
    """Whether the client has closed its side."""


class Pacer:
    """Decides how many bytes each transfer may send next, and counts what was sent."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._closed = False
        self._rates: dict[str | None, Rate] = {}
        self._stalls: list[Stall] = []
        self._cuts: dict[str, int] = {}
        self._sent: Counter[str] = Counter()

    def throttle(self, bytes_per_second: float | None, digest: str | None = None) -> None:
        """Limit all transfers together, or those of one blob; None lifts the limit."""
        with self.changed:
            self._rates.pop(digest, None)
            if bytes_per_second is not None:
                self._rates[digest] = Rate(bytes_per_second)
            self.changed.notify_all()

    def stall(self, digest: str, after: int) -> Stall:
        with self.changed:
            stall = Stall(self.changed, digest, after)
            self._stalls.append(stall)
            return stall

    def cut(self, digest: str, after: int) -> None:
        with self.changed:
            self._cuts[digest] = after
            self.changed.notify_all()

    def close(self) -> None:
        """End every transfer."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def sent(self, digest: str) -> int:
        with self.changed:
            return self._sent[digest]

    def wait_sent(self, digest: str, at_least: int, timeout: float) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: self._sent[digest] >= at_least, timeout):
                raise TimeoutError(f"{self._sent[digest]} bytes of {digest} sent after {timeout} s, not {at_least}")

    def paced(self, digest: str) -> bool:
        """Whether anything holds this blob back, so that the socket should buffer little."""
        with self.changed:
            stalled = any(stall.digest == digest and not stall.released for stall in self._stalls)
            return stalled or digest in self._cuts or bool({None, digest} & self._rates.keys())

    def transmit(self, transfer: Transfer, send: Callable[[int], int]) -> None:
        """Wait until the transfer may send, let `send` do it without blocking, and count what the socket took.

        The count is exact whenever it is read: nothing leaves between the sending and the counting. Raises
        TransferEnded, and what `send` raises (BlockingIOError when the socket's buffer is full).
        """
        with self.changed:
            while not (most := self._allowed(transfer)):
                self.changed.wait(PAUSE / 5 if self._rates else PAUSE)
                if transfer.gone():
                    raise TransferEnded("the client closed the connection")
            count = send(most)
            self._account(transfer, count)

    def _account(self, transfer: Transfer, count: int) -> None:
        transfer.position += count
        self._sent[transfer.digest] += count
        for rate in self._rates_of(transfer.digest):
            rate.budget -= count
        self.changed.notify_all()

    def _rates_of(self, digest: str) -> list[Rate]:
        return [self._rates[key] for key in (None, digest) if key in self._rates]

    def _allowed(self, transfer: Transfer) -> int:
        if self._closed:
            raise TransferEnded("the registry closes")
        count = min(CHUNK, transfer.end - transfer.position, self._before_cut(transfer))
        for stall in self._stalls:
            if stall.digest == transfer.digest and not stall.released:
                count = min(count, self._before_stall(stall, transfer))
        return self._within_rates(transfer.digest, count)

    def _before_cut(self, transfer: Transfer) -> int:
        after = self._cuts.get(transfer.digest)
        if after is None:
            return CHUNK
        if transfer.position >= after:
            del self._cuts[transfer.digest]
            raise TransferEnded("cut")
        return after - transfer.position

    def _before_stall(self, stall: Stall, transfer: Transfer) -> int:
        left = max(0, stall.after - transfer.position)
        if not left:
            stall.note_held()
        return left

    def _within_rates(self, digest: str, count: int) -> int:
        now = time.monotonic()
        for rate in self._rates_of(digest):
            rate.fill(now)
            count = min(count, int(rate.budget))
        return count
