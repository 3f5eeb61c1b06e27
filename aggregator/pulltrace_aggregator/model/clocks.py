"""Our clock beside that of the API server, and the deadlines at which time alone changes something."""

from typing import Final, NamedTuple

from pulltrace.clock import Instant, Monotonic, ServerTime

NEVER: Final = Monotonic(float("-inf"))
"""Before everything: an instant that is not known to be after anything."""
FOREVER: Final = Monotonic(float("inf"))
"""An instant that does not come."""


class Moment(NamedTuple):
    """Now, and by how many seconds the API server's clock is ahead of ours."""

    now: Instant
    server_ahead: float = 0.0

    @property
    def monotonic(self) -> Monotonic:
        """Now, on our monotonic clock."""
        return self.now.monotonic

    def of(self, stamp: ServerTime | None) -> Monotonic:
        """The monotonic time of a stamp of the API server; now for none and for one in the future."""
        if stamp is None:
            return self.monotonic
        return Monotonic(self.monotonic - max(0.0, self.now.wall + self.server_ahead - stamp))


class Deadlines:
    """Now, and when a rule will next give another answer although nothing new is observed.

    A rule that compares an instant with the present asks `reached`: so each deadline stands beside its rule.
    """

    def __init__(self, now: Monotonic) -> None:
        self.now = now
        self.next_at = FOREVER

    def reached(self, instant: float, known_until: Monotonic | None = None) -> bool:
        """Whether `instant` (monotonic) has come; one that has not is a deadline.

        `known_until` stands for now in rules about a node of which nothing is known since then. Their deadline may be
        past: then the node's next answer decides.
        """
        if instant <= (self.now if known_until is None else known_until):
            return True
        self.next_at = min(self.next_at, Monotonic(instant))
        return False
