"""The whole chain for real: nodes, exporters and the aggregator as shipped, Prometheus with our rules, Alertmanager.

Containerd is the stand-in and the Kubernetes API the fake, so that everything that can go wrong can be made to. All
durations of the rules are 60 times shorter.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pulltrace.web import Request, Response
from rig.aggregator import RunningAggregator
from rig.exporter import RunningExporter
from rig.images import Image, build
from rig.mini_cluster import MiniCluster
from rig.monitoring import STALE, Monitoring
from rig.node import PullRequest
from rig.processes import free_port
from rig.registry import Registry
from rig.standin import RegistrySource, StandIn
from rig.web import serving

EXPORTER = ("--poll.interval=200ms", "--poll.idle-interval=1s", "--pull.linger=20s")
HOSTS = ("stall", "queue", "crash", "unpack", "peers", "silent", "limited")
"""Names of registries, each with `.example` behind it; all are one server."""


@dataclass(slots=True)
class Place:
    """A node of the chain, and the generations of its exporter."""

    name: str
    node: StandIn
    port: int
    """Where the aggregator looks for an exporter."""
    exporters: list[RunningExporter] = field(default_factory=list)


class Chain:
    """What a scenario plays with. Made by `chain`; all that it starts ends with it."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self.folder = folder
        self.places: dict[str, Place] = {}
        self.aggregators: list[RunningAggregator] = []
        self.not_ready: set[str] = set()
        self._ends = ends
        self._logs = 0
        self.cluster = MiniCluster(folder, ends)
        self.registry = ends.enter_context(Registry())
        self._state = ends.enter_context(serving({"/metrics": self._cluster_state}))
        self.monitoring = Monitoring(folder, ends)
        self.limping = ends.enter_context(Registry())
        """Serves `peers.example` to the one node that is to be slower than its peers."""

    def add(self, name: str, *flags: str, limps: bool = False) -> Place:
        mirrors = {f"{host}.example": f"http://{self.registry.host}" for host in HOSTS}
        if limps:
            mirrors["peers.example"] = f"http://{self.limping.host}"
        node = self._ends.enter_context(StandIn(source=RegistrySource(mirrors=mirrors)))
        self.places[name] = Place(name, node, free_port())
        self.export(name, *flags, port=self.places[name].port)
        return self.places[name]

    def export(self, name: str, *flags: str, port: int = 0) -> RunningExporter:
        """One more generation of a node's exporter."""
        place = self.places[name]
        named = f"--node.name={name}"
        exporter = RunningExporter(place.node.socket, self._log(), named, *EXPORTER, *flags, port=port)
        self._ends.callback(exporter.process.kill)
        place.exporters.append(exporter)
        return exporter

    def aggregate(self, config: str = "", *, ready: bool = True) -> RunningAggregator:
        """One more generation of the aggregator; it knows one exporter of each node."""
        targets = [f"--exporter.target={name}=http://127.0.0.1:{place.port}" for name, place in self.places.items()]
        flags = (config or self.cluster.kubeconfig(), "--exporter.interval=200ms", "--exporter.timeout=1s", *STALE)
        aggregator = RunningAggregator(self._log(), *flags, *targets)
        self._ends.callback(aggregator.process.kill)
        if ready:
            aggregator.wait_ready()
        self.aggregators.append(aggregator)
        return aggregator

    def target(self) -> None:
        exporters = [
            (exporter.port, {"job": "pulltrace-exporter", "node": place.name, "pod": f"exporter-{place.name}-{number}"})
            for place in self.places.values()
            for number, exporter in enumerate(place.exporters)
        ]
        aggregators = [
            (one.port, {"job": "pulltrace-aggregator", "pod": f"aggregator-{number}"})
            for number, one in enumerate(self.aggregators)
        ]
        self.monitoring.aim(exporters, aggregators, [(self._state.port, {})])

    def push(self, repository: str, layers: Sequence[int]) -> Image:
        return self.registry.push(build(repository, layers, tag="v1"))

    def pull(self, place: str, reference: str) -> PullRequest:
        """A node begins to pull; it stops at the end at the latest."""
        pull = self.places[place].node.pull(reference)
        self._ends.callback(pull.cancel)
        return pull

    def finally_(self, action: Callable[[], object]) -> None:
        self._ends.callback(action)

    def _log(self) -> Path:
        self._logs += 1
        return self.folder / f"program-{self._logs}.log"

    def _cluster_state(self, _: Request) -> Response:
        """What kube-state-metrics would say of nodes."""
        lines = []
        for name in sorted({*self.places, *self.not_ready}):
            lines.append(f'kube_node_spec_unschedulable{{node="{name}"}} 0\n')
            labels = f'node="{name}",condition="Ready",status="true"'
            lines.append(f"kube_node_status_condition{{{labels}}} {int(name not in self.not_ready)}\n")
        return Response(200, "".join(lines).encode(), "text/plain; version=0.0.4")


@contextmanager
def chain() -> Iterator[Chain]:
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="chain-")))
        yield Chain(folder, ends)
