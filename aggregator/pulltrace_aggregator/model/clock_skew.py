"""From the API server's stamps to instants on our monotonic clock."""

from typing import NamedTuple

from pulltrace.clock import Instant


class Moment(NamedTuple):
    """Now, and by how many seconds the API server's clock is ahead of ours."""

    now: Instant
    server_ahead: float = 0.0

    @property
    def monotonic(self) -> float:
        """Now, on our monotonic clock."""
        return self.now.monotonic

    def of(self, stamp: float | None) -> float:
        """The monotonic time of a stamp of the API server; now for none and for one in the future."""
        if stamp is None:
            return self.monotonic
        return self.monotonic - max(0.0, self.now.wall + self.server_ahead - stamp)
