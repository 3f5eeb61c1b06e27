"""When the node was looked at: the bound on what a pull that nobody saw can have brought."""

from collections import deque

REMEMBERED_LOOKS = 256
REWRITTEN_SECONDS = 1.0
"""So long after a pull CRI may write its image record again: 1.6 does, after some 50 ms."""


class Looks:
    """Times (Unix) at which all leases were listed. A pull that no look showed began after the one before its end."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=REMEMBERED_LOOKS)

    @property
    def last(self) -> float:
        """The last look; 0 before any."""
        return self._times[-1] if self._times else 0.0

    def add(self, now: float) -> None:
        """The leases were listed, and looked at."""
        self._times.append(now)

    def forget(self, since: float) -> None:
        """Looks from that moment on missed something: a lease that was listed was gone before it was read."""
        while self._times and self._times[-1] >= since:
            self._times.pop()

    def before(self, end: float) -> float:
        """A look at which a pull had not begun whose record bears the time `end`.

        The record may have been written once more since the pull's end. Where no look is old enough, the first one
        that is remembered: what was there then did not come before our eyes.
        """
        earlier = [time for time in self._times if time < end]
        return max((time for time in earlier if time < end - REWRITTEN_SECONDS), default=min(earlier, default=end))
