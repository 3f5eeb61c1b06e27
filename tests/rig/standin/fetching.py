"""Bringing blobs into the content store, one pull's at a time."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rig.standin.chunking import in_pieces
from rig.standin.control import Slots
from rig.standin.descriptors import Descriptor
from rig.standin.runtime import Job, PullError
from rig.standin.sources import Chunk
from rig.standin.store import AlreadyThere, Writer


@dataclass(frozen=True, slots=True)
class Held:
    """A blob of which this pull holds the lock, and the writer unless it is there already."""

    blob: Descriptor
    writer: Writer | None


class Fetcher:
    """Fetches single blobs under the pull's lease."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def fetch(self, blob: Descriptor) -> None:
        """Have the blob in the store and in the lease. Waits while another pull fetches it."""
        self._lock(blob).take(self.job.token)
        self.finish(self._opened(blob))

    def take(self, blob: Descriptor) -> Held | None:
        """Hold the blob and open its ingest now, to be finished later; None while another pull fetches it."""
        return self._opened(blob) if self._lock(blob).try_take() else None

    def finish(self, held: Held) -> None:
        try:
            self._complete(held)
        finally:
            self.drop(held)

    def drop(self, held: Held) -> None:
        if held.writer:
            held.writer.close()
        self._lock(held.blob).release()

    def append_source(self, blob: Descriptor) -> None:
        """Label a blob with its source. It is the last write to it, a moment after it came."""
        self.job.moment()
        reference = self.job.reference
        self.job.store.append_source(blob.digest, reference.source_host, reference.repository)

    def _lock(self, blob: Descriptor) -> Slots:
        return self.job.locks.of(f"blob://{blob.digest}")

    def _opened(self, blob: Descriptor) -> Held:
        try:
            return Held(blob, self.job.store.open_writer(self.job.lease, blob.ingest_ref, blob.size, blob.digest))
        except AlreadyThere:
            return Held(blob, None)
        except Exception:
            self._lock(blob).release()
            raise

    def _complete(self, held: Held) -> None:
        if held.writer:
            if held.blob.size == 0:
                raise PullError(
                    f"unable to fetch descriptor ({held.blob.digest}) which reports content size of zero: "
                    "invalid argument"
                )
            self._download(held.blob, held.writer)
            held.writer.commit(held.blob.digest)
        if held.blob.is_layer:
            self.append_source(held.blob)

    def _download(self, blob: Descriptor, writer: Writer) -> None:
        if writer.offset == blob.size:
            return
        for chunk in self._chunks(blob, writer.offset):
            if chunk:
                writer.write(chunk)
        self.job.token.check()
        if writer.offset != blob.size:
            raise PullError(f"{blob.ingest_ref!r} failed size validation: {writer.offset} != {blob.size}")

    def _chunks(self, blob: Descriptor, offset: int) -> Iterator[Chunk]:
        job = self.job
        buffer = job.store.flavour.fetch_buffer
        if buffer and blob.size - offset > buffer:
            yield from in_pieces(job, blob, offset)
            return
        with job.slots.hold(job.token):
            yield from job.runtime.source.chunks(job.reference, blob, offset, job.token)


class LayerFetch:
    """Several blobs of one pull at once; `done` has an event for each."""

    def __init__(self, fetcher: Fetcher, layers: Sequence[Descriptor]) -> None:
        self.done = [threading.Event() for _ in layers]
        self._fetcher = fetcher
        self._todo: deque[tuple[int, Descriptor, Held | None]] = deque()
        self._layers = layers

    def start(self) -> None:
        job = self._fetcher.job
        later: list[tuple[int, Descriptor, Held | None]] = []
        for index, layer in enumerate(self._layers):
            held = self._fetcher.take(layer)
            # What is held comes first: whoever waits for it must not be waited for.
            (self._todo if held else later).append((index, layer, held))
        self._todo.extend(later)
        for _ in range(min(job.workers, len(self._layers))):
            job.crew.start(self._work)

    def wait(self) -> None:
        """Return when all are there; raises the reason of the pull's end when that comes first."""
        for event in self.done:
            self._fetcher.job.token.wait_for(event)

    def close(self) -> None:
        """Let go of what was not begun. The crew must have ended."""
        for _, _, held in self._todo:
            if held:
                self._fetcher.drop(held)

    def _work(self) -> None:
        while True:
            self._fetcher.job.token.check()
            try:
                index, layer, held = self._todo.popleft()
            except IndexError:
                return
            if held:
                self._fetcher.finish(held)
            else:
                self._fetcher.fetch(layer)
            self.done[index].set()
