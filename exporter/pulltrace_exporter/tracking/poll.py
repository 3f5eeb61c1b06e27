"""One observation with its circumstances, as it is handed from one part of the tracker to the next."""

from dataclasses import dataclass

from pulltrace.clock import Instant
from pulltrace_exporter.model.observation import Observation
from pulltrace_exporter.tracking.queue import Wanted


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen `now`; `previous` is when the node was last seen, None the first time."""

    seen: Observation
    now: Instant
    intents: tuple[Wanted, ...] = ()
    previous: Instant | None = None
