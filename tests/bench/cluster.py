"""What the aggregator costs in a large cluster, and how soon it tells: as installed, on a fake API server."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bench import nodes
from bench.processes import Memory, Shares
from bench.rows import Row, median_row
from rig.aggregator import RunningAggregator
from rig.kubernetes import objects
from rig.kubernetes.api import Object
from rig.kubernetes.fake.resources import now
from rig.kubernetes.fake.store import Key, Store
from rig.many_exporters import many_exporters
from rig.mini_cluster import ExporterNode, MiniCluster, mini_cluster
from rig.web import wait_until

IMAGES: Final = ("registry.example:5000/team/app:1.2", "registry.example/team/next:1")
"""What the nodes pull, and what waits in the queue behind it."""
SERVICE: Final = "--exporter.service=shop/exporters"
LAGS = 15
STALE_SECONDS = 3


def measure() -> Iterator[Row]:
    for section in (_start, _lag):
        with world() as opened:
            yield from section(opened)


def _start(opened: MiniCluster) -> Iterator[Row]:
    with started(opened) as aggregator:
        time.sleep(3)
        memory = Memory.of(aggregator.process.pid)
        yield Row("aggregator: memory at start", memory.resident, "MiB", "< 90", f"{memory.anonymous:.1f} its own")
        share = Shares(it=aggregator.process.pid)
        time.sleep(10)
        yield Row("aggregator: CPU, nothing to do", share.taken()["it"], "% of a core")


def _lag(opened: MiniCluster) -> Iterator[Row]:
    node = opened.node()
    with started(opened, node.target, f"--stale.no-progress={STALE_SECONDS}s") as aggregator:
        pod = opened.pod("warm-up")
        pod.pulling()
        node.pull()
        wait_until(lambda: 'phase="downloading"} 1' in aggregator.metrics(), 30)
        events, changes = [], []
        for number in range(LAGS):
            events.append(_event_lag(opened, aggregator, f"web-{number}"))
            changes.append(_change_lag(node, aggregator, 2 * 10**7 + number))
            time.sleep(0.13 * number % 2)  # the node is asked at other moments then
        stale = [_stale_lag(node, aggregator, 3 * 10**7 + number) for number in range(5)]
        yield median_row("aggregator: event to sample", events, "s", "<= 2", "a kubelet's Pulling")
        yield median_row("aggregator: exporter to sample", changes, "s", "<= 2", "bytes of a pull, asked every 2 s")
        yield median_row("aggregator: stale beyond its threshold", stale, "s", "<= 5", "no_progress")


def _event_lag(opened: MiniCluster, aggregator: RunningAggregator, name: str) -> float:
    pod = opened.pod(name)
    return _until(pod.pulling, lambda: f'pod="{name}"' in aggregator.metrics())


def _change_lag(node: ExporterNode, aggregator: RunningAggregator, downloaded: int) -> float:
    def move() -> None:
        node.change(downloaded=downloaded, last_progress_at=node.now)

    return _until(move, lambda: f"}} {downloaded}\n" in aggregator.metrics())


def _stale_lag(node: ExporterNode, aggregator: RunningAggregator, downloaded: int) -> float:
    """Seconds beyond the threshold until a pull that stands still is shown as stale."""
    moved = time.monotonic()
    node.change(downloaded=downloaded, last_progress_at=node.now)
    wait_until(lambda: "pulltrace_pull_stale{" not in aggregator.metrics(), 30, interval=0.02)
    wait_until(lambda: "pulltrace_pull_stale{" in aggregator.metrics(), 30, interval=0.02)
    return time.monotonic() - moved - STALE_SECONDS


@contextmanager
def started(opened: MiniCluster, *flags: str) -> Iterator[RunningAggregator]:
    with RunningAggregator(opened.folder / "aggregator.log", opened.kubeconfig(), *flags, level="info") as running:
        running.wait_ready(60)
        yield running


@contextmanager
def world() -> Iterator[MiniCluster]:
    with nodes.folder() as folder, mini_cluster(folder) as opened:
        yield opened


@contextmanager
def many_nodes(names: Sequence[str]) -> Iterator[MiniCluster]:
    """A cluster whose nodes have an exporter each, all of them on one port."""
    with world() as opened, many_exporters(opened.folder) as (_, port):
        fill_slices(opened, port, names)
        yield opened


def fill_slices(opened: MiniCluster, port: int, nodes: Sequence[str]) -> None:
    """The nodes' exporters, which all have this port."""
    for first in range(0, len(nodes), 100):
        ends = [objects.endpoint(node, node) for node in nodes[first : first + 100]]
        slice_ = objects.endpoint_slice("shop", f"exporters-{port}-{first}", "exporters", *ends)
        opened.api.create({**slice_, "ports": [{"name": "metrics", "port": port}]})


def put_pod(opened: MiniCluster, name: str, node: str, image: str) -> None:
    """A pod that waits, with the kubelet's word for it."""
    store = opened.api_server.store
    pod = objects.pod("shop", name, objects.container("main", image), node=node)
    put(store, "pods", {**pod, "status": {"phase": "Pending", "containerStatuses": [objects.waiting()]}})
    put(store, "events", objects.event(pod, "Pulling", f'Pulling image "{image}"', at=now()))


def put(store: Store, resource: str, item: Object) -> Key:
    """Keep a new object, or the next state of one, without a request: so many would take long."""
    name = item["metadata"]["name"]
    item["metadata"] |= {"uid": f"{resource}-{name}", "creationTimestamp": now()}
    key = Key(resource, "shop", name)
    store.put(key, item)
    return key


def remove_pod(opened: MiniCluster, name: str) -> None:
    store = opened.api_server.store
    store.remove(Key("pods", "shop", name))
    store.remove(Key("events", "shop", f"{name}.pulling"))


def count(aggregator: RunningAggregator, beginning: str) -> int:
    return aggregator.metrics().count(f"\n{beginning}")


def requests_of(aggregator: RunningAggregator) -> float:
    found = re.findall(r"^pulltrace_aggregator_exporter_requests_total\S+ (\S+)$", aggregator.metrics(), re.MULTILINE)
    return sum(float(each) for each in found)


def _until(begin: Callable[[], object], met: Callable[[], bool]) -> float:
    """Seconds from a deed to what it shows."""
    began = time.monotonic()
    begin()
    wait_until(met, 30, interval=0.02)
    return time.monotonic() - began


def wait(met: Callable[[], bool], patience: float) -> None:
    """Without many looks: each costs the aggregator a scrape."""
    wait_until(met, patience, interval=0.25)
