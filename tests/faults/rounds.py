"""One round: pulls begin, a fault comes in the middle of them, and what must hold is checked when they are over."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from bench.processes import Memory
from faults.kinds import FAULTS, PATIENCE, Fault
from faults.world import Asked, World
from rig.images import KIB, MIB
from rig.pacing import Stall
from rig.scrape import Scrape

LONGEST: Final = 180.0
INTERVAL: Final = 0.1
MORE_DESCRIPTORS: Final = 12
MORE_MEMORY_MIB: Final = 25.0


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one; bytes are those of layers."""

    fault: str
    well: int
    badly: int
    sent: int
    counted: float
    seconds: float

    def __str__(self) -> str:
        results = f"{self.well} well, {self.badly} badly"
        return f"{self.fault}: {results}; {self.sent} bytes sent, {self.counted:.0f} counted; {self.seconds:.1f} s"


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


NOTHING: Final = Counts(0, 0, 0, 0)


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
        _told(world, asked[0], "downloading")
        with fault.during(world, asked, go_on):
            pass
    finally:
        go_on()
        well = sum(each.wait(PATIENCE) for each in asked)
        _end_pods(world, asked)
    settle(world)
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
    )


def _ask(world: World, random: Random, stalls: list[Stall]) -> Asked:
    """An image of some layers; one of them stands still in its middle until it is released."""
    sizes = [random.randint(32 * KIB, MIB) for _ in range(random.randint(1, 3))]
    image = world.push(sizes)
    layer = random.choice(image.layers)
    stalls.append(world.registry.stall(layer.digest, layer.size // 2))
    return world.ask(image)


def _told(world: World, asked: Asked, phase: str) -> None:
    """The aggregator says of the pod that its image is in this phase."""
    name = asked.pod.item["metadata"]["name"]
    world.aggregator.wait(
        lambda view: any(pod["pod"] == name and pod["phase"] == phase and "pull" in pod for pod in view["pods"]),
        PATIENCE,
    )


def _end_pods(world: World, asked: list[Asked]) -> None:
    for each in asked:
        if each.failure is None:
            each.pod.pulled()
            each.pod.runs()
        else:
            each.pod.failed(each.failure[:200])
        each.pod.delete()


def settle(world: World) -> None:
    """Wait until no program shows anything of a pull or a wait, as after each round they must."""
    _until(lambda: _quiet(world.exporter.scrape()), lambda: f"{world.exporter.scrape().pulls} {world.exporter.tail()}")
    seen = world.aggregator.wait(lambda view: not view["pods"] and not view["pulls"], LONGEST)
    assert [node["state"] for node in seen["nodes"]] in ([], ["ok"]), seen["nodes"]


def _quiet(scrape: Scrape) -> bool:
    return scrape.up and not scrape.pulls and not any(scrape.in_progress.values())


def _until(met: Callable[[], bool], instead: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST
    while not met():
        assert time.monotonic() < deadline, f"it does not come to rest: {instead()}"
        time.sleep(INTERVAL)


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
    """What a program holds when there is nothing to do."""

    memory: float
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        return cls(Memory.of(pid).resident, len(list(Path(f"/proc/{pid}/fd").iterdir())))

    def check(self, later: "Footprint") -> None:
        assert later.descriptors <= self.descriptors + MORE_DESCRIPTORS, f"{self} -> {later}"
        assert later.memory <= self.memory + MORE_MEMORY_MIB, f"{self} -> {later}"


def footprints(world: World) -> dict[str, Footprint]:
    """Of both programs."""
    return {
        "exporter": Footprint.of(world.exporter.process.pid),
        "aggregator": Footprint.of(world.aggregator.process.pid),
    }
