"""Images whose layers are not unpacked: the result of a pull is the runtime's, and what never came counts nowhere."""

import json
from dataclasses import replace

import pytest

from rig.containerd import SECOND
from rig.images import MIB, OCI, Blob, Image, Layer, build, file_layer
from rig.node import PullFailed
from rig.node_setup import NodeSetup
from rig.standin import StandIn
from rig.standin.unpacking import NOBODYS

EMPTY = "application/vnd.oci.empty.v1+json"
KINDS: dict[str, tuple[str, bool]] = {
    "wasm": ("application/vnd.wasm.content.layer.v1+wasm", False),
    "docker-zstd": ("application/vnd.docker.image.rootfs.diff.tar.zstd", False),
    "artifact": ("application/vnd.example.model.part", True),
    "artifact-of-layers": (OCI.layers["gzip"], True),
}
"""The media type of the layers, and whether the config is the empty one, which says nothing of them."""
REFUSED_BY_CLIENTS = ("wasm", "artifact-of-layers")
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_the_result_is_the_runtimes_at_each_try(setup: NodeSetup, kind: str) -> None:
    image = setup.registry.push(odd(kind, [300_000]))
    exporter = setup.exporter()
    result = "succeeded" if succeeds(setup, image) else "failed"
    first = exporter.wait_until(lambda scrape: sum(scrape.ended.values()) == 1)
    assert first.ended == {result: 1}
    assert first.phase(image) == result
    assert succeeds(setup, image) == (result == "succeeded")
    second = exporter.wait_until(lambda scrape: sum(scrape.ended.values()) == 2)
    assert second.ended == {result: 2}
    assert second.phase(image) == result


@pytest.mark.parametrize("kind", REFUSED_BY_CLIENTS)
def test_a_client_that_does_not_unpack_what_it_pulled_has_failed(setup: NodeSetup, kind: str) -> None:
    setup.impossible(dict.fromkeys(SECOND, "the transfer service takes such an image, and no sign tells who pulled it"))
    setup.impossible({"standin": "it is a containerd 2.1"})
    image = setup.registry.push(odd(kind, [300_000]))
    exporter = setup.exporter()
    setup.node.client_pull(setup.reference(image))
    end = exporter.wait_until(lambda scrape: sum(scrape.ended.values()) == 1)
    assert end.ended == {"failed": 1}


def test_a_client_that_fails_to_unpack_a_layer_has_failed_although_its_record_is_written(setup: NodeSetup) -> None:
    # Some thousand files take long enough to unpack that a poll sees it on a busy machine as well.
    files = file_layer({f"{number}": b"" for number in range(4_000)})
    image = setup.registry.push(with_wrong_diff_id(f"odd/{setup.node.name}/wrong-diff-id", [files]))
    exporter = setup.exporter(busy="50ms")
    if isinstance(setup.node, StandIn):  # so that a busy machine sees the layer being unpacked
        setup.node.unpacking.hold()
        setup.finally_(setup.node.unpacking.release)
    setup.node.client_pull(setup.reference(image))
    if isinstance(setup.node, StandIn):
        exporter.wait_until(lambda scrape: (seen := scrape.pull(image)) and "unpacking" in seen.states)
        setup.node.unpacking.release()
    end = exporter.wait_until(lambda scrape: sum(scrape.ended.values()) == 1)
    assert end.ended == {"failed": 1}


def test_a_layer_that_is_never_fetched_counts_nowhere(setup: NodeSetup) -> None:
    """containerd #11907: an artifact with the empty config, as an image volume; 2.x is content without its layer."""
    image = setup.registry.push(odd("artifact-of-layers", [9 * MIB, 300_000]))
    exporter = setup.exporter()
    for tries, cached in ((1, 0), (2, image.config.size)):
        succeeds(setup, image)
        end = exporter.wait_until(lambda scrape, tries=tries: sum(scrape.ended.values()) == tries)  # type: ignore[misc]
        assert all(setup.registry.sent(blob.digest) == 0 for blob in image.layers), "the node has fetched it"
        seen = end.pull(image)
        assert seen.states == ["waiting", "waiting"]
        assert (seen.size, seen.cached, seen.downloaded) == (image.size, cached, image.config.size - cached)
        assert seen.unpacked == 0
        assert [layer.downloaded for layer in seen.layers] == [0, 0]
        assert end.total("pulltrace_cached_bytes_total") == cached
        assert end.layer_bytes == 0


def succeeds(setup: NodeSetup, image: Image) -> bool:
    """Whether the runtime says that the pull has succeeded."""
    try:
        setup.pull(image).wait()
    except PullFailed:
        return False
    return True


def odd(kind: str, sizes: list[int]) -> Image:
    media_type, empty = KINDS[kind]
    plain = build(f"odd/unpack/{kind}-{len(sizes)}", sizes, tag="v1", index=False)
    layers = tuple(Blob.of(media_type, blob.data) for blob in plain.layers)
    return _rebuilt(
        plain, Blob.of(EMPTY, b'{"of": "%s"}' % plain.repository.encode()) if empty else plain.config, layers
    )


def with_wrong_diff_id(repository: str, layers: list[Layer | int]) -> Image:
    """The last layer's diff ID is another one's: it is fetched, and cannot be committed when it is unpacked."""
    plain = build(repository, layers, tag="v1", index=False)
    config = json.loads(plain.config.data)
    config["rootfs"]["diff_ids"][-1] = NOBODYS
    return _rebuilt(plain, Blob.of_json(plain.config.media_type, config), plain.layers)


def _rebuilt(plain: Image, config: Blob, layers: tuple[Blob, ...]) -> Image:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in layers],
    }
    return replace(plain, manifest=Blob.of_json(OCI.manifest, manifest), config=config, layers=layers)
