"""When the bytes of a blob are let go: rates, stalls and cuts, which a test may set and lift at any moment."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rig.threaded_server import PAUSE

CHUNK = 16 * 1024


class TransferEnded(Exception):
    """A transfer must stop here: cut by the test, the client gone, or everything closed."""


class Stall:
    """Holds every transfer of one blob at `after` bytes of the blob until it is released."""

    def __init__(self, changed: threading.Condition, digest: str, after: int) -> None:
        self.digest = digest
        self.after = after
        self.held = threading.Event()
        self.released = False
        self._changed = changed

    def release(self) -> None:
        """Let the held transfers go on. May be called twice."""
        with self._changed:
            self.released = True
            self._changed.notify_all()

    def wait_held(self, timeout: float = 30) -> None:
        """Return when a transfer stands at the mark; raises TimeoutError."""
        if not self.held.wait(timeout):
            raise TimeoutError(f"no transfer of {self.digest} reached byte {self.after} in {timeout} s")


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
        self._changed = threading.Condition()
        self.closed = False
        self._rates: dict[str | None, Rate] = {}
        self._stalls: list[Stall] = []
        self._cuts: dict[str, int] = {}
        self._sent: Counter[str] = Counter()

    def throttle(self, bytes_per_second: float | None, digest: str | None = None) -> None:
        """Limit all transfers together, or those of one blob; None lifts the limit."""
        with self._changed:
            self._rates.pop(digest, None)
            if bytes_per_second is not None:
                self._rates[digest] = Rate(bytes_per_second)
            self._changed.notify_all()

    def stall(self, digest: str, after: int = 0) -> Stall:
        """Stop sending the blob at a position, connection open, until the answer is released."""
        with self._changed:
            stall = Stall(self._changed, digest, after)
            self._stalls.append(stall)
            return stall

    def cut(self, digest: str, after: int = 0) -> None:
        """Close the connection once, when a transfer of the blob has reached a position."""
        with self._changed:
            self._cuts[digest] = after
            self._changed.notify_all()

    def end_transfers(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def sent(self, digest: str) -> int:
        """Bytes of the blob or manifest that sockets have taken, over all transfers."""
        with self._changed:
            return self._sent[digest]

    def wait_sent(self, digest: str, at_least: int = 1, timeout: float = 30) -> None:
        """Return when so many bytes have been sent; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._sent[digest] >= at_least, timeout):
                raise TimeoutError(f"{self._sent[digest]} bytes of {digest} sent after {timeout} s, not {at_least}")

    def paced(self, digest: str) -> bool:
        """Whether anything holds this blob back, so that the socket should buffer little."""
        with self._changed:
            stalled = any(stall.digest == digest and not stall.released for stall in self._stalls)
            return stalled or digest in self._cuts or bool({None, digest} & self._rates.keys())

    def transmit(self, transfer: Transfer, send: Callable[[int], int]) -> None:
        """Wait until the transfer may send, let `send` do it without blocking, and count what the socket took.

        The count is exact whenever it is read: nothing leaves between the sending and the counting. Raises
        TransferEnded, and what `send` raises (BlockingIOError when the socket's buffer is full).
        """
        with self._changed:
            while not (most := self._allowed(transfer)):
                self._changed.wait(PAUSE / 5 if self._rates else PAUSE)
                if transfer.gone():
                    raise TransferEnded("the client closed the connection")
            count = send(most)
            self._account(transfer, count)

    def _account(self, transfer: Transfer, count: int) -> None:
        transfer.position += count
        self._sent[transfer.digest] += count
        for rate in self._rates_of(transfer.digest):
            rate.budget -= count
        self._changed.notify_all()

    def _rates_of(self, digest: str) -> list[Rate]:
        return [self._rates[key] for key in (None, digest) if key in self._rates]

    def _allowed(self, transfer: Transfer) -> int:
        if self.closed:
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
            stall.held.set()
        return left

    def _within_rates(self, digest: str, count: int) -> int:
        now = time.monotonic()
        for rate in self._rates_of(digest):
            rate.fill(now)
            count = min(count, int(rate.budget))
        return count
