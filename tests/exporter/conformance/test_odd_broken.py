"""What a registry should never serve: its own pull goes wrong, and nothing else does."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rig.exporter import RunningExporter
from rig.images import MIB, OCI, Blob, Image, Layer, build, sha256
from rig.node import PullFailed
from rig.node_setup import NodeSetup
from rig.pacing import Stall

Spoil = Callable[[dict[str, Any]], bytes]


def cut_short(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()[:-20]


def no_config(document: dict[str, Any]) -> bytes:
    del document["config"]
    return json.dumps(document).encode()


def no_digests(document: dict[str, Any]) -> bytes:
    document["layers"] = [{"mediaType": OCI.layers["gzip"], "size": -1, "digest": "latest"}, None, 3]
    return json.dumps(document).encode()


def unknown_digests(document: dict[str, Any]) -> bytes:
    """containerd answers a question for one with an error, not that it is absent."""
    document["layers"] = [{"mediaType": OCI.layers["gzip"], "size": 10, "digest": f"md5:{'0' * 32}"}]
    return json.dumps(document).encode()


def another_kind(_: dict[str, Any]) -> bytes:
    return b'["no", "manifest"]'


def huge(document: dict[str, Any]) -> bytes:
    """Valid, and above the 8 MiB that are read at most."""
    document["annotations"] = {"padding": "x" * (8 * MIB + 1)}
    return json.dumps(document).encode()


SPOILS = (cut_short, no_config, no_digests, unknown_digests, another_kind, huge)


@pytest.mark.parametrize("index", [False, True], ids=["root", "in-index"])
@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_manifest_that_is_none_harms_no_other_pull(setup: NodeSetup, spoil: Spoil, *, index: bool) -> None:
    name = f"{spoil.__name__.replace('_', '-')}-{'index' if index else 'root'}"
    exporter = setup.exporter(idle="200ms")
    good, stall = stalled(setup, exporter, f"beside-{name}")
    bad = setup.registry.push(spoiled(f"odd/broken/{name}", spoil, index=index))
    pull = setup.pull(bad)
    try:
        pull.wait()
    except PullFailed:
        succeeded = False
    else:
        succeeded = True
    seen = exporter.wait_polled()
    assert seen.phase(good) == "downloading"
    if seen.pull(bad):
        assert seen.phase(bad) == ("succeeded" if succeeded else "failed")
    stall.release()
    end = exporter.wait_whole(good)
    assert end.total("pulltrace_exporter_poll_errors_total") == 0
    assert end.in_progress == {"resolving": 0, "downloading": 0, "unpacking": 0}
    # 1.6 writes the tag anew seconds after such a pull's end, which cannot be told from a short re-pull.
    again = setup.node.name == "containerd-1.6" and succeeded
    assert 1 + succeeded <= end.ended["succeeded"] <= 1 + succeeded + again
    assert "orphaned" not in end.ended


def test_a_config_that_the_registry_has_not_fails_the_pull(setup: NodeSetup) -> None:
    exporter = setup.exporter()
    good, stall = stalled(setup, exporter, "beside")
    image = setup.push("configless", [300_000, MIB])
    setup.registry.deny(image.config.digest, 404)
    hold = setup.registry.stall(image.manifest.digest, after=20)
    pull = setup.pull(image)
    hold.wait_held()
    hold.release()
    with pytest.raises(PullFailed):
        pull.wait()
    exporter.wait_polled()
    stall.release()
    end = exporter.wait_whole(good)
    assert end.phase(image) in ("", "failed"), "it may be over before it is seen"
    assert end.ended.get("succeeded") == 1
    assert end.total("pulltrace_exporter_poll_errors_total") == 0


def test_a_layer_of_no_bytes_fails_the_pull_and_nothing_else(setup: NodeSetup) -> None:
    """containerd refuses to fetch what has no size."""
    exporter = setup.exporter()
    good, stall = stalled(setup, exporter, "beside")
    image = setup.push("empty", [300_000, Layer(sha256(b""), "gzip", b"")])
    assert image.layers[1].size == 0
    setup.fails_in_sight(image, exporter)
    failed = exporter.wait_until(lambda scrape: scrape.phase(image) == "failed")
    assert failed.ended == {"failed": 1}
    assert failed.pull(image).layers[1].size == 0
    assert failed.phase(good) == "downloading"
    stall.release()
    end = exporter.wait_whole(good)
    assert end.ended == {"failed": 1, "succeeded": 1}


def spoiled(repository: str, spoil: Spoil, *, index: bool) -> Image:
    """An image whose manifest was spoiled, and is named by its true digest."""
    image = build(repository, [300_000], tag="v1", index=False)
    manifest = Blob.of(OCI.manifest, spoil(json.loads(image.manifest.data)))
    if not index:
        return replace(image, manifest=manifest)
    platform = {"os": "linux", "architecture": "amd64"}
    document = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": [manifest.descriptor(platform=platform)]}
    return replace(image, index=Blob.of_json(OCI.index, document), manifest=manifest)


def stalled(setup: NodeSetup, exporter: RunningExporter, name: str) -> tuple[Image, Stall]:
    """A good pull that runs until its stall is released."""
    image = setup.push(name, [2 * MIB])
    _, stall = setup.pull_held(image, MIB + 500_000)
    exporter.wait_until(lambda scrape: (seen := scrape.pull(image)) and seen.layers and seen.layers[0].downloaded)
    return image, stall
