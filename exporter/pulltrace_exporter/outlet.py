"""Lines to a file descriptor whose other end is not ours: nothing that happens there may hold up who writes."""

import logging
import os
import select
import sys
import threading
from typing import Final

from pulltrace.logs import fields

log = logging.getLogger(__name__)

CAPACITY_BYTES: Final = 1024 * 1024
"""What may wait for a slow reader: some thousand lines, more than the largest image has layers."""


def standard_output() -> int:
    """Its descriptor; that of the null device when it is closed, whose number a socket may have got since."""
    return sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)


class Outlet:
    """Writes whole lines to a descriptor from a thread of its own.

    A reader that is slow costs nothing, one that stands still or is gone and a full disk cost lines: what does not
    fit into `capacity` bytes or cannot be written is dropped, and said in the log once until lines pass again.
    """

    def __init__(self, descriptor: int, capacity: int = CAPACITY_BYTES) -> None:
        self._descriptor = descriptor
        self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting = bytearray()
        self._closed = False
        self._dropped = 0
        self._complaint = ""
        self._torn = False
        # A daemon: a write that never returns must not keep the process.
        self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self, lines: str) -> None:
        """Take lines, each with its end; never waits for them to be written."""
        data = lines.encode(errors="backslashreplace")
        with self._changed:
            if len(self._waiting) + len(data) > self._capacity:
                self._drop(data, "the reader stands still")
                return
            self._waiting += data
            self._changed.notify()

    def close(self, patience: float) -> None:
        """Write what waits, for as many seconds at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(patience)

    def _run(self) -> None:
        while data := self._take():
            try:
                self._write(data)
            except OSError as error:
                with self._changed:
                    self._drop(data, error.strerror or str(error))
            else:
                self._recover()

    def _take(self) -> bytes:
        """All that waits, as soon as there is something; nothing once it is closed and all is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            data = bytes(self._waiting)
            self._waiting.clear()
        return data

    def _write(self, data: bytes) -> None:
        # The end of a line that was cut off: what follows is to be a line again.
        rest = memoryview(b"\n" + data if self._torn else data)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:  # another process that has it open may have asked for that
                select.select([], [self._descriptor], [])
                continue
            if written:
                self._torn = rest[written - 1] != ord("\n")
                rest = rest[written:]

    def _drop(self, data: bytes, why: str) -> None:
        self._dropped += data.count(b"\n")
        if why != self._complaint:
            self._complaint = why
            log.warning("the journal cannot be written, its lines are dropped", extra=fields(error=why))

    def _recover(self) -> None:
        with self._changed:
            dropped, self._dropped, self._complaint = self._dropped, 0, ""
        if dropped:
            log.warning("the journal is written again", extra=fields(dropped=dropped))
