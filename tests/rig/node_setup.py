"""A node, a registry and exporters for the time of one test."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rig.containerd import VERSIONS
from rig.exporter import RunningExporter
from rig.images import Image, Layer, build
from rig.node import Node, PullFailed, PullRequest
from rig.pacing import Stall
from rig.registry import Registry

BUSY, IDLE = "200ms", "5s"
"""Poll intervals. The one for a node without pulls is the default: it is events that must wake the exporter."""


STANDIN = "standin"


def node_params(*without: str) -> list[Any]:
    """The stand-in and each real containerd, as parameters of a fixture, but for versions that lack what is tested."""
    real = (version for version in VERSIONS if version not in without)
    return [
        pytest.param(STANDIN, marks=pytest.mark.contract),
        *(pytest.param(version, id=f"containerd-{version}", marks=pytest.mark.integration) for version in real),
    ]


class NodeSetup:
    """Images have repositories of their own in each test, so that tests may share a node."""

    def __init__(self, node: Node, registry: Registry, name: str, folder: Path, ends: ExitStack) -> None:
        self.node = node
        self.registry = registry
        self._name = name
        self._folder = folder
        self._ends = ends
        self._exporters = 0

    def push(
        self,
        name: str = "app",
        layers: Iterable[Layer | int] = (64 * 1024,),
        *,
        tag: str = "v1",
        index: bool = True,
        docker: bool = False,
    ) -> Image:
        """An image in the registry, in a repository of this test."""
        image = build(f"{self._name}/{name}", layers, tag=tag, index=index, docker=docker)
        return self.registry.push(image)

    def reference(self, image: Image) -> str:
        return image.reference(self.registry.host)

    def pull(self, image: Image) -> PullRequest:
        """Begin a pull of the image by its tag; it is withdrawn at the end of the test if it still runs."""
        return self.pull_reference(self.reference(image))

    def pull_reference(self, reference: str) -> PullRequest:
        pull = self.node.pull(reference)
        self._ends.callback(pull.cancel)
        return pull

    def pull_held(self, image: Image, after: int, *, layer: int = 0) -> tuple[PullRequest, Stall]:
        """Begin a pull, and return when one layer stands still after so many bytes: until the stall is released."""
        stall = self.registry.stall(image.layers[layer].digest, after)
        pull = self.pull(image)
        stall.wait_held()
        return pull, stall

    def pulled(self, image: Image) -> Image:
        self.pull(image).wait()
        return image

    def fails(self, image: Image) -> None:
        with pytest.raises(PullFailed):
            self.pull(image).wait()

    def fails_in_sight(self, image: Image, exporter: RunningExporter) -> None:
        """See the pull fail, and not before the exporter has seen it: on a fast machine it would be over at once."""
        stall = self.registry.stall(image.config.digest)
        pull = self.pull(image)
        exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading" and scrape.pull(image).size)
        stall.release()
        with pytest.raises(PullFailed):
            pull.wait()

    def exporter(
        self, *flags: str, busy: str = BUSY, idle: str = IDLE, up: bool = True, port: int = 0
    ) -> RunningExporter:
        """Start one more exporter; it has read the node unless `up` is False. Ends with the test.

        `busy` and `idle` are its poll intervals, 0 is any free port.
        """
        self._exporters += 1
        log = self._folder / f"exporter-{self._exporters}.log"
        intervals = (f"--poll.interval={busy}", f"--poll.idle-interval={idle}")
        exporter = self._ends.enter_context(RunningExporter(self.node.socket, log, *intervals, *flags, port=port))
        if up:
            exporter.wait_until(lambda scrape: scrape.up)
        return exporter

    def finally_(self, action: Callable[[], object]) -> None:
        self._ends.callback(action)

    def impossible(self, reasons: dict[str, str]) -> None:
        """Leave the test out on nodes that cannot show its case: reasons by the node's name."""
        if reason := reasons.get(self.node.name):
            pytest.skip(f"impossible on {self.node.name}: {reason}")


@contextmanager
def node_setup(node: Node, name: str, folder: Path) -> Iterator[NodeSetup]:
    with ExitStack() as ends:
        registry = ends.enter_context(Registry())
        yield NodeSetup(node, registry, name, folder, ends)
