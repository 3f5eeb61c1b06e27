"""A cluster of many nodes: calm, a roll-out, a storm of pulls, pods that come and go, and what fails in the middle.

Each is a section of its own. The aggregator is the program as installed; API server and exporters are stand-ins.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import linear_regression, median
from typing import Final

from bench import cluster
from bench.processes import Memory, Shares
from bench.rows import Row, median_row, seconds
from rig.aggregator import RunningAggregator
from rig.many_exporters import addresses, many_exporters
from rig.mini_cluster import MiniCluster
from rig.prometheus import prometheus
from rig.web import Client

SIZES: Final = (500, 1000, 2000, 5000, 10_000)
"""Nodes of a storm; each pulls an image, and another one waits behind it."""
IN_PROMETHEUS: Final = (1000, 5000)
ASKED: Final = 5000
WARM_UP_SECONDS, SECONDS, SCRAPES = 20.0, 30.0, 5
MORE_SCRAPES, PAUSE_SECONDS = 15, 1.0
"""For the worst of them; processor time is taken before."""
GAP_SECONDS: Final = 0.005
"""Between two questions while a scrape is under way."""
PATIENCE: Final = 300.0
DEPLOY_NODES, DEPLOY_PODS = 800, 1000
CALM_NODES, CALM_PODS = 1000, 20
FAILING_NODES: Final = 1000
DEAD: Final = 500
SHARDS, SHARDED_NODES = 4, 5000
CHURN_PER_SECOND, CHURN_SECONDS, CHURN_LIFE = 50, 600, 500
SCRAPE_CONFIG: Final = """\
global: {{scrape_interval: 5s}}
scrape_configs:
- job_name: pulltrace-aggregator
  honor_labels: true
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def calm() -> Iterator[Row]:
    nodes = list(addresses(CALM_NODES))
    with cluster.many_nodes(nodes) as opened:
        _put_pods(opened, CALM_PODS, nodes)
        with _running(opened, CALM_PODS) as aggregator:
            yield from _measured(f"calm: {CALM_NODES} nodes, {CALM_PODS} waiting images", aggregator).rows()
            yield from _in_prometheus("calm", aggregator)


def deploy() -> Iterator[Row]:
    nodes = list(addresses(DEPLOY_NODES))
    with cluster.many_nodes(nodes) as opened, cluster.started(opened, cluster.SERVICE) as aggregator:
        began = time.monotonic()
        _put_pods(opened, DEPLOY_PODS, nodes)
        _wait_pods(aggregator, DEPLOY_PODS)
        name = f"deploy: {DEPLOY_PODS} pods on {DEPLOY_NODES} nodes"
        yield Row(f"{name}: all shown after", time.monotonic() - began, "s", "", "creating them included")
        yield from _measured(name, aggregator).rows()


def storm() -> Iterator[Row]:
    found = []
    for size in SIZES:
        with _storm(size) as (_, aggregator):
            found.append(_measured(f"storm: {size} nodes, {2 * size} waiting images", aggregator, size))
            yield from found[-1].rows()
            if size in IN_PROMETHEUS:
                yield from _in_prometheus(f"storm: {size} nodes", aggregator)
    values: dict[str, Callable[[_Measured], float]] = {
        "CPU": lambda each: each.cpu,
        "memory": lambda each: each.memory,
        "scrape, median": lambda each: median(each.scrapes.times),
        "scrape, worst": lambda each: max(each.scrapes.times),
        "late during a scrape, worst": lambda each: max(each.scrapes.late),
    }
    for what, value in values.items():
        exponent = _exponent([(each.nodes, value(each)) for each in found])
        yield Row(f"storm: exponent over nodes of {what}", exponent, "", "", f"{SIZES[0]} to {SIZES[-1]} nodes")


def scrape() -> Iterator[Row]:
    """A storm of the size for which a time is asked."""
    with _storm(ASKED) as (_, aggregator):
        yield from _measured(f"scrape: {ASKED} nodes, {2 * ASKED} waiting images", aggregator).rows()


def churn() -> Iterator[Row]:
    """Pods that come at a steady rate, wait for ten seconds each, and go."""
    nodes = list(addresses(CALM_NODES))
    linger = "--pod.linger=1s"
    with cluster.many_nodes(nodes) as opened, cluster.started(opened, cluster.SERVICE, linger) as aggregator:
        share, before = Shares(it=aggregator.process.pid), Memory.of(aggregator.process.pid).resident
        began = time.monotonic()
        for number in range(CHURN_PER_SECOND * CHURN_SECONDS):
            cluster.put_pod(opened, f"job-{number}", nodes[number % CALM_NODES], cluster.IMAGES[number % 2])
            if number >= CHURN_LIFE:
                cluster.remove_pod(opened, f"job-{number - CHURN_LIFE}")
            time.sleep(max(0.0, began + number / CHURN_PER_SECOND - time.monotonic()))
        taken, elapsed = share.taken()["it"], time.monotonic() - began
        for number in range(CHURN_PER_SECOND * CHURN_SECONDS - CHURN_LIFE, CHURN_PER_SECOND * CHURN_SECONDS):
            cluster.remove_pod(opened, f"job-{number}")
        _wait_pods(aggregator, 0)
        memory = Memory.of(aggregator.process.pid)
        rate = CHURN_PER_SECOND * CHURN_SECONDS / elapsed
        name = f"churn: {rate:.0f} pods a second for {elapsed:.0f} s"
        yield Row(f"{name}: CPU", taken, "% of a core")
        how = f"{before:.1f} before, {memory.highest:.1f} at most"
        yield Row(f"{name}: memory", memory.resident, "MiB", "", how)


