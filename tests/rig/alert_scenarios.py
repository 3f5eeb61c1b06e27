"""Scenarios for the alerts, in two minutes: each alert fires and resolves.

Only what needs more than minutes of history has no scenario: a budget that burns slowly, a registry's own past.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rig.chain import Chain
from rig.images import MIB, sha256
from rig.kubernetes.kubelet_pod import KubeletPod
from rig.monitoring import Monitoring
from rig.node import PullFailed, PullRequest

Check = Callable[[Chain, str], None]
"""Called with the chain and the name of what goes on: `ready`, `down`, `trouble`, `cut`,
`generations`, `calm`."""

QUEUED = "queue.example/team/queued:v1"
BROKEN = {
    "refused": ("401 Unauthorized", "PulltraceImagePullFailing"),
    "missing": ("rpc error: code = NotFound desc = {}: not found", "PulltraceImagePullFailing"),
    "limited": ("429 Too Many Requests", "PulltraceNodeCannotPull"),
    "full": ("write /var/lib/containerd/x: no space left on device", "PulltraceNodeCannotPull"),
    "tls": ("tls: failed to verify certificate: x509: certificate has expired", "PulltraceNodeCannotPull"),
    "dns": ("dial tcp: lookup dns.example: no such host", "PulltraceNodeCannotPull"),
    "odd": ("something that nobody has seen yet", "PulltraceImagePullFailing"),
}
"""Pods that fail, each with what its kubelet says and the alert that comes of it."""

IN_TROUBLE = frozenset(
    {
        "PulltracePullStalled",
        "PulltracePullSlow",
        "PulltraceImageQueued",
        "PulltraceRegistryNotAnswering",
        "PulltraceRegistryErrorBudgetBurn",
        "PulltraceContainerdUnreachable",
        "PulltraceExporterMissing",
        "PulltraceNodeNotReady",
        "PulltraceSeriesMissing",
        *(alert for _, alert in BROKEN.values()),
    }
)
BLIND = frozenset({"PulltraceAggregatorBlind", "PulltraceAggregatorAbsent"})


@dataclass(slots=True)
class AlertScenarios:
    """The scenario on a chain, step by step."""

    chain: Chain
    pods: dict[str, KubeletPod] = field(default_factory=dict)
    pulls: list[PullRequest] = field(default_factory=list)
    solve: list[Callable[[], object]] = field(default_factory=list)

    @property
    def monitoring(self) -> Monitoring:
        return self.chain.monitoring

    def set_up(self) -> None:
        """Six nodes, an aggregator, and the monitoring of both."""
        for name in ("stall", "crash", "silent"):
            self.chain.add(name)
        self.chain.add("queue", f"--kubelet.intents-directory={self._intents()}")
        self.chain.add("unpack", "--limit.layers=1", limps=True)
        self.chain.add("cut")
        self.chain.aggregate()
        self.chain.target()
        self.monitoring.until(lambda: self.monitoring.prometheus.query("pulltrace_aggregator_kubernetes_up == 1"))
        # Until here nothing was scraped, which is an alert when it takes long.
        absent = ("PulltraceExporterAbsent", "PulltraceAggregatorAbsent")
        self.monitoring.until(lambda: not self.monitoring.prometheus.query('ALERTS{alertname=~"Pulltrace.+Absent"}'))
        self.monitoring.wait_resolved(*absent)
        self.monitoring.hook.forget()

    def _intents(self) -> Path:
        """The folder in which a kubelet keeps what it is about to pull: the image of the pod that is queued."""
        folder = self.chain.folder / "intents"
        folder.mkdir()
        intent = {"kind": "ImagePullIntent", "apiVersion": "kubelet.config.k8s.io/v1alpha1", "image": QUEUED}
        (folder / sha256(QUEUED.encode()).replace(":", "-")).write_text(json.dumps(intent))
        return folder

    def go_well(self) -> None:
        """Ordinary pulls one after the other, so that each is in another scrape, and one that fails at a layer."""
        ended = 'sum(pulltrace_pulls_total{registry=~"(limited|silent|crash).example",result="succeeded"})'
        # What is to fail has to be known as a registry.
        for number, host in enumerate(("limited", "silent", "crash", "crash", "crash"), 1):
            image = self.chain.push(f"team/ordinary-{number}", [4 * MIB])
            self.chain.registry.throttle(4 * MIB, image.layers[0].digest)
            pod = self.pod(f"ordinary-{number}", "silent", f"{host}.example/{image.repository}:v1")
            self.pulls[-1].wait()
            self.monitoring.until(partial(self._is, ended, number))
            pod.pulled()
            pod.runs()
        broken = self.chain.push("team/broken", [MIB])
        self.chain.registry.deny(broken.layers[0].digest, 403)
        stall = self.chain.registry.stall(broken.config.digest)
        pull = self.chain.pull("silent", f"crash.example/{broken.repository}:v1")
        shown = f'pulltrace_pull_phase{{repository="{broken.repository}",phase="downloading"}}'
        self.monitoring.until(lambda: self.monitoring.prometheus.query(shown))
        stall.release()
        with contextlib.suppress(PullFailed):
            pull.wait()

    def _is(self, expr: str, value: float) -> bool:
        return [one.value for one in self.monitoring.prometheus.query(expr)] == [value]

    def cause_trouble(self) -> None:
        """All at once, on different nodes and registries, so that no alert inhibits one that is expected."""
        self._stall()
        self._queue()
        self._crash()
        self._unpack()
        self._fall_behind_peers()
        self._silence()
        self._break()
        self._cut()

    def end_trouble(self) -> None:
        """Solve everything."""
        for action in self.solve:
            action()
        self.monitoring.meanwhile.clear()
        self.solve.clear()

    def restart_containerd(self) -> None:
        """Start the containerd that has crashed again; it keeps its state."""
        self.chain.places["crash"].node.start()

    def unreached_by_one_node(self) -> None:
        """A registry that answers all nodes but one."""
        alone = self.chain.push("team/alone", [MIB])
        hang = self.chain.registry.hang(alone.repository)
        self.chain.finally_(hang.release)
        self.pod("alone", "crash", f"silent.example/{alone.repository}:v1")
        self.solve += [hang.release, lambda: self.gone("alone")]
        self.monitoring.until(lambda: ("alone", "no_answer") in self.reasons("PulltraceNodeCannotPull"))

    def reasons(self, alert: str) -> set[tuple[str, str]]:
        """Pods and reasons of which the receivers have been told by this alert."""
        told = (one for one in self.monitoring.hook.notifications if one.name == alert)
        return {(one.labels.get("pod", ""), one.labels["reason"]) for one in told}

    def second_generation(self) -> None:
        """A second exporter on each node, and a second aggregator, all scraped."""
        for name in self.chain.places:
            self.chain.export(name)
        self.chain.aggregate()
        self.chain.target()
        wanted = len(self.chain.places)
        doubled = "count(count by (node) (pulltrace_exporter_time_seconds) == 2)"
        self.monitoring.until(lambda: any(one.value == wanted for one in self.monitoring.prometheus.query(doubled)))
        self.monitoring.until(lambda: len(self.monitoring.prometheus.query("pulltrace_aggregator_build_info")) == 2)

    def blind_and_absent(self) -> None:
        """The aggregators lose their rights, and in the end are gone."""
        for aggregator in self.chain.aggregators:
            aggregator.kill()
        self.chain.aggregators.clear()
        token = self.chain.cluster.api_server.user([])
        blind = self.chain.cluster.kubeconfig(token=token)
        self.chain.aggregate(blind, ready=False)
        self.chain.target()
        self.monitoring.wait_fired("PulltraceAggregatorBlind")
        self.chain.aggregators.pop().kill()
        self.chain.target()
        self.monitoring.wait_fired("PulltraceAggregatorAbsent")
        self.chain.aggregate()
        self.chain.target()
        self.monitoring.wait_resolved(*BLIND)

    def pod(self, name: str, place: str, reference: str, *, pull: bool = True) -> KubeletPod:
        """A pod that waits for an image, which its node pulls or has not come to yet."""
        pod = self.chain.cluster.pod(name, reference, node=place)
        pod.pulling()
        self.pods[name] = pod
        if pull:
            self.pulls.append(self.chain.pull(place, reference))
        return pod

    def _stall(self) -> None:
        image = self.chain.push("team/stalled", [8 * MIB])
        stall = self.chain.registry.stall(image.layers[0].digest, after=2 * MIB)
        self.pod("stalled", "stall", f"stall.example/{image.repository}:v1")
        self.pod("behind-the-stalled", "stall", "stall.example/team/behind:v1", pull=False)
        self.solve += [stall.release, lambda: self.gone("stalled", "behind-the-stalled")]

    def _queue(self) -> None:
        image = self.chain.push("team/large", [70 * MIB])
        self.chain.registry.throttle(1.2 * MIB, image.layers[0].digest)
        self.pod("first", "queue", f"queue.example/{image.repository}:v1")
        self.pod("queued", "queue", QUEUED, pull=False)
        self.solve += [
            lambda: self.chain.registry.throttle(None, image.layers[0].digest),
            lambda: self.gone("first", "queued"),
        ]

    def _crash(self) -> None:
        image = self.chain.push("team/crashing", [30 * MIB])
        self.chain.registry.throttle(1.5 * MIB, image.layers[0].digest)
        node = self.chain.places["crash"].node
        self.pod("crashing", "crash", f"crash.example/{image.repository}:v1")
        self.chain.registry.wait_sent(image.layers[0].digest, 2 * MIB)
        node.crash()
        self.solve.append(lambda: self.gone("crashing"))

    def _unpack(self) -> None:
        node = self.chain.places["unpack"].node
        image = self.chain.push("team/unpacking", [MIB] * 4)
        node.unpacking.hold()
        self.chain.finally_(node.unpacking.release)
        self.pod("unpacking", "unpack", f"unpack.example/{image.repository}:v1")

        def solve() -> None:
            node.unpacking.release()
            self.gone("unpacking")
            self.renew("unpack")

        self.solve.append(solve)

    def _fall_behind_peers(self) -> None:
        image = self.chain.push("team/everywhere", [70 * MIB])
        self.chain.limping.push(image)
        digest = image.layers[0].digest
        self.chain.registry.throttle(4 * MIB, digest)
        self.chain.limping.throttle(0.4 * MIB)
        places = ("silent", "cut", "unpack")
        for place in places:
            self.pod(f"everywhere-{place}", place, f"peers.example/{image.repository}:v1")

        def solve() -> None:
            self.chain.limping.throttle(None)
            self.chain.registry.throttle(None, digest)
            self.gone(*(f"everywhere-{place}" for place in places))

        self.solve.append(solve)

    def _silence(self) -> None:
        images = [self.chain.push(f"team/silent-{number}", [MIB]) for number in (1, 2)]
        for image, place in zip(images, ("silent", "unpack"), strict=True):
            hang = self.chain.registry.hang(image.repository)
            self.chain.finally_(hang.release)
            self.pod(image.repository.partition("/")[2], place, f"silent.example/{image.repository}:v1")
            self.solve.append(hang.release)
        self.solve.append(lambda: self.gone("silent-1", "silent-2"))

    def _break(self) -> None:
        for name, (why, _) in BROKEN.items():
            self._fails(self.pod(name, "stall", f"{name}.example/team/{name}:v1", pull=False), why)
        why, _ = BROKEN["limited"]
        self._fails(self.pod("limited-too", "silent", "limited.example/team/limited:v1", pull=False), why)
        self.solve.append(lambda: self.gone(*BROKEN, "limited-too"))

    def _fails(self, pod: KubeletPod, why: str) -> None:
        pod.waits("ImagePullBackOff", f'Back-off pulling image "{pod.image}"')
        self.monitoring.meanwhile.append(partial(pod.failed, why.format(pod.image)))

    def _cut(self) -> None:
        """A pod waits on a node that is dead and never had an exporter."""
        self.chain.not_ready.add("dead")
        self.pod("dead", "dead", "queue.example/team/dead:v1", pull=False)

        def solve() -> None:
            self.chain.not_ready.clear()
            self.gone("dead")

        self.solve.append(solve)

    def cut(self) -> None:
        """Kill an exporter while its node pulls."""
        self.chain.places["cut"].exporters[-1].process.kill()
        self.pod("cut", "cut", "queue.example/team/cut:v1", pull=False)

        def solve() -> None:
            self.gone("cut")
            self.renew("cut")

        self.solve.append(solve)

    def renew(self, place: str) -> None:
        """Replace a node's exporter, and let the aggregator know."""
        exporters = self.chain.places[place].exporters
        exporters.pop().process.kill()
        self.chain.export(place, port=self.chain.places[place].port)

    def gone(self, *names: str) -> None:
        """Delete pods."""
        for name in names:
            self.pods.pop(name).delete()


