"""What is left in the aggregator of pods that pass through it: made, scheduled, waiting, started, deleted."""

import re
import time
from collections.abc import Iterator
from typing import Final

from bench import cluster
from bench.processes import Memory, Shares
from bench.rows import Row
from rig.aggregator import RunningAggregator
from rig.kubernetes import objects
from rig.kubernetes.api import Object
from rig.kubernetes.fake.resources import now
from rig.kubernetes.fake.store import Store
from rig.many_exporters import addresses
from rig.web import wait_until

PODS, PART, WARM = 100_000, 10_000, 20_000
"""How many, how many between two looks at the memory, and after how many all that is bounded is full."""
AT_ONCE, STEP_SECONDS = 100, 0.4
"""Pods that begin together, and how long a step of their lives takes at least."""
NODES: Final = tuple(addresses(50))
FAILING: Final = 10
"""Each tenth pod has a failed attempt first."""
PATIENCE: Final = 120.0


def measure() -> Iterator[Row]:
    with cluster.many_nodes(NODES) as opened, cluster.started(opened, cluster.SERVICE, "--pod.linger=1s") as aggregator:
        yield from _measured(opened.api_server.store, aggregator)


def _measured(store: Store, aggregator: RunningAggregator) -> Iterator[Row]:
    passing, resident = _Passing(store, aggregator), list[float]()
    share, began = Shares(it=aggregator.process.pid), time.monotonic()
    for first in range(0, PODS, PART):
        for begin in range(first, first + PART, AT_ONCE):
            passing.enter(range(begin, begin + AT_ONCE))
        passing.drain()
        resident.append(Memory.of(aggregator.process.pid).resident)
    per_second = PODS / (time.monotonic() - began)
    told = re.search(r"^pulltrace_pod_pull_wait_seconds_count\S* (\d+)$", aggregator.metrics(), re.MULTILINE)
    name = f"passing: {PODS} pods"
    yield Row(f"{name}: CPU", share.taken()["it"], "% of a core", "", f"{per_second:.0f} pods a second")
    yield Row(f"{name}: waits that ended well", float(told[1]) if told else 0, "", str(PODS))
    each = ", ".join(f"{value:.1f}" for value in resident)
    yield Row(f"{name}: memory", resident[-1], "MiB", "", f"after each {PART}: {each}")
    full = resident[WARM // PART - 1 :]
    yield Row(f"{name}: growth after {WARM}", max(full) - full[0], "MiB", "<= 2", "at most, at any of these looks")


class _Passing:
    def __init__(self, store: Store, aggregator: RunningAggregator) -> None:
        self._store = store
        self._aggregator = aggregator
        self._pods: list[Iterator[str]] = []
        self._revision = store.revision

    def enter(self, numbers: range) -> None:
        """Let these begin, and all others go on."""
        self._pods += [_life(self._store, number) for number in numbers]
        self._go_on()

    def drain(self) -> None:
        """Let all end, and be forgotten by what is shown."""
        while self._pods:
            self._go_on()
        cluster.wait(lambda: cluster.count(self._aggregator, "pulltrace_pod_pull_info{") == 0, PATIENCE)

    def _go_on(self) -> None:
        """One step, and what is to be seen of it."""
        ends = time.monotonic() + STEP_SECONDS
        # The real server forgets its history after minutes. Whoever watches is never a whole step late here.
        self._store.compact(self._revision)
        self._revision = self._store.revision
        with self._store.changed:
            seen = [(pod, next(pod, None)) for pod in self._pods]
        self._pods = [pod for pod, shown in seen if shown is not None]
        last = next((f'pod="{shown}"' for _, shown in reversed(seen) if shown), "")
        wait_until(lambda: last in self._aggregator.metrics(), PATIENCE, interval=0.1)
        time.sleep(max(0.0, ends - time.monotonic()))


def _life(store: Store, number: int) -> Iterator[str]:
    """A pod, a step at a time: its name where it must be shown now. Each has an image of its own, as after a build."""
    name, node = f"job-{number}", NODES[number % len(NODES)]
    image = f"registry.example/team/app-{number}:1"
    pod = objects.pod("shop", name, objects.container("main", image), node="")
    keys = {cluster.put(store, "pods", {**pod, "status": {"phase": "Pending"}})}

    def put(*containers: Object, phase: str = "Pending") -> None:
        spec = {**pod["spec"], "nodeName": node}
        status = {"phase": phase, "containerStatuses": list(containers)}
        cluster.put(store, "pods", {**pod, "spec": spec, "status": status})

    def tell(reason: str, message: str, count: int = 1) -> None:
        event = objects.event(pod, reason, message, at=now(), count=count, source={"host": node})
        keys.add(cluster.put(store, "events", event))

    yield ""
    put(objects.waiting())
    yield ""
    tell("Pulling", f'Pulling image "{image}"')
    yield name
    if number % FAILING == 0:
        tell("Failed", f'Failed to pull image "{image}": unauthorized')
        put(objects.waiting(reason="ErrImagePull", message="unauthorized"))
        yield ""
        tell("Pulling", f'Pulling image "{image}"', 2)
        yield ""
    tell("Pulled", f'Successfully pulled image "{image}" in 1.5s (2s including waiting)')
    yield ""
    put(objects.running(), phase="Running")
    yield ""
    for key in sorted(keys, reverse=True):  # the pod first
        store.remove(key)
