"""What the aggregator costs in a large cluster, and how soon it tells: as installed, on a fake API server."""

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.processes import Memory, Shares
from bench.rows import Row, median_row
from rig.aggregator import RunningAggregator
from rig.kubernetes import objects
from rig.kubernetes.api import Object
from rig.kubernetes.fake.store import Key
from rig.many_exporters import addresses
from rig.mini_cluster import ExporterNode, MiniCluster, mini_cluster
from rig.processes import Process, free_port
from rig.web import get, wait_until

TESTS: Final = Path(__file__).parents[1]
NODES, PODS = 1000, 2000
IMAGES: Final = ("registry.example:5000/team/app:1.2", "registry.example/team/next:1")
"""What the nodes pull, and what waits in the queue behind it."""
WARM_UP_SECONDS, SECONDS, SCRAPES = 30.0, 30.0, 20
CHURN, AT_ONCE, WARM = 26_000, 500, 16_000
"""What is remembered of pods and images that have gone is bounded, and full by then."""
LAGS = 15
STALE_SECONDS = 3


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="ptb-", dir="/tmp") as name, mini_cluster(Path(name)) as opened:
        yield from _start(opened)
    with tempfile.TemporaryDirectory(prefix="ptb-", dir="/tmp") as name, mini_cluster(Path(name)) as opened:
        yield from _large(opened)
    with tempfile.TemporaryDirectory(prefix="ptb-", dir="/tmp") as name, mini_cluster(Path(name)) as opened:
        yield from _churn(opened)
    with tempfile.TemporaryDirectory(prefix="ptb-", dir="/tmp") as name, mini_cluster(Path(name)) as opened:
        yield from _lag(opened)


def _start(opened: MiniCluster) -> Iterator[Row]:
    with started(opened) as aggregator:
        time.sleep(3)
        memory = Memory.of(aggregator.process.pid)
        yield Row("aggregator: memory at start", memory.resident, "MiB", "< 90", f"{memory.anonymous:.1f} its own")
        share = Shares(it=aggregator.process.pid)
        time.sleep(10)
        yield Row("aggregator: CPU, nothing to do", share.taken()["it"], "% of a core")


def _large(opened: MiniCluster) -> Iterator[Row]:
    with farm(opened.folder) as port:
        _fill(opened, port)
        with started(opened, "--exporter.service=shop/exporters") as aggregator:
            # Readable ones at first: the first views of so many are long.
            wait(lambda: count(aggregator, "pulltrace_pod_pull_info{") == PODS, 120)
            time.sleep(WARM_UP_SECONDS)
            before, began, share = requests_of(aggregator), time.monotonic(), Shares(it=aggregator.process.pid)
            times = []
            for _ in range(SCRAPES):
                time.sleep(SECONDS / SCRAPES)
                times.append(scrape_seconds(aggregator))
            taken, requests = share.taken()["it"], requests_of(aggregator) - before
            per_second = requests / (time.monotonic() - began)
            memory = Memory.of(aggregator.process.pid)
            size = len(aggregator.get("/metrics").body)
            what = f"aggregator: {NODES} nodes, {PODS} waiting images"
            yield Row(f"{what}: CPU", taken, "% of a core", "", f"with a scrape every {SECONDS / SCRAPES:.1f} s")
            yield Row(f"{what}: memory", memory.resident, "MiB", "", f"{memory.highest:.1f} at most")
            yield Row(f"{what}: requests", per_second, "1/s", "<= 200", "to exporters, each busy")
            yield median_row(f"{what}: scrape", [1000 * each for each in times], "ms", "", f"{size / 1e6:.1f} MB")
            began = time.monotonic()
            body = aggregator.get("/v1/pulls").body
            took = 1000 * (time.monotonic() - began)
            yield Row(f"{what}: /v1/pulls", took, "ms", "", f"{len(body) / 1e6:.1f} MB")


def _churn(opened: MiniCluster) -> Iterator[Row]:
    node = opened.node()
    with started(opened, node.target, "--pod.linger=1s") as aggregator:
        warm = 0.0
        for first in range(0, CHURN, AT_ONCE):
            _come_and_go(opened, aggregator, first)
            if first + AT_ONCE == WARM:
                warm = Memory.of(aggregator.process.pid).resident
        memory = Memory.of(aggregator.process.pid)
        how = f"from {warm:.1f} MiB after {WARM} pods to {memory.resident:.1f} after {CHURN}"
        yield Row("aggregator: growth over pods that come and go", memory.resident - warm, "MiB", "~ 0", how)


