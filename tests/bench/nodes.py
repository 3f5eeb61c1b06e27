"""What the exporter looks at: a real containerd with a registry on loopback, or the stand-in where that cannot be."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rig import containerd, images
from rig.containerd import RealContainerd
from rig.registry import Registry
from rig.standin import Layer, StandIn, SyntheticRegistry

VERSION = "2.1"


class RealSite:
    """A real containerd with its defaults, and a real registry. `name` says what it is."""

    name = "real containerd"

    def __init__(self, node: RealContainerd, registry: Registry) -> None:
        self.node = node
        self._registry = registry

    def publish(self, repository: str, layer_sizes: Sequence[int]) -> str:
        """Offer an image with layers of these sizes in bytes, none like any other image's; gives its reference."""
        image = self._registry.push(images.build(f"bench/{repository}", layer_sizes))
        return image.reference(self._registry.host)

    def pace(self, bytes_per_second: float, at_once: int = 1) -> None:
        """Let images in at this rate each when so many are pulled at once; at first it is as fast as it goes."""
        self._registry.throttle(bytes_per_second * at_once)


class StandInSite:
    """The stand-in, with images that exist as numbers only."""

    name = "stand-in"

    def __init__(self, node: StandIn, source: SyntheticRegistry) -> None:
        self.node = node
        self._source = source
        self._rate = math.inf

    def publish(self, repository: str, layer_sizes: Sequence[int]) -> str:
        reference = f"registry.example/bench/{repository}:latest"
        layers = [Layer(f"{reference} {index}", size) for index, size in enumerate(layer_sizes)]
        self._source.publish(reference, layers, bandwidth=lambda _: self._rate)
        return reference

    def pace(self, bytes_per_second: float, at_once: int = 1) -> None:
        self._rate = bytes_per_second


Site = RealSite | StandInSite


def real_reason() -> str:
    """Why no real containerd runs here; an empty text when one does."""
    return containerd.available()[VERSION]


def site_name() -> str:
    """What `site` gives here."""
    return StandInSite.name if real_reason() else RealSite.name


@contextmanager
def site() -> Iterator[Site]:
    """A real site where one can be had, else the stand-in, for the time of the block."""
    with stand_in_site() if real_reason() else real_site() as each:
        yield each


@contextmanager
def real_site() -> Iterator[RealSite]:
    with Registry() as registry, RealContainerd.fresh(VERSION) as node:
        yield RealSite(node, registry)


@contextmanager
def stand_in_site() -> Iterator[StandInSite]:
    source = SyntheticRegistry()
    with folder() as path, StandIn(path / "node", source) as node:
        yield StandInSite(node, source)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder with a short name, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ptb-", dir="/tmp") as path:
        yield Path(path)