def restart() -> Iterator[Row]:
    with _storm(FAILING_NODES) as (opened, aggregator):
        opened.api_server.stop()
        cluster.wait(lambda: "pulltrace_aggregator_kubernetes_up 0" in aggregator.metrics(), PATIENCE)
        fewest = cluster.count(aggregator, "pulltrace_pod_pull_info{")
        share = Shares(it=aggregator.process.pid)
        opened.api_server.start()
        began = time.monotonic()
        while "pulltrace_aggregator_kubernetes_up 1" not in aggregator.metrics():
            fewest = min(fewest, cluster.count(aggregator, "pulltrace_pod_pull_info{"))
        name = f"restart of the API server in a storm of {FAILING_NODES} nodes"
        how = f"{share.taken()['it']:.0f} % of a core; {fewest} of {2 * FAILING_NODES} images shown at least"
        yield Row(f"{name}: listed and watched after", time.monotonic() - began, "s", "", how)


def dead() -> Iterator[Row]:
    """A part of the exporters ends at the same moment."""
    nodes = list(addresses(FAILING_NODES))
    with cluster.many_nodes(nodes[DEAD:]) as opened, ExitStack() as dying:
        cluster.fill_slices(opened, dying.enter_context(many_exporters(opened.folder))[1], nodes[:DEAD])
        _put_pods(opened, FAILING_NODES, nodes)
        with _running(opened, FAILING_NODES) as aggregator:
            time.sleep(WARM_UP_SECONDS)
            share, began = Shares(it=aggregator.process.pid), time.monotonic()
            dying.close()
            told = f'pulltrace_aggregator_exporters{{state="unreachable"}} {DEAD}'
            cluster.wait(lambda: told in aggregator.metrics(), PATIENCE)
            how = f"{share.taken()['it']:.0f} % of a core meanwhile"
            name = f"{DEAD} of {FAILING_NODES} exporters dead"
            yield Row(f"{name}: all told after", time.monotonic() - began, "s", "", how)
            yield from _measured(name, aggregator).rows()


def shards() -> Iterator[Row]:
    with _stormy(SHARDED_NODES) as opened, _running(opened, 2 * SHARDED_NODES) as whole:
        flags = [f"--shard={index}/{SHARDS}" for index in range(SHARDS)]
        replicas = [opened.aggregator(cluster.SERVICE, flag, interval="2s") for flag in flags]
        same = _agree(whole, replicas)
        images = [cluster.count(each, "pulltrace_pod_pull_info{") for each in replicas]
        mean = 2 * SHARDED_NODES / SHARDS
        uneven = max(abs(number / mean - 1) for number in images)
        how = (
            f"{', '.join(map(str, images))} images; together {'' if same else 'NOT '}what one exports,"
            f" {len(_shown(whole))} series"
        )
        yield Row(f"{SHARDS} shards of {SHARDED_NODES} nodes: unevenness", 100 * uneven, "%", "<= 10", how)


@dataclass(slots=True)
class _Scrapes:
    """Milliseconds that each took, and the longest wait for `/-/healthy` during each.

    That answer costs nothing but turns: of the event loop, and of a thread of its own.
    """

    times: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    def add(self, port: int) -> None:
        with Client(port, timeout=60) as scraping, Client(port, timeout=60) as asking:
            _milliseconds(asking)
            thread = threading.Thread(target=lambda: self.times.append(_milliseconds(scraping, "/metrics")))
            thread.start()
            waits = [0.0]
            while thread.is_alive():
                waits.append(_milliseconds(asking))
                thread.join(GAP_SECONDS)
            self.late.append(max(waits))


