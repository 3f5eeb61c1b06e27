"""When polls listed the leases. A pull that no poll saw can have brought only what came since the poll before it."""

from collections import deque
from typing import NamedTuple

REMEMBERED_LOOKS = 256


class Look(NamedTuple):
    """When all leases were asked for, and when the answer had come: Unix times."""

    asked_at: float
    listed_at: float


class PollHistory:
    """When all leases were listed. A pull that no look showed began after the last list before its end was asked for.

    An answer may take long on a busy node: a pull that ended meanwhile is not in it, and had begun before.
    """

    def __init__(self) -> None:
        self._looks: deque[Look] = deque(maxlen=REMEMBERED_LOOKS)

    @property
    def last(self) -> float:
        """When the last look began; 0 before any."""
        return self._looks[-1].asked_at if self._looks else 0.0

    def add(self, asked_at: float, listed_at: float) -> None:
        """The leases were listed, and looked at."""
        self._looks.append(Look(asked_at, listed_at))

    def forget(self, since: float) -> None:
        """Drop the polls from that moment on: a lease that they listed was gone before it was read."""
        while self._looks and self._looks[-1].listed_at >= since:
            self._looks.pop()

    def before(self, end: float) -> float:
        """A moment at which a pull had not begun that wrote its record at `end`.

        Where no look is old enough, the end itself: what was there then did not come for this pull.
        """
        return max((look.asked_at for look in self._looks if look.listed_at < end), default=end)
