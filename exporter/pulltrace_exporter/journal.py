"""The journal: one line of JSON for each event of a pull or layer, for those who keep logs rather than metrics."""

import logging
import os
import select
import sys
from collections.abc import Callable, Iterable
from typing import Final

from pulltrace.clock import Clock
from pulltrace.logs import fields, json_line, timestamp
from pulltrace.model.wire import known
from pulltrace_exporter.model.events import Event

log = logging.getLogger(__name__)

CAPACITY_BYTES: Final = 1024 * 1024
"""Bytes that may wait for a slow reader: some thousand lines, more than most images have layers."""
PATIENCE_SECONDS: Final = 0.25
"""How long a reader that has kept up so far may take to make room."""


class Journal:
    """Makes one line of each event; the schema is `journal.schema.json`."""

    def __init__(self, node: str, write: Callable[[str], object]) -> None:
        self._node = node
        self._write = write

    def write(self, events: Iterable[Event]) -> None:
        """Write the lines of these events in one call; if one of them cannot be made, none is written."""
        self._write("".join(json_line(self._entry(event)) + "\n" for event in events))

    def _entry(self, event: Event) -> dict[str, object]:
        layer, seconds = event.layer, event.seconds
        return known(
            ts=timestamp(event.at),
            event=event.kind.value,
            node=self._node,
            registry=event.key.registry,
            repository=event.key.repository,
            digest=event.key.digest,
            reference=event.reference or None,
            layer=None if layer is None else layer.index,
            layerDigest=None if layer is None else layer.digest,
            mediaType=None if layer is None else layer.media_type,
            bytes=event.size,
            durationSeconds=None if seconds is None else round(max(seconds, 0.0), 3),
            reason=event.reason or None,
        )


def standard_output() -> int:
    """The descriptor of standard output. If that is closed, the null device's: a socket may have the number by now."""
    return sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)


class NonblockingWriter:
    """Writes lines to a descriptor as far as its reader takes them; the rest waits for the next call.

    A slow reader loses nothing. If the reader stands still or is gone, or the disk is full, lines are dropped that do
    not fit into `capacity` bytes or cannot be written. The log says so once, until lines can be written again.
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
        self._last_error = ""

    def write(self, lines: str = "") -> None:
        """Write what waits and then these lines, each with its newline. Call it regularly, also without lines."""
        data = lines.encode(errors="backslashreplace")
        if data and self._within_line and not self._waiting:
            data = b"\n" + data  # the rest of a line was lost: what follows begins a new one
        if len(self._waiting) + len(data) <= self._capacity:
            self._waiting += data
        else:
            self._drop(data, "the reader stands still")
        # A reader that stood still at the last call is not waited for.
        self._push(PATIENCE_SECONDS if self._flowing else 0.0)

    def close(self, patience: float) -> None:
        """Write what waits, for `patience` seconds at most."""
        self._push(patience)

    def _push(self, patience: float) -> None:
        if not self._waiting:
            return
        until = self._clock.now().monotonic + patience
        try:
            while self._waiting and self._room.poll(1000 * max(until - self._clock.now().monotonic, 0.0)):
                self._write_some()
        except BlockingIOError:  # another process that has the descriptor open may have made it non-blocking
            pass
        except OSError as error:
            lost = bytes(self._waiting)
            self._waiting.clear()
            self._drop(lost, error.strerror or str(error))
            return
        self._flowing = not self._waiting
        if self._flowing and self._dropped:
            log.warning("the journal is written again", extra=fields(dropped=self._dropped))
            self._dropped, self._last_error = 0, ""

    def _write_some(self) -> None:
        # A pipe that has room has it for PIPE_BUF bytes, so that the write does not block.
        written = os.write(self._descriptor, self._waiting[: select.PIPE_BUF])
        self._within_line = not self._waiting[:written].endswith(b"\n")
        del self._waiting[:written]

    def _drop(self, data: bytes, error: str) -> None:
        self._dropped += sum(bool(line) for line in data.split(b"\n"))
        if error != self._last_error:
            self._last_error = error
            log.warning("the journal cannot be written, its lines are dropped", extra=fields(error=error))
