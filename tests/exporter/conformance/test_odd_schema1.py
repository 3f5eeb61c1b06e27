"""Docker's manifest schema 1: containerd 1.x fetches the layers first and makes a manifest of them."""

import base64
import json
from dataclasses import replace

from rig.containerd import SECOND
from rig.images import MIB, Blob, Image, build, sha256
from rig.invariants import layer_size
from rig.node_setup import NodeSetup
from rig.scrape import Scrape

SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
REFUSED = dict.fromkeys((*SECOND, "standin"), "containerd 2 refuses schema 1")


def test_an_image_of_schema_1_downloads_and_is_counted(setup: NodeSetup) -> None:
    setup.impossible(REFUSED)
    image = setup.registry.push(schema_1("odd/schema-1/slow", [300_000, 2 * MIB]))
    exporter = setup.exporter()
    _, stall = setup.pull_held(image, MIB + 500_000, layer=1)
    running = exporter.wait_until(lambda scrape: scrape.in_progress["downloading"] == 1)
    assert running.in_progress["resolving"] == 0
    assert exporter.pulls()["unidentified"] == 1
    stall.release()
    check_succeeded(exporter.wait_until(lambda scrape: scrape.ended == {"succeeded": 1}), image, setup.reference(image))


def test_a_short_pull_of_schema_1_is_counted_too(setup: NodeSetup) -> None:
    setup.impossible(REFUSED)
    image = setup.registry.push(schema_1("odd/schema-1/short", [300_000]))
    exporter = setup.exporter()
    setup.pulled(image)
    check_succeeded(exporter.wait_until(lambda scrape: scrape.ended == {"succeeded": 1}), image, setup.reference(image))


def test_an_image_of_schema_1_that_fails_is_a_pull_that_never_had_a_name(setup: NodeSetup) -> None:
    setup.impossible(REFUSED)
    image = setup.registry.push(schema_1("odd/schema-1/failing", [2 * MIB]))
    exporter = setup.exporter()
    pull, _ = setup.pull_held(image, MIB + 500_000)
    exporter.wait_until(lambda scrape: scrape.in_progress["downloading"] == 1)
    pull.cancel()
    end = exporter.wait_until(lambda scrape: scrape.unresolved == 1)
    assert end.in_progress == {"resolving": 0, "downloading": 0, "unpacking": 0}
    assert not end.ended


def check_succeeded(end: Scrape, image: Image, reference: str) -> None:
    (pull,) = (pull for pull in end.pulls if pull.repository == image.repository)
    assert pull.phase == "succeeded"
    assert pull.reference == reference
    assert pull.states == ["unpacked"] * len(image.layers)
    assert [layer.digest for layer in pull.layers] == [blob.digest for blob in image.layers]
    assert pull.downloaded == pull.size
    assert end.layer_bytes == layer_size(image)
    assert end.unresolved == 0


def schema_1(repository: str, sizes: list[int]) -> Image:
    """Its digest is that of the document without its signatures."""
    plain = build(repository, sizes, tag="v1", index=False, docker=True)
    document = {
        "schemaVersion": 1,
        "name": repository,
        "tag": "v1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": blob.digest} for blob in reversed(plain.layers)],
        "history": [{"v1Compatibility": _history(number)} for number in reversed(range(len(sizes)))],
    }
    payload = json.dumps(document, indent=3)
    head, tail = payload[:-2], payload[-2:]
    protected = _base64(json.dumps({"formatLength": len(head), "formatTail": _base64(tail.encode())}).encode())
    signature = json.dumps([{"header": {}, "signature": "none", "protected": protected}])
    signed = f'{head},\n   "signatures": {signature}\n}}'.encode()
    return replace(plain, manifest=Blob(sha256(payload.encode()), SIGNED, signed))


def _history(number: int) -> str:
    layer = {"id": f"{number:064x}", "created": "2015-01-01T00:00:00Z", "architecture": "amd64", "os": "linux"}
    parent = {"parent": f"{number - 1:064x}"} if number else {}
    return json.dumps({**layer, **parent, "config": {}, "container_config": {"Cmd": ["make"]}})


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