def run_alert_scenarios(chain: Chain, *checks: Check) -> AlertScenarios:
    """The whole of it. Each alert that a scenario can cause fires and resolves; `checks` are called in between."""

    def check(name: str) -> None:
        for each in checks:
            each(chain, name)

    scenario = AlertScenarios(chain)
    scenario.set_up()
    check("ready")
    scenario.go_well()
    scenario.cause_trouble()
    scenario.monitoring.wait_fired("PulltraceContainerdUnreachable")
    check("down")
    scenario.restart_containerd()
    scenario.monitoring.wait_fired(*IN_TROUBLE - {"PulltraceExporterMissing"})
    scenario.monitoring.until(lambda: "PulltraceImageQueued" in scenario.monitoring.manager.inhibited())
    scenario.monitoring.until(lambda: ("unpacking", "unpack_no_progress") in scenario.reasons("PulltracePullStalled"))
    check("trouble")
    scenario.cut()
    scenario.monitoring.wait_fired(*IN_TROUBLE)
    check("cut")
    scenario.end_trouble()
    scenario.monitoring.wait_resolved(*IN_TROUBLE)
    scenario.second_generation()
    scenario.unreached_by_one_node()
    check("generations")
    scenario.end_trouble()
    scenario.monitoring.wait_resolved("PulltraceNodeCannotPull")
    scenario.blind_and_absent()
    check("calm")
    return scenario
