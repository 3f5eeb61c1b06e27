"""The present rate of something that only grows."""

from collections import deque

WINDOW_SECONDS = 10.0
LIMIT_SECONDS = 60.0
MIN_SPAN_SECONDS = 0.2
"""Over less, two looks say more of when they happened than of the rate."""


class Rate:
    """Bytes per second over the last 10 s or the last two advances, whichever is longer, 60 s at most.

    Only advances are kept, and each is dropped once, so that neither adding nor asking walks the history.
    Two advances are needed for slow downloads: containerd's offset moves in steps of 1 MiB, and at 50 kB/s a
    fixed window of 10 s would see nothing most of the time.
    """

    __slots__ = ("_samples", "_value")

    def __init__(self, at: float, value: int) -> None:
        self._samples: deque[tuple[float, int]] = deque([(at, value)])
        self._value = value

    def advance(self, at: float, value: int) -> None:
        """Take note that `value` was reached at the monotonic time `at`; anything not larger is no advance."""
        if value > self._value:
            self._value = value
            self._samples.append((at, value))

    def per_second(self, at: float) -> float | None:
        """The rate at the monotonic time `at`; None while too little time was seen."""
        samples = self._samples
        earliest = at - LIMIT_SECONDS
        start = at - WINDOW_SECONDS
        if len(samples) > 1:
            start = max(min(start, samples[-2][0]), earliest)
        while len(samples) > 1 and samples[1][0] <= start:
            samples.popleft()
        base_at, base = samples[0]
        base_at = max(base_at, start)  # since the base nothing advanced until the span began
        if at - base_at < MIN_SPAN_SECONDS:
            return None
        return (self._value - base) / (at - base_at)
