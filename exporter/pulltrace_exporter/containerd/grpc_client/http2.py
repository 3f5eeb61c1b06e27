"""HTTP/2 (RFC 9113) over a unix socket: a connection that sends requests and reads frames."""

import contextlib
import socket
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

_SETTING: Final = struct.Struct(">HL")
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 2, 4, 5
_FRAME: Final = struct.Struct(">BHBBL")
_NUMBER: Final = struct.Struct(">L")
_DEFAULT_WINDOW: Final = 65_535
_WINDOW: Final = 16 * 1024 * 1024
"""How many bytes the server may send before it has to wait for a WINDOW_UPDATE (5.2)."""
_GROWTH: Final = _NUMBER.pack(_WINDOW - _DEFAULT_WINDOW)
_LONGEST_FRAME: Final = 1024 * 1024
_LONGEST_SENT: Final = 16_384
"""Every server takes frames of this size (4.2)."""
_LONGEST_HEADERS: Final = 64 * 1024
_LAST_STREAM: Final = 2**31 - 1
_RECEIVE_BYTES: Final = 64 * 1024


class ConnectionEnded(Exception):
    """The server is not there, has closed the connection, or does not keep to HTTP/2."""


class Frame(NamedTuple):
    """A frame of one stream: header fields, data, or its end by RST_STREAM. Padding is removed."""

    kind: int
    stream: int
    ends_stream: bool
    payload: bytes


