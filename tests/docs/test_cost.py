"""What docs/operating.md says that things cost in series is what they cost."""

import re
from dataclasses import replace

import pytest

from pulltrace.clock import NodeTime
from pulltrace.exposition import TextFormat
from pulltrace.model.pull import LayerState, Phase
from pulltrace_aggregator import metrics as of_aggregator
from pulltrace_alerts.recorded import overviews
from pulltrace_alerts.settings import Settings
from pulltrace_exporter import metrics as of_exporter
from pulltrace_exporter.model.view import Polls, View
from pulltrace_exporter.tracking.counters import DURATION_BUCKETS, Counters
from rig.pages import CHECKOUT
from rig.sample_views import NOW, a_layer, a_pull, a_view, an_ended_pull
from rig.simulated_cluster import Cluster

pytestmark = pytest.mark.unit

PAGE = (CHECKOUT / "docs/operating.md").read_text()
NODES, PULLS_A_DAY, LAYERS, SHORT_TO_LONG = 1000, 50, 12, 10
LAYER_STATES = tuple(state for state in LayerState if state is not LayerState.CACHED)


def written(row: str) -> list[int]:
    """The numbers of a row of the table."""
    match = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", PAGE, re.MULTILINE)
    assert match, f"no row {row}"
    return [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", match[1])]


def series(view: View) -> set[str]:
    view = replace(view, polls=Polls(last_at=NodeTime(NOW)))
    scraper = of_exporter.Scraper(of_exporter.FAMILIES, of_exporter.SeriesLimits(), of_exporter.Process("1", "3"))
    lines = scraper.render(view, NOW, TextFormat.PLAIN).decode().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


def running(layers: int, state: LayerState = LayerState.DOWNLOADING, phase: Phase = Phase.DOWNLOADING) -> set[str]:
    return series(a_view(a_pull(phase=phase, layers=tuple(a_layer(index, state=state) for index in range(layers)))))


def ended(layers: int) -> set[str]:
    many = tuple(a_layer(index, bytes_per_second=None, state=LayerState.UNPACKED) for index in range(layers))
    return series(a_view(an_ended_pull(layers=many)))


def life(layers: int) -> set[str]:
    """Everything that a pull ever has."""
    seen = ended(layers)
    for state in LAYER_STATES:
        seen |= running(layers, state) | running(layers, state, Phase.UNPACKING)
    return seen


IDLE = series(a_view())


def test_what_an_idle_node_has() -> None:
    assert written("node with nothing going on") == [len(IDLE)]


def test_what_a_pull_has() -> None:
    assert written("running pull") == [len(running(0) - IDLE), len(life(0) - IDLE)]
    assert written("ended pull, for `--pull.linger`") == [len(ended(0) - IDLE)]


def test_what_a_layer_has() -> None:
    assert written("layer of a running pull") == [len(running(1) - running(0)), len(life(1) - life(0))]
    assert written("layer of an ended pull") == [len(ended(1) - ended(0))]


def after_pulls_from(registries: int) -> View:
    """An idle node that has pulled images of the usual media types."""
    counters = Counters(100)
    for number in range(registries):
        counters.add_ended(f"r{number}.example", Phase.SUCCEEDED)
        counters.add_durations(f"r{number}.example", dict.fromkeys(("resolve", "download", "unpack"), 1.0))
        for kind in ("index", "manifest", "config", "layer"):
            counters.add_downloaded(f"r{number}.example", kind, 1)
    return a_view(totals=counters.totals())


def test_what_a_registry_has() -> None:
    counters = Counters(100)
    counters.add_registry("registry.example")
    known = series(a_view(totals=counters.totals())) - IDLE
    used = series(after_pulls_from(1)) - IDLE
    page = PAGE.replace("\n", " ")
    assert f"adds {len(known)} series" in page
    assert f"they are {len(used)} with the usual four media types" in page
    assert len(used) <= 26
    assert written("series of the node") == [len(series(after_pulls_from(number))) for number in (1, 5, 20)]


def test_what_a_waiting_image_has() -> None:
    cluster = Cluster()
    cluster.pod().pulling()
    cluster.node().pull()
    cluster.tick()
    cluster.sleep(10)
    cluster.node().advance(ratio=0.25, rate=2.5e6)
    scraper = of_aggregator.Scraper(of_aggregator.FAMILIES, of_aggregator.Process("1", "3"))
    text = scraper.render(cluster.tick(), cluster.now.monotonic, TextFormat.PLAIN).decode()
    shown = [line for line in text.splitlines() if line.startswith("pulltrace_pod_pull_")]
    assert written("image that a pod waits for (aggregator)")[0] == len(shown)


def test_what_rules_record() -> None:
    names = re.findall(r"record: (pull|wait\w*):", (CHECKOUT / "alerts/pulltrace.rules.yaml").read_text())
    assert written("running pull, by the recording rules")[0] == names.count("pull")
    waits = len(names) - names.count("pull")
    assert written("image that a pod waits for, by the recording rules")[0] == waits
    buckets, stages = len(DURATION_BUCKETS) + 1, 3
    each = {
        ("cluster", "registry"): 1,
        ("cluster", "registry", "le"): buckets,
        ("cluster", "registry", "stage"): stages,
    }
    assert f"record {sum(each[rule.labels] for rule in overviews(Settings()))} series for each registry" in PAGE


def test_the_example_is_reckoned_right() -> None:
    pull, layer = written("running pull")[1], written("layer of a running pull")[1]
    pulls = NODES * PULLS_A_DAY
    layers = layer * LAYERS
    for row, each in (
        ("default, one pull in ten takes longer than 30 s", pull + layers / SHORT_TO_LONG),
        ("`--layer.min-age=0s`", pull + layers),
        ("`--no-collector.layers`", pull),
    ):
        assert written(row) == [int(pulls * each), int(pulls * each) // 12]
    assert f"{NODES:,} nodes, each {PULLS_A_DAY} pulls a day of {LAYERS} layers" in PAGE
    assert f"makes {pull} + {layer}·*n* series" in PAGE.replace("\n", " ")
