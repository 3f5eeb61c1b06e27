"""The budget of requests. Pure."""

from collections import deque
from typing import Final

_CATCH_UP_SECONDS: Final = 0.05


class Budget:
    """Spreads requests evenly. In no second, wherever it begins, are there more than `per_second`.

    Who comes a little late may catch up, so that a busy moment of the program costs no requests.
    """

    def __init__(self, per_second: int) -> None:
        self._gap = 1.0 / per_second
        self._paced = float("-inf")
        self._last: deque[float] = deque(maxlen=per_second)

    @property
    def ready_at(self) -> float:
        """From when on the next request may begin."""
        full = len(self._last) == self._last.maxlen
        return max(self._paced, self._last[0] + 1.0) if full else self._paced

    def take(self, now: float) -> None:
        """Begin a request."""
        self._last.append(now)
        self._paced = max(self._paced, now - _CATCH_UP_SECONDS) + self._gap
