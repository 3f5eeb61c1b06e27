"""How the threads of the stand-in are told to end, and how they wait for each other without outliving that."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """The work must end here."""


class Cancelled(Stopped):
    """Whoever asked for the pull has withdrawn; the daemon cleans up after it."""

    def __str__(self) -> str:
        return "context canceled"


class Killed(Stopped):
    """The process that did the work is dead: nobody cleans up."""

    def __str__(self) -> str:
        return "error reading from server: EOF"


class Token:
    """Tells every thread of one piece of work to end, and why. The first reason stays, unless Killed follows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._closers: list[Callable[[], object]] = []
        self.reason: Exception | None = None

    @property
    def killed(self) -> bool:
        return isinstance(self.reason, Killed)

    def end(self, reason: Exception) -> None:
        """End the work; whatever blocks in `closing` is released."""
        with self._lock:
            if self.reason is None or isinstance(reason, Killed):
                self.reason = reason
            self._ended.set()
            closers, self._closers = self._closers, []
        for close in closers:
            close()

    def check(self) -> None:
        if self._ended.is_set() and self.reason is not None:
            raise self.reason.with_traceback(None)

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the work."""
        self._ended.wait(seconds)
        self.check()

    @contextmanager
    def closing(self, close: Callable[[], object]) -> Iterator[None]:
        """Have `close` called when the work ends while the block runs; it must not block."""
        with self._lock:
            self._closers.append(close)
            ended = self._ended.is_set()
        if ended:
            close()
        try:
            yield
        finally:
            with self._lock:
                if close in self._closers:
                    self._closers.remove(close)

    def wait_for(self, event: threading.Event) -> None:
        """Wait for `event`; raises the reason when the work ends first."""
        with self.closing(event.set):
            event.wait()
        self.check()


class Slots:
    """So many at once; waiting ends with the work."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._change = threading.Condition()

    @contextmanager
    def hold(self, token: Token) -> Iterator[None]:
        self.take(token)
        try:
            yield
        finally:
            self.release()

    def take(self, token: Token) -> None:
        with token.closing(self._wake), self._change:
            self._change.wait_for(lambda: self._free > 0 or token.reason is not None)
            token.check()
            self._free -= 1

    def try_take(self) -> bool:
        with self._change:
            free = self._free > 0
            self._free -= free
            return free

    def release(self) -> None:
        with self._change:
            self._free += 1
            self._change.notify_all()

    def _wake(self) -> None:
        with self._change:
            self._change.notify_all()


class KeyedLocks:
    """One holder per key."""

    def __init__(self) -> None:
        self._locks: dict[str, Slots] = {}

    def of(self, key: str) -> Slots:
        return self._locks.setdefault(key, Slots(1))


class Gate:
    """Lets a test hold a stage of the work where it can be looked at. Open unless held."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def wait(self, token: Token) -> None:
        while not self._open.wait(0.02):
            token.check()


class Crew:
    """Threads of one piece of work: the first that fails ends it for all."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._threads: list[threading.Thread] = []

    def start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._run, args=(work,), name=f"pull-{len(self._threads)}")
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others must not wait for it forever
            self._token.end(error)


class Clock:
    """The daemon's wall clock: the machine's, put forward by `offset` seconds (negative: back)."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now_ns(self) -> int:
        return time.time_ns() + int(self.offset * 1e9)
