"""One round: pulls begin, a fault comes in the middle of them, and what must hold is checked when they are over."""

import itertools
import time
from dataclasses import dataclass
from random import Random
from typing import Final

from prometheus_client.samples import Sample

from bench.processes import Memory, Shares, descriptors
from faults.kinds import FAULTS, PATIENCE, Fault
from faults.world import Asked, World
from rig.aggregator import Document
from rig.images import KIB, MIB
from rig.pacing import Stall
from rig.scrape import Scrape
from rig.web import wait_until

LONGEST: Final = 180.0
INTERVAL: Final = 0.1
MORE_DESCRIPTORS: Final = 32
"""The aggregator has up to 16 threads for rechecks of pods, each with a connection that stays."""
MORE_MEMORY_MIB: Final = 25.0
MORE_SHARE: Final = 20.0
"""Per cent of a core."""


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one; bytes are those of layers."""

    fault: str
    well: int
    badly: int
    sent: int
    counted: float
    seconds: float
    rest: float
    """How many of the seconds passed from the end of the last pull until nothing was shown any more."""

    def __str__(self) -> str:
        results = f"{self.well} well, {self.badly} badly"
        seconds = f"{self.seconds:.1f} s, the last {self.rest:.1f} for all series to go"
        return f"{self.fault}: {results}; {self.sent} bytes sent, {self.counted:.0f} counted; {seconds}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What the exporter has counted, and the registry sent, at a moment without pulls."""

    well: float
    badly: float
    layers: float
    sent: int

    @classmethod
    def of(cls, world: World) -> "Counts":
        scrape = world.exporter.scrape()
        ended = scrape.ended
        badly = ended.get("failed", 0) + ended.get("orphaned", 0) + (scrape.unresolved or 0)
        return cls(ended.get("succeeded", 0), badly, scrape.layer_bytes, world.sent)


def play(world: World, name: str, random: Random) -> Round:
    """Raises AssertionError or TimeoutError where something does not hold."""
    fault, began = FAULTS[name], time.monotonic()
    before = Counts.of(world)
    stalls: list[Stall] = []
    asked: list[Asked] = []

    def go_on() -> None:
        for stall in stalls:
            stall.release()

    try:
        asked += [_ask(world, random, stalls) for _ in range(random.randint(1, 3))]
        for stall in stalls:
            stall.wait_held(PATIENCE)
        world.aggregator.wait(lambda view: any(_downloads(asked[0], pod) for pod in view["pods"]), PATIENCE)
        with fault.during(world, asked, go_on):
            pass
    finally:
        go_on()
        well = sum(each.wait(PATIENCE) for each in asked)
        _end_pods(world, asked)
    ended = time.monotonic()
    settle(world)
    rest = time.monotonic() - ended
    after = Counts.of(world)
    for each in asked:
        each.remove(world.containerd)
    _check(fault, before if fault.lives else Counts(0, 0, 0, before.sent), after, well, len(asked) - well)
    return Round(
        name,
        well,
        len(asked) - well,
        after.sent - before.sent,
        after.layers - before.layers * fault.lives,
        time.monotonic() - began,
        rest,
    )


def _ask(world: World, random: Random, stalls: list[Stall]) -> Asked:
    """An image of some layers; one of them stands still in its middle until it is released."""
    sizes = [random.randint(32 * KIB, MIB) for _ in range(random.randint(1, 3))]
    image = world.push(sizes)
    layer = random.choice(image.layers)
    stalls.append(world.registry.stall(layer.digest, layer.size // 2))
    return world.ask(image)


def _downloads(asked: Asked, pod: Document) -> bool:
    return pod["pod"] == asked.name and pod["phase"] == "downloading" and "pull" in pod


def _end_pods(world: World, asked: list[Asked]) -> None:
    for each in asked:
        if each.failure is None:
            each.pod.pulled()
            each.pod.runs()
        else:
            each.pod.failed(each.failure[:200])
        each.pod.delete()


def settle(world: World) -> None:
    """Wait until no program shows anything of a pull or a wait, and has no series of one, as after each round."""
    world.exporter.wait_until(_quiet, LONGEST)
    seen = world.aggregator.wait(lambda view: not view["pods"] and not view["pulls"], LONGEST)
    assert [node["state"] for node in seen["nodes"]] in ([], ["ok"]), seen["nodes"]
    wait_until(lambda: not _passing(world), LONGEST, lambda: _passing(world), INTERVAL)


def _passing(world: World) -> list[Sample]:
    """Samples about one pull or one pod."""
    samples = itertools.chain(*world.exporter.scrape().series.values(), world.aggregator.samples())
    return [sample for sample in samples if sample.labels.keys() & {"digest", "pod"}]


def _quiet(scrape: Scrape) -> bool:
    return scrape.up and not scrape.pulls and not any(scrape.in_progress.values())


def _check(fault: Fault, before: Counts, after: Counts, well: int, badly: int) -> None:
    sent, counted = after.sent - before.sent, after.layers - before.layers
    assert counted <= sent, f"{counted} bytes counted, {sent} sent"
    told_well, told_badly = after.well - before.well, after.badly - before.badly
    if not fault.lives:
        assert told_well <= well, f"{told_well} successes told of {well}"
        return
    if fault.arrives:
        assert counted == sent, f"{counted} bytes counted, {sent} sent"
    assert told_well == well, f"{told_well} successes told of {well}"
    if fault.answers:
        assert told_badly == badly, f"{told_badly} failures told of {badly}"


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a program holds, and takes of a core, when there is nothing to do; the share is 0 where not measured."""

    memory: float
    descriptors: int
    share: float

    def __str__(self) -> str:
        return f"{self.memory:.1f} MiB, {self.descriptors} descriptors, {self.share:.1f} % of a core"

    def check(self, later: "Footprint") -> None:
        assert later.descriptors <= self.descriptors + MORE_DESCRIPTORS, f"{self} -> {later}"
        assert later.memory <= self.memory + MORE_MEMORY_MIB, f"{self} -> {later}"
        assert later.share <= self.share + MORE_SHARE, f"{self} -> {later}"


def footprints(world: World, seconds: float) -> dict[str, Footprint]:
    """Of both programs; shares are those of so many seconds, and not measured in none."""
    shares = Shares(**world.pids)
    time.sleep(seconds)
    taken = shares.taken() if seconds else dict.fromkeys(world.pids, 0.0)
    return {name: Footprint(Memory.of(pid).resident, descriptors(pid), taken[name]) for name, pid in world.pids.items()}