def _lag(opened: MiniCluster) -> Iterator[Row]:
    node = opened.node()
    with started(opened, node.target, f"--stale.no-progress={STALE_SECONDS}s") as aggregator:
        pod = opened.pod("warm-up")
        pod.pulling()
        node.pull()
        wait(lambda: 'phase="downloading"} 1' in aggregator.metrics())
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
    wait(lambda: "pulltrace_pull_stale{" not in aggregator.metrics(), interval=0.02)
    wait(lambda: "pulltrace_pull_stale{" in aggregator.metrics(), interval=0.02)
    return time.monotonic() - moved - STALE_SECONDS


@contextmanager
def started(opened: MiniCluster, *flags: str) -> Iterator[RunningAggregator]:
    with RunningAggregator(opened.folder / "aggregator.log", opened.kubeconfig(), *flags, level="info") as running:
        running.wait_ready(60)
        yield running


@contextmanager
def farm(folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "rig.many_exporters", str(port)]
    exporters = Process(command, folder / "exporters.log", {"PYTHONPATH": str(TESTS)})
    with ExitStack() as ends:
        ends.callback(exporters.kill)
        wait_until(lambda: "port" in exporters.tail(), 30)
        yield port


def _fill(opened: MiniCluster, port: int) -> None:
    """Nodes with an exporter each, and pods of which half wait for the pull and half behind it."""
    nodes = list(addresses(NODES))
    fill_slices(opened, port, nodes)
    for number in range(PODS):
        put_pod(opened, f"web-{number}", nodes[number // 2], IMAGES[number % 2])


def fill_slices(opened: MiniCluster, port: int, nodes: Sequence[str]) -> None:
    """The nodes' exporters, which all have this port."""
    for first in range(0, len(nodes), 100):
        ends = [objects.endpoint(node, node) for node in nodes[first : first + 100]]
        slice_ = objects.endpoint_slice("shop", f"exporters-{port}-{first}", "exporters", *ends)
        opened.api.create({**slice_, "ports": [{"name": "metrics", "port": port}]})


def put_pod(opened: MiniCluster, name: str, node: str, image: str) -> Object:
    """A pod that waits, with the kubelet's word for it."""
    store = opened.api_server.store
    pod = objects.pod("shop", name, objects.container("main", image), node=node)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pod["metadata"] |= {"uid": f"uid-{name}", "creationTimestamp": now}
    pod["status"] = {"phase": "Pending", "containerStatuses": [objects.waiting()]}
    pod = store.put(Key("pods", "shop", name), pod)
    event = objects.event(pod, "Pulling", f'Pulling image "{image}"', at=now)
    event["metadata"] |= {"uid": f"event-{name}", "creationTimestamp": now}
    store.put(Key("events", "shop", event["metadata"]["name"]), event)
    return pod


def _come_and_go(opened: MiniCluster, aggregator: RunningAggregator, first: int) -> None:
    store, numbers = opened.api_server.store, range(first, first + AT_ONCE)
    for number in numbers:
        put_pod(opened, f"job-{number}", "node-1", f"registry.example/team/app-{number}:1")
    wait(lambda: count(aggregator, "pulltrace_pod_pull_info{") == AT_ONCE, 60)
    for number in numbers:
        store.remove(Key("pods", "shop", f"job-{number}"))
        store.remove(Key("events", "shop", f"job-{number}.pulling"))
    wait(lambda: count(aggregator, "pulltrace_pod_pull_info{") == 0, 90)


def count(aggregator: RunningAggregator, beginning: str) -> int:
    return aggregator.metrics().count(f"\n{beginning}")


def requests_of(aggregator: RunningAggregator) -> float:
    found = re.findall(r"^pulltrace_aggregator_exporter_requests_total\S+ (\S+)$", aggregator.metrics(), re.MULTILINE)
    return sum(float(each) for each in found)


def scrape_seconds(aggregator: RunningAggregator) -> float:
    began = time.monotonic()
    assert get(aggregator.port, "/metrics", accept_encoding="gzip").status == 200
    return time.monotonic() - began


def _until(begin: Callable[[], object], met: Callable[[], bool]) -> float:
    """Seconds from a deed to what it shows."""
    began = time.monotonic()
    begin()
    wait(met, interval=0.02)
    return time.monotonic() - began


def wait(met: Callable[[], bool], seconds: float = 30.0, interval: float = 0.25) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(interval)
