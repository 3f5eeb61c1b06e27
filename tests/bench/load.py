"""Whether an exporter's memory stays, and each success is told, while 14 images a second are pulled or removed."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench import nodes
from bench.processes import Memory
from bench.program import Program
from bench.rows import Row
from rig import images
from rig.containerd import RealContainerd
from rig.registry import Registry

VERSIONS = ("1.6", "1.7", "2.1")
MINUTES, SETTLED_MINUTES = 30.0, 5.0
PER_SECOND, CLIENTS, REMOVALS = 14.0, 6, 0.2
IMAGES, SHARED_LAYERS, LAYERS = 40, 90, (3, 9)
SEED = 21


@dataclass
class _Steps:
    """What the clients do together, each step at its time."""

    node: RealContainerd
    references: list[str]
    ends_at: float
    began: float = field(default_factory=time.monotonic)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    pulled: int = 0

    def __post_init__(self) -> None:
        self._busy = [threading.Lock() for _ in self.references]
        self._count = threading.Lock()

    def run(self, seed: int) -> None:
        """One client. An image is not removed while it is being pulled, as with the kubelet."""
        chance = random.Random(seed)
        while (due := self.began + next(self.numbers) / PER_SECOND) < self.ends_at:
            time.sleep(max(0.0, due - time.monotonic()))
            which = chance.randrange(len(self.references))
            with self._busy[which]:
                if chance.random() < REMOVALS:
                    self.node.forget_image(self.references[which])
                    continue
                self.node.pull(self.references[which]).wait()
            with self._count:
                self.pulled += 1


def measure() -> Iterator[Row]:
    """On all versions side by side; on none where no real containerd runs."""
    with ThreadPoolExecutor() as pool:
        for rows in pool.map(_measure, () if nodes.real_reason() else VERSIONS):
            yield from rows


def _measure(version: str) -> list[Row]:
    with Registry() as registry, RealContainerd.fresh(version) as node, Program(node.socket) as program:
        program.settle()
        steps = _Steps(node, _publish(registry), time.monotonic() + 60 * MINUTES)
        clients = [threading.Thread(target=steps.run, args=(seed,)) for seed in range(CLIENTS)]
        for each in clients:
            each.start()
        time.sleep(60 * SETTLED_MINUTES)
        settled = Memory.of(program.pid).resident
        for each in clients:
            each.join()
        program.settle()
        memory = Memory.of(program.pid)
        ends, told = program.total("pulltrace_pulls_total"), program.total("pulltrace_pulls_total", result="succeeded")
    how = f"{settled:.1f} after {SETTLED_MINUTES:.0f} min, highest {memory.highest:.1f}; {steps.pulled} pulls"
    share = 100 * told / max(steps.pulled, 1)
    return [
        Row(f"load on {version}: memory", memory.resident, "MiB", "flat within 2", how),
        Row(f"load on {version}: told", share, "%", "100", f"{told:.0f} successes of {ends:.0f} ends"),
    ]


def _publish(registry: Registry) -> list[str]:
    chance = random.Random(SEED)
    pool = [images.layer(20_000 + 1000 * number, f"load {number}") for number in range(SHARED_LAYERS)]
    return [
        registry.push(
            images.build(
                f"load/app-{number % 10}", [*chance.sample(pool, chance.randint(*LAYERS)), 5000], tag=f"{number}"
            )
        ).reference(registry.host)
        for number in range(IMAGES)
    ]
