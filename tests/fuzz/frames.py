"""An input in several parts: a byte for what it is, two for its length, and its bytes, again and again."""

from collections.abc import Iterator

HEAD = 3


def framed(kind: int, payload: bytes) -> bytes:
    """One frame; what does not fit is cut off."""
    payload = payload[:0xFFFF]
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames, the last one as long as the data has bytes for it."""
    at = 0
    while at + HEAD <= len(data):
        size = int.from_bytes(data[at + 1 : at + HEAD], "big")
        yield data[at], data[at + HEAD : at + HEAD + size]
        at += HEAD + size
