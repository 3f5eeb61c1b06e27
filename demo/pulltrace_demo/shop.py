"""Images that the demo pulls, new ones for each round: their sizes, their speeds, and what goes wrong with them."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rig.standin import Layer, SourceFailed, SyntheticRegistry
from rig.standin.synthetic import Bandwidth

MB = 1_000_000


class Shop(Protocol):
    """Where the demo's images come from. Each answers references, and is asked once a round."""

    def open(self) -> None:
        """A new round."""
        ...

    def big(self) -> str:
        """One that takes the whole round."""
        ...

    def pair(self) -> Sequence[str]:
        """Two that share layers."""
        ...

    def stalling(self) -> str:
        """One whose download stalls for a while."""
        ...

    def failing(self) -> str:
        """One whose download fails."""
        ...

    def mostly_cached(self) -> str:
        """The next version of the big one, once that is here."""
        ...


@dataclass(frozen=True, slots=True)
class Wave:
    """A line whose speed swings around `mean` bytes per second."""

    mean: float
    period: float
    stall_from: float = math.inf
    stall_until: float = math.inf
    breaks_at: float = math.inf

    def __call__(self, seconds: float) -> float:
        if seconds >= self.breaks_at:
            raise SourceFailed("failed to copy: read tcp: connection reset by peer")
        if self.stall_from <= seconds < self.stall_until:
            return 0.0
        return self.mean * (1 + 0.35 * math.sin(2 * math.pi * seconds / self.period))


class SyntheticShop:
    """Images of tens of gigabytes that exist as numbers only."""

    def __init__(self, registry: SyntheticRegistry, seed: int) -> None:
        self._registry = registry
        self._random = random.Random(seed)
        self._round = 0
        self._big: list[Layer] = []

    def open(self) -> None:
        self._round += 1

    def big(self) -> str:
        weights = self._random.choice(((31, 410, 2900, 14200, 5600, 740, 62), (77, 1900, 9800, 21000, 330, 45)))
        self._big = self._layers("llm", [weight * MB for weight in weights])
        return self._publish("ai/llm-server", f"2.{self._round}", self._big, self._wave(720 * MB), resolve=2.5)

    def pair(self) -> Sequence[str]:
        shared = self._layers("python", [weight * MB for weight in (29, 148, 610, 95)])
        api = [*shared, *self._layers("api", [240 * MB, 18 * MB, 3 * MB])]
        worker = [*shared, *self._layers("worker", [1300 * MB, 64 * MB])]
        return [
            self._publish("shop/api", f"{self._round}.4.1", api, self._wave(110 * MB)),
            self._publish("shop/worker", f"{self._round}.4.1", worker, self._wave(140 * MB)),
        ]

    def stalling(self) -> str:
        layers = self._layers("checkout", [weight * MB for weight in (31, 520, 860, 12, 7)])
        wave = replace(self._wave(150 * MB), stall_from=4.0, stall_until=self._random.uniform(14, 18))
        return self._publish("shop/checkout", f"{self._round}.0.3", layers, wave)

    def failing(self) -> str:
        layers = self._layers("etl", [weight * MB for weight in (31, 390, 1450, 26)])
        wave = replace(self._wave(130 * MB), breaks_at=self._random.uniform(6, 9))
        return self._publish("data/etl", f"{self._round}.9", layers, wave)

    def mostly_cached(self) -> str:
        layers = [*self._big[:-2], *self._layers("llm next", [870 * MB, 58 * MB])]
        return self._publish("ai/llm-server", f"2.{self._round}.1", layers, self._wave(190 * MB))

    def _wave(self, mean: float) -> Wave:
        return Wave(mean * self._random.uniform(0.85, 1.15), self._random.uniform(5, 9))

    def _layers(self, name: str, sizes: Sequence[int]) -> list[Layer]:
        vary: Callable[[int], int] = lambda size: int(size * self._random.uniform(0.9, 1.1))  # noqa: E731
        return [Layer(f"{name} {self._round}.{index}", vary(size)) for index, size in enumerate(sizes)]

    def _publish(
        self, repository: str, tag: str, layers: Sequence[Layer], bandwidth: Bandwidth, resolve: float = 0.4
    ) -> str:
        reference = f"registry.example/{repository}:{tag}"
        self._registry.publish(reference, layers, bandwidth=bandwidth, resolve_seconds=resolve)
        return reference