def _milliseconds(client: Client, path: str = "/-/healthy") -> float:
    began = time.monotonic()
    assert client.get(path, accept_encoding="gzip").status == 200
    return 1000 * (time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Measured:
    name: str
    cpu: float
    memory: float
    scrapes: _Scrapes
    size: int
    requests: float
    pulls: float
    nodes: int = 0

    def rows(self) -> Iterator[Row]:
        how = f"{self.requests:.0f} requests/s, a scrape every {SECONDS / SCRAPES:.0f} s"
        yield Row(f"{self.name}: CPU", self.cpu, "% of a core", "", how)
        yield Row(f"{self.name}: memory", self.memory, "MiB")
        size = f"gzip; {self.size / 1e6:.1f} MB of text"
        yield median_row(f"{self.name}: scrape", self.scrapes.times, "ms", "", size)
        yield Row(f"{self.name}: /v1/pulls", self.pulls, "ms")
        yield median_row(f"{self.name}: late during a scrape", self.scrapes.late, "ms", "", "/-/healthy")


def _measured(name: str, aggregator: RunningAggregator, nodes: int = 0) -> _Measured:
    time.sleep(WARM_UP_SECONDS)
    before, began, share = cluster.requests_of(aggregator), time.monotonic(), Shares(it=aggregator.process.pid)
    scrapes = _Scrapes()
    for _ in range(SCRAPES):
        time.sleep(SECONDS / SCRAPES)
        scrapes.add(aggregator.port)
    taken, requests = share.taken()["it"], cluster.requests_of(aggregator) - before
    per_second = requests / (time.monotonic() - began)
    for _ in range(MORE_SCRAPES):
        time.sleep(PAUSE_SECONDS)
        scrapes.add(aggregator.port)
    size = len(aggregator.get("/metrics").body)
    memory = Memory.of(aggregator.process.pid).resident
    pulls = 1000 * seconds(lambda: aggregator.get("/v1/pulls"))
    return _Measured(name, taken, memory, scrapes, size, per_second, pulls, nodes)


def _in_prometheus(name: str, aggregator: RunningAggregator) -> Iterator[Row]:
    """What a Prometheus holds that scrapes the aggregator alone."""
    with prometheus(config=SCRAPE_CONFIG.format(port=aggregator.port)) as monitoring:
        bare = Memory.of(monitoring.pid).resident
        cluster.wait(lambda: bool(monitoring.query("count_over_time(up[1m]) >= 4")), PATIENCE)
        series = monitoring.get("/api/v1/status/tsdb")["headStats"]["numSeries"]
        samples = monitoring.query("scrape_samples_scraped")[0].value
        memory = Memory.of(monitoring.pid).resident
    yield Row(f"{name}: series in Prometheus", series, "", "", f"{samples:.0f} samples a scrape")
    yield Row(f"{name}: samples a second", samples / 5, "1/s", "", "scraped every 5 s")
    yield Row(f"{name}: memory of Prometheus", memory, "MiB", "", f"{bare:.1f} before the first scrape")


def _exponent(pairs: list[tuple[int, float]]) -> float:
    """Of the power of the number of nodes that the values follow: 1 means in proportion."""
    return linear_regression([math.log(nodes) for nodes, _ in pairs], [math.log(value) for _, value in pairs]).slope


@contextmanager
def _running(opened: MiniCluster, pods: int) -> Iterator[RunningAggregator]:
    with cluster.started(opened, cluster.SERVICE) as aggregator:
        _wait_pods(aggregator, pods)
        yield aggregator


@contextmanager
def _storm(nodes: int) -> Iterator[tuple[MiniCluster, RunningAggregator]]:
    with _stormy(nodes) as opened, _running(opened, 2 * nodes) as aggregator:
        # Until each exporter was asked: of many nodes that takes a while, and what is known grows with it.
        told = f'pulltrace_aggregator_exporters{{state="ok"}} {nodes}\n'
        cluster.wait(lambda: told in aggregator.metrics(), PATIENCE)
        yield opened, aggregator


@contextmanager
def _stormy(count: int) -> Iterator[MiniCluster]:
    """Two pods wait on each node, for what it pulls and for what is behind that."""
    nodes = list(addresses(count))
    with cluster.many_nodes(nodes) as opened:
        for number, image in enumerate(cluster.IMAGES):
            _put_pods(opened, count, nodes, f"web-{number}", image)
        yield opened


def _put_pods(
    opened: MiniCluster, count: int, nodes: Sequence[str], name: str = "web", image: str = cluster.IMAGES[0]
) -> None:
    for number in range(count):
        cluster.put_pod(opened, f"{name}-{number}", nodes[number % len(nodes)], image)


def _wait_pods(aggregator: RunningAggregator, pods: int) -> None:
    cluster.wait(lambda: cluster.count(aggregator, "pulltrace_pod_pull_info{") == pods, PATIENCE)


def _agree(whole: RunningAggregator, parts: Sequence[RunningAggregator]) -> bool:
    """Whether all parts come to show together what the whole shows, each once."""

    def same() -> bool:
        shown, all_of_it = [_shown(each) for each in parts], _shown(whole)
        return frozenset[str]().union(*shown) == all_of_it and sum(map(len, shown)) == len(all_of_it)

    try:
        cluster.wait(same, PATIENCE)
    except AssertionError:
        return False
    return True


def _shown(aggregator: RunningAggregator) -> frozenset[str]:
    lines = aggregator.metrics().splitlines()
    return frozenset(
        line.rpartition(" ")[0] for line in lines if line.startswith(("pulltrace_pod_", "pulltrace_node_"))
    )
