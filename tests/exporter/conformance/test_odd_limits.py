"""The guard against too many series, from a hostile image to the bytes of a scrape.

Stand-in only: containerd refuses images whose layers it cannot unpack, and two thousand real layers take minutes.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rig.exporter import RunningExporter
from rig.node_setup import NodeSetup, node_setup
from rig.scrape import Scrape
from rig.standin import MIB, V2_1, Layer, StandIn, SyntheticRegistry
from rig.standin.descriptors import CONFIGS, MANIFESTS, Descriptor, sha256
from rig.web import wait_until

pytestmark = pytest.mark.contract
SUPPRESSED = "pulltrace_exporter_suppressed_series"
COUNT = 2_000


@pytest.fixture
def source() -> SyntheticRegistry:
    return SyntheticRegistry()


@pytest.fixture
def setup(source: SyntheticRegistry, tmp_path: Path) -> Iterator[NodeSetup]:
    with (
        # Layers that last for the test must not keep the manifests of other images from their turn.
        StandIn(source=source, flavour=replace(V2_1, downloads=100)) as node,
        node_setup(node, "limits", tmp_path) as opened,
    ):
        yield opened


def slowly(_: float) -> float:
    """A download that lasts for the test."""
    return 0.0


def read(exporter: RunningExporter) -> tuple[int, Scrape]:
    """The size and the content of a scrape; suppressed layers do not add up to their pull's counts."""
    body = exporter.get("/metrics").body
    return len(body), Scrape.parse(body.decode())


def until_described(exporter: RunningExporter, layers: int) -> tuple[int, Scrape]:
    """The first scrape with so many layers, those that are suppressed included."""

    def look() -> tuple[int, Scrape] | None:
        size, seen = read(exporter)
        hidden = seen.value(SUPPRESSED, kind="layer") or 0
        return (size, seen) if len(seen.find("pulltrace_layer_state")) + hidden >= layers else None

    found = wait_until(look, 60)
    assert found
    return found


def test_more_pulls_than_the_limit_are_counted_and_not_shown(setup: NodeSetup, source: SyntheticRegistry) -> None:
    for number in range(12):
        reference = f"registry-{number}.example/team/app:v1"
        source.publish(reference, [Layer(f"{number}", 4 * MIB)], bandwidth=slowly)
        setup.pull_reference(reference)
    exporter = setup.exporter("--limit.pulls=5", "--limit.layers=3", "--limit.label-values=4", up=False)
    _, seen = until_described(exporter, 12)
    assert len(seen.pulls) == 5
    assert sum(len(pull.layers) for pull in seen.pulls) == 3
    assert seen.value(SUPPRESSED, kind="pull") == 7
    assert seen.value(SUPPRESSED, kind="layer") == 9
    assert seen.in_progress["downloading"] == 12, "no limit changes a sum"
    registries = {sample.labels["registry"] for sample in seen.find("pulltrace_pulls_total")}
    assert len(registries) == 5
    assert "other" in registries
    assert seen.value(SUPPRESSED, kind="registry") == 8


@pytest.mark.parametrize("limit", [50, 1000])
def test_a_hostile_image_costs_a_bounded_number_of_series_and_bytes(
    setup: NodeSetup, source: SyntheticRegistry, limit: int
) -> None:
    hostile = "registry.example/hostile:v1"
    publish_hostile(source, hostile)
    source.publish("registry.example/good:v1", [Layer("good", 4 * MIB)], bandwidth=slowly)
    exporter = setup.exporter(f"--limit.layers={limit}", "--limit.label-values=10", busy="1s")
    node = setup.node
    assert isinstance(node, StandIn)
    node.unpacking.hold()
    setup.finally_(node.unpacking.release)
    setup.pull_reference(hostile)
    setup.pull_reference("registry.example/good:v1")
    size, seen = until_described(exporter, COUNT + 1)
    layers = seen.find("pulltrace_layer_state")
    assert len(layers) == limit
    assert seen.value(SUPPRESSED, kind="layer") == COUNT + 1 - limit
    assert {sample.labels["repository"] for sample in layers} >= {"good"}, "one image hides no other's layers"
    (good,) = (pull for pull in seen.pulls if pull.repository == "good")
    assert good.size == pytest.approx(4 * MIB, abs=1000)
    (bad,) = (pull for pull in seen.pulls if pull.repository == "hostile")
    assert sum(bad.counts.values()) == COUNT
    types = {sample.labels["media_type"] for sample in seen.find("pulltrace_downloaded_bytes_total")}
    assert len(types) <= 11
    assert sum(len(samples) for samples in seen.series.values()) < 4 * limit + 400
    assert size < 4 * limit * 600 + 100_000
    assert max(len(line) for line in exporter.get("/metrics").body.splitlines()) < 2000


def publish_hostile(source: SyntheticRegistry, reference: str) -> None:
    """A manifest near 1 MiB: a media type of its own for each layer, annotations and labels of 100 KB."""
    diff_ids = [sha256(f"{number}".encode()) for number in range(COUNT)]
    labels = {f"label-{number}": "x" * 100_000 for number in range(5)}
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config_text = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": labels}, "rootfs": rootfs})
    source.publish_document("registry.example/parts:config", CONFIGS[0], config_text.encode())
    config = Descriptor(CONFIGS[0], sha256(config_text.encode()), len(config_text))
    layers = [
        Descriptor(f"application/vnd.oci.image.layer.v1.{number}-{'t' * 100}", sha256(f"l{number}".encode()), 2 * MIB)
        for number in range(COUNT)
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
        "annotations": {f"annotation-{number}": "y" * 100_000 for number in range(5)},
    }
    content = json.dumps(manifest).encode()
    assert len(content) > 900_000
    source.publish_document(reference, MANIFESTS[0], content)
