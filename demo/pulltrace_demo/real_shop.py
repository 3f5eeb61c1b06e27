"""The demo's images with real bytes: small ones, at the speed of a slow line, the same in every round."""

import random
import threading
from collections.abc import Callable, Sequence

from pulltrace_demo.shop import MB
from rig import images
from rig.registry import Registry

STALL = 15.0
BREAK_AFTER = 4.0
SPEED = 6 * MB
SLOW = 1.5 * MB


class RealShop:
    """Images of a registry on loopback, which holds them back as a line would."""

    def __init__(self, registry: Registry, seed: int) -> None:
        self._registry = registry
        self._timers: list[threading.Timer] = []
        chance = random.Random(seed)
        base = self._layers("llm", [3 * MB, 24 * MB, 76 * MB, 9 * MB], chance)
        shared = self._layers("python", [4 * MB, 11 * MB], chance)
        self._big = self._push("ai/llm-server", [*base, *self._layers("llm 1", [14 * MB], chance)], "2.0")
        self._next = self._push("ai/llm-server", [*base, *self._layers("llm 2", [16 * MB], chance)], "2.1")
        self._pair = [
            self._push(name, [*shared, *self._layers(name, [7 * MB, MB], chance)], "1.4")
            for name in ("shop/api", "shop/worker")
        ]
        self._stalling = self._push("shop/checkout", self._layers("checkout", [2 * MB, 9 * MB], chance), "1.0")
        self._failing = self._push("data/etl", self._layers("etl", [2 * MB, 16 * MB], chance), "9")
        registry.throttle(SPEED)
        for image in (*self._pair, self._stalling, self._failing):
            for layer in image.layers:
                registry.throttle(SLOW, layer.digest)

    def open(self) -> None:
        self._registry.allow(self._failing.layers[1].digest)

    def big(self) -> str:
        return self._big.reference(self._registry.host)

    def pair(self) -> Sequence[str]:
        return [image.reference(self._registry.host) for image in self._pair]

    def stalling(self) -> str:
        layer = self._stalling.layers[1]
        stall = self._registry.stall(layer.digest, layer.size // 2)
        self._later(STALL, stall.release)
        return self._stalling.reference(self._registry.host)

    def failing(self) -> str:
        digest = self._failing.layers[1].digest

        def break_off() -> None:
            self._registry.deny(digest, 503)
            self._registry.cut(digest)

        self._later(BREAK_AFTER, break_off)
        return self._failing.reference(self._registry.host)

    def mostly_cached(self) -> str:
        return self._next.reference(self._registry.host)

    def close(self) -> None:
        """Cancel the stalls and failures that are still to come."""
        for timer in self._timers:
            timer.cancel()
            timer.join()

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, event)
        self._timers.append(timer)
        timer.start()

    def _layers(self, name: str, sizes: Sequence[float], chance: random.Random) -> list[images.Layer]:
        return [images.layer(int(size), f"{name} {index} {chance.random()}") for index, size in enumerate(sizes)]

    def _push(self, repository: str, layers: Sequence[images.Layer], tag: str) -> images.Image:
        return self._registry.push(images.build(repository, layers, tag=tag))