class Connection:
    """Used by one thread at a time; only `interrupt` may be called by others.

    `send` and `receive` raise ConnectionEnded, or TimeoutError after `deadline` (monotonic time; None: never).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._interrupted = False
        self._buffer = bytearray()
        self._at = 0
        self._next_stream = 1
        self._may_send = _DEFAULT_WINDOW
        self._unacknowledged = 0

    @property
    def interrupted(self) -> bool:
        """Whether this side has ended it."""
        return self._interrupted

    def interrupt(self) -> None:
        """Make every present and later use of the connection fail at once."""
        self._interrupted = True
        self._shut_down()

    def close(self) -> None:
        """End it. Must not be called while another thread uses it."""
        self._interrupted = True
        if self._socket is not None:
            self._socket.close()

    def send(self, headers: bytes, bodies: list[bytes], deadline: float | None) -> list[int]:
        """Send a request with each of the bodies, all with the same header block; returns their streams."""
        self._open(deadline)
        streams = []
        parts: list[bytes] = []
        for body in bodies:
            if self._next_stream > _LAST_STREAM:
                raise ConnectionEnded("all numbers of streams are used up")
            stream, self._next_stream = self._next_stream, self._next_stream + 2
            if len(body) > self._may_send:
                self._send(b"".join(parts), deadline)
                parts.clear()
                self._wait_for_window(len(body), deadline)
            self._may_send -= len(body)
            parts += (_frame(HEADERS, END_HEADERS, stream, headers), *_data(stream, body))
            streams.append(stream)
        self._send(b"".join(parts), deadline)
        return streams

    def receive(self, deadline: float | None) -> Frame:
        """The next frame that belongs to a stream."""
        while True:
            kind, flags, stream, payload = self._read_frame(deadline)
            if kind == DATA:
                self._acknowledge(len(payload), stream, flags, deadline)
                return Frame(kind, stream, bool(flags & END_STREAM), _unpadded(payload, flags))
            if kind == HEADERS:
                block = _unpadded(payload, flags)[5 if flags & PRIORITY else 0 :]
                block = self._continued(block, flags, deadline)
                return Frame(kind, stream, bool(flags & END_STREAM), block)
            if kind == RST_STREAM:
                if len(payload) != _NUMBER.size:
                    raise ConnectionEnded(f"the end of a stream has {len(payload)} bytes")
                return Frame(kind, stream, True, payload)
            self._handle(kind, flags, stream, payload, deadline)

    def _open(self, deadline: float | None) -> None:
        if self._socket is not None:
            return
        if self._interrupted:
            raise ConnectionEnded("the connection was closed")
        try:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:  # no descriptor is left
            raise _translate(self._path, error) from error
        try:
            opened.settimeout(_left(deadline))
            opened.connect(str(self._path))
        except OSError as error:
            opened.close()
            raise _translate(self._path, error) from error
        self._socket = opened
        self._send(_PREFACE + _frame(SETTINGS, 0, 0, _settings()) + _frame(WINDOW_UPDATE, 0, 0, _GROWTH), deadline)
        if self.interrupted:  # while it was being opened
            self._shut_down()

    def _shut_down(self) -> None:
        opened = self._socket
        if opened is not None:
            with contextlib.suppress(OSError):  # it was not connected, or is no longer
                opened.shutdown(socket.SHUT_RDWR)

    def _send(self, data: bytes, deadline: float | None) -> None:
        if self._socket is None or not data:
            return
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(data)
        except OSError as error:
            raise _translate(self._path, error) from error

    def _fill(self, size: int, deadline: float | None) -> None:
        """Receive until the buffer has `size` unread bytes."""
        while len(self._buffer) - self._at < size:
            if self._socket is None:
                raise ConnectionEnded("there is no connection")
            try:
                self._socket.settimeout(_left(deadline))
                data = self._socket.recv(_RECEIVE_BYTES)
            except OSError as error:
                raise _translate(self._path, error) from error
            if not data:
                raise ConnectionEnded(f"{self._path}: the connection was closed")
            del self._buffer[: self._at]
            self._at = 0
            self._buffer += data

    def _read_frame(self, deadline: float | None) -> tuple[int, int, int, bytes]:
        self._fill(_FRAME.size, deadline)
        high, low, kind, flags, stream = _FRAME.unpack_from(self._buffer, self._at)
        length = high << 16 | low
        if length > _LONGEST_FRAME:
            raise ConnectionEnded(f"a frame of {length} bytes is longer than allowed")
        self._fill(_FRAME.size + length, deadline)
        begin = self._at + _FRAME.size
        self._at = begin + length
        return kind, flags, stream & _LAST_STREAM, bytes(self._buffer[begin : self._at])

    def _continued(self, block: bytes, flags: int, deadline: float | None) -> bytes:
        """A header block with its parts from CONTINUATION frames."""
        while not flags & END_HEADERS:
            kind, flags, _, payload = self._read_frame(deadline)
            block += payload
            if kind != CONTINUATION or len(block) > _LONGEST_HEADERS:
                raise ConnectionEnded("header fields are too long, or do not end")
        return block

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes, deadline: float | None) -> None:
        """Handle a frame of the whole connection. Frames of unknown kinds have to be ignored (4.1)."""
        if kind == SETTINGS and not flags & ACK:
            self._send(_frame(SETTINGS, ACK, 0, b""), deadline)
        elif kind == PING and not flags & ACK:
            self._send(_frame(PING, ACK, 0, payload), deadline)
        elif kind == WINDOW_UPDATE and stream == 0 and len(payload) == _NUMBER.size:
            self._may_send += _NUMBER.unpack(payload)[0] & _LAST_STREAM
        elif kind == GOAWAY:
            raise ConnectionEnded(f"{self._path}: the server ends the connection")
        elif kind in (PUSH_PROMISE, CONTINUATION):
            raise ConnectionEnded(f"a frame of kind {kind} that nobody asked for")

    def _wait_for_window(self, size: int, deadline: float | None) -> None:
        """Return when `size` bytes may be sent. An answer that comes meanwhile ends the connection."""
        while self._may_send < size:
            kind, flags, stream, payload = self._read_frame(deadline)
            if kind in (DATA, HEADERS, RST_STREAM):
                raise ConnectionEnded("the server answers what was not asked to the end")
            self._handle(kind, flags, stream, payload, deadline)

    def _acknowledge(self, size: int, stream: int, flags: int, deadline: float | None) -> None:
        """Let the server send as many bytes again as were read. Small frames are acknowledged together."""
        self._unacknowledged += size
        if self._unacknowledged < _WINDOW // 4:
            return
        update = _NUMBER.pack(self._unacknowledged)
        updates = _frame(WINDOW_UPDATE, 0, 0, update)
        if not flags & END_STREAM:
            updates += _frame(WINDOW_UPDATE, 0, stream, update)
        self._unacknowledged = 0
        self._send(updates, deadline)


def _translate(path: Path, error: OSError) -> Exception:
    return error if isinstance(error, TimeoutError) else ConnectionEnded(f"{path}: {error.strerror or error}")


def _settings() -> bytes:
    settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW_SIZE, _WINDOW))
    return b"".join(_SETTING.pack(*each) for each in (*settings, (_MAX_FRAME_SIZE, _LONGEST_FRAME)))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _data(stream: int, body: bytes) -> list[bytes]:
    """The frames of a whole body."""
    starts = range(0, len(body), _LONGEST_SENT) or range(1)
    flags = [END_STREAM if start + _LONGEST_SENT >= len(body) else 0 for start in starts]
    return [
        _frame(DATA, flag, stream, body[start : start + _LONGEST_SENT])
        for start, flag in zip(starts, flags, strict=True)
    ]


def _unpadded(payload: bytes, flags: int) -> bytes:
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionEnded("a frame has more padding than bytes")
    return payload[1 : len(payload) - payload[0]]


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
