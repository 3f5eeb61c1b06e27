"""The whole chain for real: nodes, exporters and the aggregator as shipped, Prometheus with our rules, Alertmanager.

Containerd is the stand-in and the Kubernetes API the fake, so that everything that can go wrong can be made to. All
durations of the rules are 60 times shorter.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pulltrace.web import Request, Response
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.table import text
from rig.aggregator import RunningAggregator
from rig.alertmanager import Alertmanager, Webhook, alertmanager, scaled, webhook
from rig.exporter import RunningExporter
from rig.exporters import free_port
from rig.hub import Hub
from rig.images import Image, build
from rig.node import PullRequest
from rig.prometheus import Prometheus, prometheus
from rig.registry import Registry
from rig.standin import RegistrySource, StandIn
from rig.web import serving

CHECKOUT = Path(__file__).parents[2]
SCALE = 60.0
# The stand-in writes mebibytes, as containerd does: at small speeds it stands still for seconds between two of them.
SETTINGS = replace(Settings(), scale=SCALE, stalled_after=5 * SCALE, registry_slow=1.5e6, ghost_window=10 * SCALE)
STALE = (
    "--stale.no-progress=4s",
    "--stale.unpack=10s",
    "--stale.slow-eta=60s",
    "--stale.resolving=1s",
    "--stale.exporter=2s",
    "--pod.linger=5s",
)
EXPORTER = ("--poll.interval=200ms", "--poll.idle-interval=1s", "--pull.linger=20s")
HOSTS = ("stall", "queue", "crash", "unpack", "peers", "slow", "silent")
"""Names of registries, each with `.example` behind it; all are one server."""

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
  - job_name: pulltrace-exporter
    file_sd_configs: [{{files: ["{folder}/exporters.json"], refresh_interval: 1s}}]
  - job_name: pulltrace-aggregator
    honor_labels: true
    file_sd_configs: [{{files: ["{folder}/aggregators.json"], refresh_interval: 1s}}]
  - job_name: kube-state-metrics
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{cluster_state}"]}}]
"""


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

    prometheus: Prometheus
    manager: Alertmanager
    hook: Webhook

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self.folder = folder
        self.places: dict[str, Place] = {}
        self.aggregators: list[RunningAggregator] = []
        self.not_ready: set[str] = set()
        self.without_exporter: set[str] = set()
        self._ends = ends
        self._logs = 0
        self.hub = Hub(folder, ends)
        self.registry = ends.enter_context(Registry())
        self.limping = ends.enter_context(Registry())
        """Serves `peers.example` to the one node that is to be slower than its peers."""

    def add(self, name: str, *flags: str, limps: bool = False) -> Place:
        """One more node with an exporter."""
        mirrors = {f"{host}.example": f"http://{self.registry.host}" for host in HOSTS}
        if limps:
            mirrors["peers.example"] = f"http://{self.limping.host}"
        folder = Path(tempfile.mkdtemp(prefix="ptc-", dir="/tmp"))
        node = self._ends.enter_context(StandIn(folder, RegistrySource(mirrors=mirrors)))
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
        flags = (config or self.hub.kubeconfig(), "--exporter.interval=200ms", "--exporter.timeout=1s", *STALE)
        aggregator = RunningAggregator(self._log(), *flags, *targets)
        self._ends.callback(aggregator.process.kill)
        if ready:
            aggregator.wait_ready()
        self.aggregators.append(aggregator)
        return aggregator

    def target(self) -> None:
        """Let Prometheus scrape what there is now."""
        exporters = [
            _target(exporter.port, job="pulltrace-exporter", node=place.name, pod=f"pulltrace-{place.name}-{number}")
            for place in self.places.values()
            for number, exporter in enumerate(place.exporters)
        ]
        aggregators = [
            _target(one.port, job="pulltrace-aggregator", pod=f"pulltrace-aggregator-{number}")
            for number, one in enumerate(self.aggregators)
        ]
        for name, targets in (("exporters", exporters), ("aggregators", aggregators)):
            path = self.folder / f"{name}.json"
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(targets))
            fresh.rename(path)

    def watch(self) -> None:
        """Start what looks: Prometheus, Alertmanager and a receiver."""
        self.target()
        rules = self.folder / "rules.yaml"
        rules.write_text(text(SETTINGS))
        state = self._ends.enter_context(serving({"/metrics": self._cluster_state}))
        self.hook = self._ends.enter_context(webhook())
        example = scaled(CHECKOUT / "alerts/alertmanager.yaml", self.hook.url, SCALE)
        self.manager = self._ends.enter_context(alertmanager(example))
        config = CONFIG.format(
            alertmanager=self.manager.url.removeprefix("http://"), folder=self.folder, cluster_state=state.port
        )
        self.prometheus = self._ends.enter_context(prometheus(config=config, rules=[rules]))

    def push(self, repository: str, layers: Sequence[int], registry: Registry | None = None) -> Image:
        """An image in the registry."""
        return (registry or self.registry).push(build(repository, layers, tag="v1"))

    def pull(self, place: str, reference: str) -> PullRequest:
        """A node begins to pull; it stops at the end at the latest."""
        pull = self.places[place].node.pull(reference)
        self._ends.callback(pull.cancel)
        return pull

    def finally_(self, action: Callable[[], object]) -> None:
        """Do this at the end."""
        self._ends.callback(action)

    def _log(self) -> Path:
        self._logs += 1
        return self.folder / f"program-{self._logs}.log"

    def _cluster_state(self, _: Request) -> Response:
        """What kube-state-metrics would say of nodes."""
        names = sorted({*self.places, *self.not_ready, *self.without_exporter})
        lines = [f'kube_node_info{{node="{name}"}} 1\n' for name in names]
        for name in names:
            labels = f'node="{name}",condition="Ready",status="true"'
            lines.append(f"kube_node_status_condition{{{labels}}} {int(name not in self.not_ready)}\n")
        return Response(200, "".join(lines).encode(), "text/plain; version=0.0.4")


def _target(port: int, **labels: str) -> dict[str, object]:
    return {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "monitoring", **labels}}


@contextmanager
def chain() -> Iterator[Chain]:
    """A chain without nodes."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="chain-")))
        yield Chain(folder, ends)
