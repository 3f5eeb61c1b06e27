"""Lines to a file descriptor whose other end is not ours: nothing that happens there may hold up who writes."""

import logging
import os
import select
import sys
from typing import Final

from pulltrace.clock import Clock
from pulltrace.logs import fields

log = logging.getLogger(__name__)

CAPACITY_BYTES: Final = 1024 * 1024
"""What may wait for a slow reader: some thousand lines, more than most images have layers."""
PATIENCE_SECONDS: Final = 0.25
"""How long a reader that has kept up so far may take to make room."""


def standard_output() -> int:
    """Its descriptor; that of the null device when it is closed, whose number a socket may have got since."""
    return sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)


class Outlet:
    """Writes whole lines to a descriptor, as far as they are taken; the rest waits for the next call.

    A reader that is slow costs nothing, one that stands still or is gone and a full disk cost lines: what does not
    fit into `capacity` bytes or cannot be written is dropped, and said in the log once until lines pass again.
    """

    def __init__(self, descriptor: int, clock: Clock, capacity: int = CAPACITY_BYTES) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._capacity = capacity
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._waiting = bytearray()
        self._flowing = True
        self._within_line = False
        self._dropped = 0
        self._complaint = ""

    def write(self, lines: str = "") -> None:
        """Write lines, each with its end, and what waits before them; to be called now and then without any."""
        data = lines.encode(errors="backslashreplace")
        if data and self._within_line and not self._waiting:
            data = b"\n" + data  # the rest of a line was lost: what follows is to be a line again
        if len(self._waiting) + len(data) <= self._capacity:
            self._waiting += data
        else:
            self._drop(data, "the reader stands still")
        # Whoever stood still the last time is waited for no more.
        self._push(PATIENCE_SECONDS if self._flowing else 0.0)

    def close(self, patience: float) -> None:
        """Write what waits, for as many seconds at most."""
        self._push(patience)

    def _push(self, patience: float) -> None:
        if not self._waiting:
            return
        until = self._clock.now().monotonic + patience
        try:
            while self._waiting and self._room.poll(1000 * max(until - self._clock.now().monotonic, 0.0)):
                self._write_some()
        except BlockingIOError:  # another process that has it open may have asked not to be kept waiting
            pass
        except OSError as error:
            lost = bytes(self._waiting)
            self._waiting.clear()
            self._drop(lost, error.strerror or str(error))
            return
        self._flowing = not self._waiting
        if self._flowing and self._dropped:  # and so these were taken
            log.warning("the journal is written again", extra=fields(dropped=self._dropped))
            self._dropped, self._complaint = 0, ""

    def _write_some(self) -> None:
        # A pipe that has room has it for so much.
        written = os.write(self._descriptor, self._waiting[: select.PIPE_BUF])
        self._within_line = not self._waiting[:written].endswith(b"\n")
        del self._waiting[:written]

    def _drop(self, data: bytes, why: str) -> None:
        self._dropped += sum(bool(line) for line in data.split(b"\n"))
        if why != self._complaint:
            self._complaint = why
            log.warning("the journal cannot be written, its lines are dropped", extra=fields(error=why))
