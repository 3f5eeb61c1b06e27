"""From layers to snapshots: in order, each on top of the one before; the download runs beside it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from rig.standin.control import Slots
from rig.standin.descriptors import Descriptor, chain_ids, diff_ids
from rig.standin.fetching import Fetcher, LayerFetch
from rig.standin.runtime import Job, PullError

NOBODYS = f"sha256:{'0' * 64}"
"""The diff ID of no layer: what was unpacked is never found to be it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One layer on its way to a committed snapshot."""

    index: int
    layer: Descriptor
    diff_id: str
    chain: str
    parent: str


class Unpacker:
    """Unpacks one image of a pull. Layers whose chain is committed are neither fetched nor unpacked."""

    def __init__(self, job: Job, fetcher: Fetcher) -> None:
        self._job = job
        self._fetcher = fetcher
        self._fetch: LayerFetch | None = None
        self._layers: Sequence[Descriptor] = ()
        self._first = 0

    def unpack(self, config: Descriptor, layers: Sequence[Descriptor]) -> None:
        steps = _steps(self._job.store.read(config.digest), layers)
        self._layers = layers
        if self._job.store.flavour.unpacks > 1:
            self._unpack_beside(steps)
        else:
            for step in steps:
                self._unpack(step, layers)
        if steps:
            label = f"containerd.io/gc.ref.snapshot.{self._job.runtime.snapshotter}"
            self._job.store.label(config.digest, {label: steps[-1].chain})

    def close(self) -> None:
        """Let go of layers that were not begun. The crew must have ended."""
        if self._fetch:
            self._fetch.close()

    def _unpack(self, step: Step, layers: Sequence[Descriptor]) -> None:
        with self._chain_lock(step), self._snapshot(step, step.parent) as key:
            if key:
                self._start_fetch(step.index, layers)
                self._apply(step)
                self._commit(step, key)

    def _unpack_beside(self, steps: Sequence[Step]) -> None:
        """Several layers at once (containerd 2.2 and later): prepared without a parent, committed in order."""
        layers = [step.layer for step in steps]
        slots = Slots(self._job.store.flavour.unpacks)
        begun: list[tuple[Step, str, threading.Event]] = []
        with ExitStack() as held:
            for step in steps:
                held.enter_context(self._chain_lock(step))
                key = held.enter_context(self._snapshot(step, ""))
                if key:
                    self._start_fetch(step.index, layers)
                    begun.append((step, key, self._apply_beside(step, slots)))
            for step, key, applied in begun:
                self._job.token.wait_for(applied)
                self._commit(step, key)

    def _apply_beside(self, step: Step, slots: Slots) -> threading.Event:
        applied = threading.Event()
        slots.take(self._job.token)

        def work() -> None:
            try:
                self._apply(step)
            finally:
                slots.release()
            applied.set()

        self._job.crew.start(work)
        return applied

    def _chain_lock(self, step: Step) -> AbstractContextManager[None]:
        return self._job.locks.of(f"sn://{self._job.runtime.snapshotter}/{step.chain}").hold(self._job.token)

    @contextmanager
    def _snapshot(self, step: Step, parent: str) -> Iterator[str]:
        """The active snapshot's key, empty when there is nothing to do; one that is not committed is removed."""
        job = self._job
        remote, snapshotter = job.runtime.remote, job.runtime.snapshotter
        if remote and not job.store.has_snapshot(snapshotter, step.chain):
            labels = remote.prepare(job, self._layers[step.index :])
            if labels is not None:
                job.store.commit_snapshot(job.lease, snapshotter, "", step.chain, step.parent, labels)
        key = job.store.prepare(job.lease, job.runtime.snapshotter, parent, step.chain)
        try:
            yield key
        except Exception:
            if key and not job.token.killed:
                job.store.remove_snapshot(job.lease, job.runtime.snapshotter, key)
            raise

    def _start_fetch(self, index: int, layers: Sequence[Descriptor]) -> None:
        if self._fetch is None:
            self._first = index
            self._fetch = LayerFetch(self._fetcher, layers[index:])
            self._fetch.start()

    def _apply(self, step: Step) -> None:
        if self._fetch:
            self._job.token.wait_for(self._fetch.done[step.index - self._first])
        self._job.runtime.unpacking.wait(self._job.token)
        self._job.token.wait(self._job.runtime.unpack_seconds(step.layer))
        if step.diff_id == NOBODYS:
            raise PullError(f"wrong diff id calculated on extraction of {step.layer.digest!r}")

    def _commit(self, step: Step, key: str) -> None:
        job = self._job
        job.store.commit_snapshot(job.lease, job.runtime.snapshotter, key, step.chain, step.parent)
        job.store.label(step.layer.digest, {"containerd.io/uncompressed": step.diff_id})


def _steps(config: bytes, layers: Sequence[Descriptor]) -> list[Step]:
    ids = diff_ids(config)
    chains = list(chain_ids(ids))
    parents = ["", *chains]
    rows = zip(layers, ids, chains, parents[:-1], strict=True)
    return [Step(index, *row) for index, row in enumerate(rows)]
