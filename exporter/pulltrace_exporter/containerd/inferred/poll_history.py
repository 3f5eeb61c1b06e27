"""When the node was looked at: the bound on what a pull that nobody saw can have brought."""

from collections import deque

REMEMBERED_LOOKS = 256


class PollHistory:
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
        """Drop the polls from that moment on: a lease that they listed was gone before it was read."""
        while self._times and self._times[-1] >= since:
            self._times.pop()

    def before(self, end: float) -> float:
        """A look at which a pull had not begun that wrote its record at `end`.

        Where no look is old enough, the moment itself: what was there then did not come before our eyes.
        """
        return max((time for time in self._times if time < end), default=end)
