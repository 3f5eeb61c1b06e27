"""Faults of the daemon itself, and the count of what it was asked."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import grpc


@dataclass(slots=True)
class Fault:
    """`calls` is `Service/Method`, with wildcards. `times` counts down; None lasts."""

    calls: str
    code: grpc.StatusCode | None = None
    details: str = ""
    seconds: float = 0.0
    times: int | None = None
    over: threading.Event = field(default_factory=threading.Event)


class Faults:
    """What the services do before they answer. Nothing unless told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        """How often each was asked, refused and delayed ones included."""

    @contextmanager
    def failing(
        self,
        calls: str = "*",
        code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE,
        details: str = "injected",
        times: int | None = None,
    ) -> Iterator[None]:
        with self._during(Fault(calls, code=code, details=details, times=times)):
            yield

    @contextmanager
    def delaying(self, calls: str = "*", seconds: float = float("inf")) -> Iterator[None]:
        """Answer these calls late, by default not before the block ends."""
        with self._during(Fault(calls, seconds=seconds)):
            yield

    def release(self) -> None:
        """Let go of every delayed call: the daemon ends."""
        with self._lock:
            for fault in self._faults:
                fault.over.set()

    def before(self, call: str, context: grpc.ServicerContext) -> None:
        """Count the call and do to it what is set; aborts it or returns."""
        with self._lock:
            self.calls[call] += 1
            fault = next((each for each in self._faults if fnmatchcase(call, each.calls) and each.times != 0), None)
            if fault and fault.times is not None:
                fault.times -= 1
        if fault is None:
            return
        waited = 0.0
        # Two ends, and no way to wait for both at once.
        while waited < fault.seconds and context.is_active() and not fault.over.wait(0.01):
            waited += 0.01
        if fault.code is not None:
            context.abort(fault.code, fault.details)

    @contextmanager
    def _during(self, fault: Fault) -> Iterator[None]:
        with self._lock:
            self._faults.append(fault)
        try:
            yield
        finally:
            with self._lock:
                self._faults.remove(fault)
            fault.over.set()
