"""What goes wrong on a real node, one thing after the other, as an operator is told of it. Nothing is imitated."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rig.aggregator import RunningAggregator
from rig.images import MIB
from rig.kubernetes.real.node_setup import RealNodeSetup, real_node_setup
from rig.kubernetes.real.single_node import RealNode
from rig.monitoring import STALE, Monitoring


class RealNodeScenarios:
    """A node, its exporter, the aggregator, and the monitoring that scrapes them. Each step cleans up after itself."""

    def __init__(self, out: RealNodeSetup, folder: Path, ends: ExitStack) -> None:
        self.out = out
        self._numbers = itertools.count(1)
        self.aggregator: RunningAggregator = out.aggregator(*STALE)
        self.monitoring = Monitoring(folder, ends)
        node = out.node.name
        self.monitoring.aim(
            [(out.exporter.port, {"job": "pulltrace-exporter", "node": node, "pod": "exporter"})],
            [(self.aggregator.port, {"job": "pulltrace-aggregator", "pod": "aggregator"})],
        )
        self.monitoring.until(lambda: self.monitoring.prometheus.query("pulltrace_aggregator_kubernetes_up == 1"))
        self.monitoring.until(lambda: self.monitoring.prometheus.query("pulltrace_containerd_up == 1"))

    def missing_image(self) -> None:
        """A pod's image does not exist; the kubelet tries again and again, until the pod is gone."""
        reference = f"{self.out.registry.host}/{self.out.namespace}/nowhere:v1"
        pod = self.out.pod("missing", self.out.container(reference))
        self.monitoring.wait_fired("PulltraceImagePullFailing")
        self.out.delete(pod)
        self.monitoring.wait_resolved("PulltraceImagePullFailing")

    def stalled_pull(self, look: Callable[[], object] = lambda: None) -> None:
        """A pull stands still, and another pod is behind it in the kubelet's queue; both run in the end.

        `look` is called while they wait.
        """
        number = next(self._numbers)  # what was pulled once would be there
        large, small = self.out.push(f"large-{number}", 8 * MIB), self.out.push(f"small-{number}")
        stall = self.out.hold(large, after=2 * MIB)
        first = self.out.pod("stalled", large)
        stall.wait_held()
        second = self.out.pod("behind", small)
        self.monitoring.wait_fired("PulltracePullStalled")
        self.monitoring.until(lambda: "PulltraceImageQueued" in self.monitoring.manager.inhibited())
        look()
        stall.release()
        self.monitoring.wait_resolved("PulltracePullStalled")
        for pod in (first, second):
            self.out.wait_running(pod)
            self.out.delete(pod)


@contextmanager
def real_node_scenarios(node: RealNode, folder: Path) -> Iterator[RealNodeScenarios]:
    with ExitStack() as ends:
        out = ends.enter_context(real_node_setup(node, "scenarios", folder))
        yield RealNodeScenarios(out, folder, ends)
