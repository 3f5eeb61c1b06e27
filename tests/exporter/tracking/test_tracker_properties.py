"""Whatever order observations come in: nothing negative, nothing counted twice, nothing left behind."""

import os
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.pull import Daemon, LayerState, Pull
from pulltrace_exporter.model.observation import (
    BlobInfo,
    ImageRecord,
    Ingest,
    Intent,
    Lease,
    Observation,
    Snapshots,
    SnapshotStat,
)
from pulltrace_exporter.model.view import Totals, View
from pulltrace_exporter.tracking.pull_state import PullState
from pulltrace_exporter.tracking.tracker import Tracker
from rig.manifests import REGISTRY, a_blob, an_image, for_platforms
from rig.simulated_exporter import Exporter
from rig.simulated_node import OVERLAY, START, Node, Puller

pytestmark = [pytest.mark.unit, pytest.mark.timeout(600)]

IN_CI = os.environ.get("CI", "").lower() == "true"
thorough = settings(
    max_examples=500 if IN_CI else 40,
    stateful_step_count=25,
    derandomize=IN_CI,
    suppress_health_check=list(HealthCheck),
)

BASE, EMPTY = a_blob("base", 5000), a_blob("empty", 32)
IMAGES = (
    an_image("team/a", (BASE, 1000, EMPTY, 2000, EMPTY)),
    an_image("team/b", (BASE, 300), indexes=2),
    an_image("team/c", (EMPTY, 0, 700), indexes=0),
    for_platforms("team/d", an_image("d1", (BASE, 10), indexes=0), an_image("d2", (20,), indexes=0)),
)
LINGER = 50.0
ABANDONED = 300.0


# What must hold of every answer


def check_pull(pull: Pull, now: Instant) -> None:
    assert pull.phase.ended == (pull.ended_at is not None) == (pull.requests == 0)
    for at in (pull.started_at, pull.last_progress_at, pull.ended_at or now.wall):
        assert at is not None
        assert at <= now.wall + 1e-3
    assert sum(pull.layer_counts.values()) == len(pull.layers)
    assert [layer.index for layer in pull.layers] == list(range(len(pull.layers)))
    for number in (pull.bytes_per_second, pull.eta_seconds):
        assert number is None or number >= 0
    assert pull.progress_ratio is None or 0 <= pull.progress_ratio <= 1
    for layer in pull.layers:
        assert 0 <= (layer.downloaded or 0) <= layer.size
        assert layer.state is not LayerState.CACHED or not layer.downloaded
        assert layer.bytes_per_second is None or layer.bytes_per_second >= 0
    check_sums(pull)


def check_sums(pull: Pull) -> None:
    if pull.size is None or pull.cached is None or pull.downloaded is None or pull.unpacked is None:
        assert (pull.size, pull.cached, pull.downloaded, pull.unpacked) == (None,) * 4
        return
    layers = {layer.digest: layer for layer in pull.layers}.values()
    configs = pull.size - sum(layer.size for layer in layers)
    assert configs >= 0
    assert min(pull.cached, pull.downloaded, pull.unpacked) >= 0
    assert pull.cached + pull.downloaded <= pull.size
    assert 0 <= pull.downloaded - sum(layer.downloaded or 0 for layer in layers) <= configs
    assert pull.unpacked <= sum(layer.size for layer in layers)


def counters(totals: Totals) -> dict[Any, float]:
    named: dict[str, Mapping[Any, float]] = {
        "pulls": totals.pulls,
        "active": totals.active_seconds,
        "downloaded": totals.downloaded_bytes,
        "cached": totals.cached_bytes,
        "durations": {key: histogram.count for key, histogram in totals.durations.items()},
        "seconds": {key: histogram.total for key, histogram in totals.durations.items()},
        "unresolved": {"": totals.unresolved_pulls},
    }
    return {(name, key): value for name, values in named.items() for key, value in values.items()}


