"""One layer in several requests at once (containerd 2.1 and later, `concurrent_layer_fetch_buffer`).

What is kept is the contiguous beginning only: pieces beyond it wait in memory, come in bursts, and are lost with a cut.
"""

import queue
from collections import deque
from collections.abc import Iterator
from contextlib import closing

from rig.standin.control import Token
from rig.standin.descriptors import Descriptor
from rig.standin.runtime import Job
from rig.standin.sources import Chunk

Piece = queue.SimpleQueue[Chunk | None]


def in_pieces(job: Job, blob: Descriptor, offset: int) -> Iterator[Chunk]:
    """The blob from `offset` on, in order; each piece takes a download slot of its own."""
    size = job.store.flavour.fetch_buffer
    pieces: list[tuple[int, Piece]] = [(start, queue.SimpleQueue()) for start in range(offset, blob.size, size)]
    todo = deque(pieces)

    def work() -> None:
        while todo:
            try:
                start, piece = todo.popleft()
            except IndexError:
                return
            _fetch(job, blob, start, piece)

    for _ in range(min(job.workers, len(pieces))):
        job.crew.start(work)
    for _, piece in pieces:
        while (chunk := _next(piece, job.token)) is not None:
            yield chunk


def _fetch(job: Job, blob: Descriptor, start: int, piece: Piece) -> None:
    rest = min(job.store.flavour.fetch_buffer, blob.size - start)
    source = job.runtime.source.chunks(job.reference, blob, start, job.token)
    # The request is for all that follows; it is broken off where the next piece begins.
    with job.slots.hold(job.token), closing(source):
        for chunk in source:
            part = chunk[:rest] if isinstance(chunk, bytes) else min(chunk, rest)
            rest -= len(part) if isinstance(part, bytes) else part
            piece.put(part)
            if not rest:
                break
    piece.put(None)


def _next(piece: Piece, token: Token) -> Chunk | None:
    with token.closing(lambda: piece.put(None)):
        chunk = piece.get()
    token.check()
    return chunk
