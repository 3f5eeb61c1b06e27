"""A cluster of three nodes, all of it stand-ins: containerd, kubelets and the Kubernetes API; and a story on it."""

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pulltrace_demo import programs
from pulltrace_demo.kubelets import NAMESPACE, Kubelet
from pulltrace_demo.programs import Program
from pulltrace_demo.shop import MB, Wave
from pulltrace_demo.stage import UNPACK_SPEED, a_folder
from rig import client_world
from rig.kubernetes import objects
from rig.kubernetes.api import READ_EVERYTHING, kubeconfig
from rig.kubernetes.fake import FakeCluster
from rig.standin import V2_1, Layer, StandIn, SyntheticRegistry

NODES = ("node-1", "node-2", "node-3")
MODEL = (31, 900, 4200, 2600, 310, 40)
SLOW_NODE = "node-3"
LONGEST_ROUND = 75.0
REST = 4.0
NAMESPACES_HINT = ("kubectl pulltrace", "kubectl pulltrace llm-server-0", "kubectl pulltrace node node-1")


@dataclass(frozen=True, slots=True)
class Nodes:
    """What the story is played on; `registries` is what each node sees of the one registry."""

    kubelets: Mapping[str, Kubelet]
    standins: Mapping[str, StandIn]
    registries: Mapping[str, SyntheticRegistry]


@dataclass(frozen=True, slots=True)
class DemoCluster:
    """The parts of the demo, started."""

    nodes: Nodes
    aggregator: Program
    exporters: Mapping[str, Program]
    kubeconfig: Path


@contextmanager
def demo_cluster() -> Iterator[DemoCluster]:
    """Set up in a temporary folder, and taken down without a trace; raises CommandFailed."""
    with a_folder() as folder, ExitStack() as ends:
        api = ends.enter_context(FakeCluster())
        api.api.create(objects.namespace(NAMESPACE))
        registries = {name: SyntheticRegistry() for name in NODES}
        standins = {name: ends.enter_context(_standin(folder / name[-1], registries[name])) for name in NODES}
        exporters = {name: programs.exporter(standin.socket, folder, name) for name, standin in standins.items()}
        for program in exporters.values():
            ends.callback(program.close)
        config = folder / "kubeconfig"
        config.write_text(kubeconfig(api.url, api.ca_file, token=api.user(READ_EVERYTHING)))
        aggregator = programs.aggregator(config, folder, exporters)
        ends.callback(aggregator.close)
        kubelets = {name: Kubelet(name, standins[name], api.api) for name in NODES}
        for program in (*exporters.values(), aggregator):
            program.wait_ready()
        _install(api, aggregator, exporters)
        user = folder / "config"
        user.write_text(kubeconfig(api.url, api.ca_file, token=api.admin_token, namespace=NAMESPACE))
        yield DemoCluster(Nodes(kubelets, standins, registries), aggregator, exporters, user)


def _install(api: FakeCluster, aggregator: Program, exporters: Mapping[str, Program]) -> None:
    """What the chart brings, as far as the client looks for it."""
    api.api.create(objects.namespace(client_world.NAMESPACE))
    client_world.install_service(api, aggregator.url)
    name = f"{client_world.SERVICE}-0"
    client_world.install_pod(api, name, "aggregator", aggregator.url, node=NODES[0])
    for node, program in exporters.items():
        client_world.install_pod(api, f"pulltrace-exporter-{node}", "exporter", program.url, node=node)


def _standin(folder: Path, registry: SyntheticRegistry) -> StandIn:
    flavour = replace(V2_1, downloads=8)
    return StandIn(folder, registry, flavour=flavour, unpack_seconds=lambda layer: layer.size / UNPACK_SPEED)


class Story:
    """A roll-out to all nodes, one of them on a slow line, with stalls and failures beside it; again and again."""

    def __init__(self, nodes: Nodes, seed: int) -> None:
        self._nodes = nodes
        self._random = random.Random(seed)
        self._round = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="story")

    @property
    def broken(self) -> bool:
        """Whether it or a kubelet ended without being told to."""
        ended = not self._thread.is_alive() and not self._over.is_set()
        return ended or any(kubelet.broken for kubelet in self._nodes.kubelets.values())

    def start(self) -> None:
        for kubelet in self._nodes.kubelets.values():
            kubelet.start()
        self._thread.start()

    def stop(self) -> None:
        """End it where it stands; returns when it has."""
        self._over.set()
        self._thread.join()
        for kubelet in self._nodes.kubelets.values():
            kubelet.stop()

    def _run(self) -> None:
        while not self._over.is_set():
            self._play()
            self._wait_idle()
            for kubelet in self._nodes.kubelets.values():
                kubelet.evict()
            for standin in self._nodes.standins.values():
                for name in list(standin.images()):
                    if name in standin.images():
                        standin.remove_image(name)
            self._over.wait(REST)

    def _play(self) -> None:
        self._round += 1
        model = self._publish(
            "ai/llm-server", "llm", MODEL, {name: 45 * MB if name == SLOW_NODE else 420 * MB for name in NODES}
        )
        for number, name in enumerate(NODES):
            self._admit(name, f"llm-server-{number}", model)
        if self._over.wait(2):
            return
        line = dict.fromkeys(NODES, 130.0 * MB)
        self._admit("node-1", "api-7d9f", self._publish("shop/api", "api", (29, 148, 410), line))
        self._admit("node-1", "worker-x2b", self._publish("shop/worker", "worker", (29, 148, 330), line))
        self._admit("node-2", "checkout-0", self._stalling())
        if self._over.wait(1):
            return
        self._admit("node-2", "cart-55c", f"registry.example/shop/cart:{self._round}.0.0-typo")
        self._admit("node-1", "etl-4711", self._breaking())

    def _wait_idle(self) -> None:
        waited = 0.0
        while waited < LONGEST_ROUND and not self._over.wait(0.5):
            waited += 0.5
            if waited > REST and all(kubelet.idle for kubelet in self._nodes.kubelets.values()):
                self._over.wait(2 * REST)
                return

    def _admit(self, node: str, pod: str, image: str) -> None:
        self._nodes.kubelets[node].admit(pod, image)

    def _stalling(self) -> str:
        reference, layers = self._layers("shop/checkout", "checkout", (31, 320, 360))
        wave = Wave(130 * MB, 7, stall_from=2.5, stall_until=self._random.uniform(13, 15))
        self._nodes.registries["node-2"].publish(reference, layers, bandwidth=wave, resolve_seconds=0.4)
        return reference

    def _breaking(self) -> str:
        reference, layers = self._layers("data/etl", "etl", (31, 390, 650))
        wave = Wave(130 * MB, 7, breaks_at=self._random.uniform(3, 5))
        self._nodes.registries["node-1"].publish(reference, layers, bandwidth=wave, resolve_seconds=0.4)
        return reference

    def _publish(self, repository: str, name: str, sizes: Sequence[int], speeds: Mapping[str, float]) -> str:
        reference, layers = self._layers(repository, name, sizes)
        for node, speed in speeds.items():
            wave = Wave(speed * self._random.uniform(0.9, 1.1), self._random.uniform(5, 9))
            self._nodes.registries[node].publish(reference, layers, bandwidth=wave, resolve_seconds=1.0)
        return reference

    def _layers(self, repository: str, name: str, sizes: Sequence[int]) -> tuple[str, list[Layer]]:
        layers = [Layer(f"{name} {self._round}.{index}", size * MB) for index, size in enumerate(sizes)]
        return f"registry.example/{repository}:{self._round}.2", layers
