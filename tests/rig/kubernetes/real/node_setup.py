"""Exporter and aggregator as they are shipped, on a real node, and the pods of one test in a namespace of their own."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rig import runnable
from rig.aggregator import Document, RunningAggregator
from rig.exporter import RunningExporter
from rig.images import MIB, Image
from rig.kubernetes import objects
from rig.kubernetes.api import READ, Object, Rule, kubeconfig
from rig.kubernetes.real.single_node import RealNode
from rig.pacing import Stall
from rig.scrape import Scrape
from rig.web import wait_until

RIGHTS = (Rule(READ, "pods"), Rule(READ, "events"))
"""All that the aggregator needs where the exporters are given by flag."""
INTERVALS = ("--poll.interval=200ms", "--poll.idle-interval=5s")
TIMEOUT = 40.0
PATIENCE = 60.0
"""How long to wait for the kubelet."""


class RealNodeSetup:
    """What a test plays with. All that it starts, holds back or creates ends with it."""

    def __init__(self, node: RealNode, name: str, folder: Path, ends: ExitStack) -> None:
        self.node = node
        self.registry = node.registry
        self._folder = folder
        self._ends = ends
        self._numbers = itertools.count()
        self.namespace = f"{name}-{time.time_ns():x}"
        node.api.create(objects.namespace(self.namespace))
        self.exporter = self.watch(node.containerd.socket, node.name)
        self.target = self.target_of(node.name, self.exporter)

    def watch(self, socket: Path, name: str) -> RunningExporter:
        exporter = RunningExporter(socket, self._file("exporter"), f"--node.name={name}", *INTERVALS)
        self._ends.enter_context(exporter)
        exporter.wait_until(lambda scrape: scrape.up)
        return exporter

    @staticmethod
    def target_of(name: str, exporter: RunningExporter) -> str:
        """The aggregator's flag for it."""
        return f"--exporter.target={name}=http://127.0.0.1:{exporter.port}"

    def aggregator(self, *flags: str) -> RunningAggregator:
        """One more aggregator, ready, as a user with `RIGHTS`; the test fails at its end if it has asked for more."""
        file = self._file("kubeconfig")
        cluster = self.node.cluster
        token = cluster.user(RIGHTS)
        file.write_text(kubeconfig(cluster.url, cluster.ca_file, token=token))
        self._ends.callback(self._check_asked, token)
        flags = (f"--kubeconfig={file}", "--exporter.interval=200ms", self.target, *flags)
        running = self._ends.enter_context(RunningAggregator(self._file("aggregator"), *flags))
        running.wait_ready()
        return running

    def push(self, name: str, size: int = 3 * MIB, **more: Any) -> Image:
        """An image that runs, in a repository of this test, with a layer of its own of this size."""
        return self.registry.push(runnable.runnable(f"{self.namespace}/{name}", [size], **more))

    def reference(self, image: Image) -> str:
        return image.reference(self.registry.host)

    def hold(self, image: Image, after: int = MIB) -> Stall:
        """Let no more than so many bytes of the image's own layer through until the answer is released."""
        stall = self.registry.stall(image.layers[-1].digest, after)
        self._ends.callback(stall.release)
        return stall

    def container(self, image: Image | str, name: str = "main") -> Object:
        return objects.container(name, image if isinstance(image, str) else self.reference(image))

    def pod(self, name: str, *containers: Image | Object, **spec: Any) -> Object:
        """Create a pod on the node; an image stands for the container `main`. It is gone at the end at the latest."""
        items = [self.container(each) if isinstance(each, Image) else each for each in containers]
        made = self.node.pod(self.namespace, name, *items, **spec)
        self._ends.callback(self.delete, made)
        return made

    def delete(self, pod: Object, grace: int | None = 0) -> None:
        self.node.api.delete(pod, grace)

    def exists(self, pod: Object) -> bool:
        return self.node.api.find(pod) is not None

    def running(self, pod: Object) -> bool:
        return bool(self.node.refreshed(pod)["status"]["phase"] == "Running")

    def wait_running(self, pod: Object) -> None:
        wait_until(lambda: self.running(pod), PATIENCE)

    def wait_gone(self, pod: Object) -> None:
        """Return when the kubelet has let go of a pod that was deleted: ten seconds where nothing else is done."""
        wait_until(lambda: not self.exists(pod), PATIENCE)

    def shown(self, aggregator: RunningAggregator) -> dict[tuple[str, str], Document]:
        """What the aggregator shows of this test's pods, by pod and container."""
        return _by_container(aggregator.view(f"namespace={self.namespace}"))

    def wait(
        self,
        aggregator: RunningAggregator,
        pod: str,
        container: str = "main",
        met: Callable[[Document], object] = bool,
        **fields: Any,
    ) -> Document:
        """The first entry of the container that has these values, and meets the condition."""

        def found(view: Document) -> bool:
            entry = _by_container(view).get((pod, container))
            return bool(entry and fields.items() <= entry.items() and met(entry))

        view = aggregator.wait(found, TIMEOUT, query=f"namespace={self.namespace}")
        return _by_container(view)[pod, container]

    def wait_nothing(self, aggregator: RunningAggregator) -> None:
        """Return when nothing of this test's pods is shown."""
        aggregator.wait(lambda view: not view["pods"], TIMEOUT, query=f"namespace={self.namespace}")

    def metrics(self, aggregator: RunningAggregator) -> Scrape:
        return Scrape.parse(aggregator.metrics())

    def wait_metrics(self, aggregator: RunningAggregator, met: Callable[[Scrape], object]) -> Scrape:
        """The first scrape that meets the condition: what comes by events may come after what comes by states."""
        scrapes: list[Scrape] = []

        def found(_: Document) -> object:
            scrapes.append(self.metrics(aggregator))
            return met(scrapes[-1])

        aggregator.wait(found, TIMEOUT)
        return scrapes[-1]

    def counts(self, scrape: Scrape, name: str, **labels: str) -> float:
        """A counter of this test's pods."""
        return scrape.total(f"pulltrace_pod_pull_{name}", namespace=self.namespace, **labels)

    def finally_(self, action: Callable[[], object]) -> None:
        self._ends.callback(action)

    def _check_asked(self, token: str) -> None:
        allowed = {(verb, rule.resource) for rule in RIGHTS for verb in rule.verbs}
        asked = self.node.cluster.asked(token)
        assert asked, "nothing is known of what it has asked for"
        assert asked <= allowed, f"it has asked for more than it may: {asked - allowed}"

    def _file(self, kind: str) -> Path:
        return self._folder / f"{kind}-{next(self._numbers)}"


@contextmanager
def real_node_setup(node: RealNode, name: str, folder: Path) -> Iterator[RealNodeSetup]:
    with ExitStack() as ends:
        yield RealNodeSetup(node, name, folder, ends)


def _by_container(view: Document) -> dict[tuple[str, str], Document]:
    return {(entry["pod"], entry["container"]): entry for entry in view["pods"]}