class Checked:
    """A tracker of which every answer is checked against the one before."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._counters: dict[Any, float] = {}
        self._downloaded: dict[PullState, int] = {}

    def check(self, answer: View, now: Instant, leases: int) -> None:
        assert len({pull.key for pull in answer.pulls}) == len(answer.pulls)
        for pull in answer.pulls:
            check_pull(pull, now)
            self._check_growth(pull)
        assert all(started <= now.wall + 1e-3 for started in answer.resolving)
        assert sum(pull.requests or 0 for pull in answer.pulls) + len(answer.resolving) <= leases
        grown = counters(answer.totals)
        assert grown.keys() >= self._counters.keys()
        assert all(grown[key] >= value >= 0 for key, value in self._counters.items())
        self._counters = grown

    def _check_growth(self, pull: Pull) -> None:
        state = self.tracker._pulls[pull.key]
        assert (pull.downloaded or 0) >= self._downloaded.get(state, 0)
        self._downloaded[state] = pull.downloaded or 0


# Any observation, possible or not

DIGESTS = sorted(
    {descriptor.digest for image in IMAGES for descriptor, _ in image.documents}
    | {blob.digest for image in IMAGES for blob in (*image.configs, *image.layers)}
)
DOCUMENTS = {descriptor.digest: document for image in IMAGES for descriptor, document in image.documents}
DIFF_IDS = {
    config.digest: diff_ids for image in IMAGES for config, diff_ids in zip(image.configs, image.diff_ids, strict=True)
}
CHAINS = sorted({chain for image in IMAGES for chain in image.chain})
ROOTS = [image.root for image in IMAGES]
SOURCES = [(REGISTRY, "team/a"), (REGISTRY, "team/b"), ("other.example", "team/a")]


class Noise:
    """Observations by chance, around a time."""

    def __init__(self, seed: int, now: float) -> None:
        self.random = random.Random(seed)
        self.now = now

    def time(self) -> NodeTime:
        return NodeTime(self.now + self.random.choice((-4000.0, -500.0, -5.0, -1.0, -0.5, 0.0, 0.5, 4000.0)))

    def some(self, items: list[Any]) -> list[Any]:
        return self.random.sample(items, self.random.randint(0, min(len(items), 6)))

    def content(self, digest: str) -> BlobInfo:
        document = DOCUMENTS.get(digest)
        named = frozenset(reference.digest for reference in document.references) if document else frozenset()
        children = self.random.choice((named, frozenset()))
        return BlobInfo(digest, self.random.randint(0, 5000), self.time(), tuple(self.some(SOURCES)), children)

    def contents(self) -> dict[str, BlobInfo | None]:
        return {digest: self.random.choice((None, self.content(digest))) for digest in self.some(DIGESTS)}

    def snapshots(self) -> dict[str, Snapshots]:
        names = self.some([OVERLAY, "stargz"])
        return {name: Snapshots(frozenset(self.some(CHAINS)), frozenset(self.some(CHAINS))) for name in names}

    def lease(self, name: str, created_at: float) -> Lease:
        root = self.random.choice(ROOTS)
        contents = self.contents()
        if self.random.random() < 0.8:
            contents |= {digest: self.content(digest) for digest in self.some(sorted(DOCUMENTS))}
            contents[root] = self.content(root)
        return Lease(
            name,
            NodeTime(created_at),
            contents if self.random.random() < 0.8 else {},
            frozenset(self.some(DIGESTS)),
            self.snapshots(),
            self.contents(),
            {chain: SnapshotStat(OVERLAY, self.random.choice((None, self.time()))) for chain in self.some(CHAINS)},
        )

    def observation(self, listed: Mapping[str, float], gone: set[str]) -> Observation:
        random = self.random
        ingests = (Ingest(digest, random.randint(0, 7000), self.time(), self.time()) for digest in self.some(DIGESTS))
        names = [f"{registry}/{repository}:1" for registry, repository in SOURCES] + ["sha256:odd"]
        return Observation(
            Daemon(True, "2", random.choice((None, NodeTime(self.now - 90_000), self.time()))),
            leases=tuple(self.lease(name, created_at) for name, created_at in listed.items()),
            ended=tuple(self.lease(name, self.time()) for name in sorted(gone) if random.random() < 0.7),
            inferred=tuple(self.lease(f"inferred {number}", self.time()) for number in self.some([1, 2])),
            ingests={ingest.digest: ingest for ingest in ingests},
            documents={digest: DOCUMENTS[digest] for digest in DOCUMENTS if random.random() < 0.9},
            diff_ids={config: DIFF_IDS[config] for config in DIFF_IDS if random.random() < 0.7},
            images={root: tuple(ImageRecord(name, self.time()) for name in self.some(names)) for root in ROOTS},
            reconnected=random.random() < 0.2,
        )


Step = tuple[str, int, float]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "look", "look", "elapse", "step"]),
        st.integers(0, 2**32),
        st.sampled_from([0.0, 0.05, 0.5, 1.0, 1.0, 2.5, 20.0, 60.0, 400.0]),
    ),
    max_size=30,
)


@thorough
@given(STEPS)
def test_no_order_of_observations_makes_the_tracker_say_what_cannot_be(steps: list[Step]) -> None:
    now = Instant(START, Monotonic(1000.0))
    tracker = Tracker(now, linger=LINGER, abandoned=ABANDONED, label_values=2)
    checked = Checked(tracker)
    listed: dict[str, float] = {}
    for kind, seed, pause in steps:
        noise = Noise(seed, now.wall)
        now = Instant(now.wall + pause, Monotonic(now.monotonic + pause))
        if kind == "step":
            now = Instant(now.wall + noise.random.choice((-4000.0, -5.0, 5.0, 4000.0)), now.monotonic)
        if kind == "elapse":
            checked.check(tracker.elapse(now).view, now, len(listed))
            continue
        before = set(listed)
        listed = {name: listed.get(name, noise.time()) for name in noise.some(["p", "q", "r", "s", "t"])}
        tags = range(noise.random.randint(0, 2))
        intents = [Intent(f"{REGISTRY}/team/a:{tag}", NodeTime(now.wall)) for tag in tags]
        seen = noise.observation(listed, before - set(listed))
        checked.check(tracker.observe(seen, now, intents).view, now, len(listed))
    tracker.observe(Observation(Daemon(True)), now)
    # The sum of two floats minus one of them can be a little less than the other.
    linger = LINGER + 0.001
    later = Instant(now.wall + linger, Monotonic(now.monotonic + linger))
    assert tracker.elapse(later).view.pulls == ()
    assert tracker.elapse(later).view.resolving == ()
    assert tracker.ignored == frozenset()
    assert tracker._downloads._blobs == {}
    assert tracker._leases == {}


# Any order of what containerd does: every byte counts once


class Pulls(RuleBasedStateMachine):
    """Pulls of images that share blobs, each seen at least once; nothing is ever deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node()
        self.exporter = Exporter(self.node, linger=LINGER, abandoned=100_000)
        self.checked = Checked(self.exporter.tracker)
        self.running: list[Puller] = []
        self.ended = 0
        self.highest: dict[str, int] = {}

    @initialize(idle=st.booleans())
    def begin(self, idle: bool) -> None:
        if idle:
            self.exporter.look()

    def _some(self, number: int) -> Puller:
        return self.running[number % len(self.running)]

    @rule(number=st.integers(0, 3), other=st.booleans())
    def ask(self, number: int, other: bool) -> None:
        """A pull begins, and is seen when its root is there."""
        if len(self.running) < 4:
            pull = self.node.pull(IMAGES[number].under("team/copy") if other else IMAGES[number])
            self.node.sleep(0.1)
            pull.find_root()
            self.running.append(pull)
            self.look(0.1)
            self.resolve(-1)

    def resolve(self, which: int) -> None:
        pull = self._some(which)
        pull.resolve()
        self.node.sleep(0.01)
        if len(pull.image.configs) > 1:  # of several manifests those count of which a layer comes
            pull.finish(0, 2)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 3), layer=st.integers(0, 4), part=st.integers(0, 9))
    def fetch(self, which: int, layer: int, part: int) -> None:
        """Some more of a layer comes, or it begins anew, or another pull works on it."""
        self.resolve(which)
        pull = self._some(which)
        blob = pull.image.layers[layer % len(pull.image.layers)]
        for other in self.running:
            other.held.ingests &= self.node.ingests.keys()
        theirs = any(blob.digest in other.held.ingests for other in self.running if other is not pull)
        if blob.size and not theirs and blob.digest not in self.node.contents:
            known = self.node.ingests.get(blob.digest)
            if known is not None and known.downloaded > blob.size * part // 10:
                self.look(0.05)  # what is thrown away before anybody saw it is not counted
            pull.ingest(blob, blob.size * part // 10)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 3), layer=st.integers(0, 4), unpack=st.booleans())
    def finish(self, which: int, layer: int, unpack: bool) -> None:
        """A layer comes or is found, and may be unpacked at once."""
        self.resolve(which)
        pull = self._some(which)
        position = layer % len(pull.image.layers)
        pull.finish(position)
        if unpack:
            pull.unpack(position)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 3), well=st.booleans())
    def end(self, which: int, well: bool) -> None:
        pull = self._some(which)
        self.running.remove(pull)
        self.ended += 1
        if well:
            pull.run()
        else:
            pull.fail()

    @rule(after=st.sampled_from([0.05, 0.5, 1.0, 1.0, 5.0, 40.0, 60.0]))
    def look(self, after: float) -> None:
        self.exporter.look(after)
        self.checked.check(self.exporter.shown, self.node.now, len(self.node.leases))

    @rule()
    def miss(self) -> None:
        self.exporter.miss()

    @rule(step=st.sampled_from([-3600.0, 3600.0]))
    def step_clock(self, step: float) -> None:
        """Right after a look: what comes between a step and the look before it can be dated either way."""
        self.look(0.5)
        self.node.step_clock(step)

    @invariant()
    def nothing_is_counted_that_did_not_come(self) -> None:
        assert self.exporter.counted <= self._came()

    def teardown(self) -> None:
        while self.running:
            self.end(0, well=True)
        self.look(1.0)
        assert self.exporter.counted == self._came()
        assert sum(self.exporter.results.values()) == self.ended
        assert self.exporter.look(LINGER).shown.pulls == ()

    def _came(self) -> int:
        """Bytes that came over the network, those of an ingest that began anew once."""
        for blob in self.node.ingests.values():
            self.highest[blob.digest] = max(blob.downloaded, self.highest.get(blob.digest, 0))
        for digest in self.node.contents:
            self.highest.pop(digest, None)
        return sum(content.size for content in self.node.contents.values()) + sum(self.highest.values())


Pulls.TestCase.settings = thorough
test_every_byte_counts_once_in_any_order = Pulls.TestCase
