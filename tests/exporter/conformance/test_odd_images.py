"""Images that registries serve seldom: other compressions, other platforms, other kinds of content."""

from dataclasses import replace

from pulltrace_exporter.model.image import OCI_MANIFEST
from rig.images import MIB, OCI, Blob, Image, build, layer, sha256
from rig.invariants import check_whole, layer_size
from rig.node_setup import NodeSetup


def test_zstd_and_uncompressed_layers_beside_gzip(setup: NodeSetup) -> None:
    layers = [layer(MIB, "z", "zstd"), layer(400_000, "plain", "none"), layer(300_000, "g", "gzip")]
    image = setup.push(layers=layers)
    exporter = setup.exporter()
    setup.pulled(image)
    end = exporter.wait_whole(image)
    counted = end.by("media_type", "pulltrace_downloaded_bytes_total")
    assert {blob.media_type: blob.size for blob in image.layers}.items() <= counted.items()
    assert end.layer_bytes == layer_size(image)


def test_only_our_platform_counts(setup: NodeSetup) -> None:
    others = ("linux/arm64", "linux/s390x", "linux/ppc64le", "windows/amd64")
    image = setup.registry.push(build("odd/several-platforms", [MIB, 300_000], tag="v1", platforms=others))
    exporter = setup.exporter()
    setup.pulled(image)
    end = exporter.wait_whole(image)
    assert len(image.others) == 3 * len(others)
    foreign = sum(setup.registry.sent(blob.digest) for blob in image.others)
    assert foreign == 0, "the node itself fetched more than its platform"
    own = (image.root, image.manifest, image.config, *image.layers)
    assert end.total("pulltrace_downloaded_bytes_total") == sum(blob.size for blob in own)


def test_the_same_image_from_a_second_repository_is_another_pull_without_bytes(setup: NodeSetup) -> None:
    layers = [layer(MIB, "in two repositories"), layer(300_000, "in two repositories")]
    first, second = (
        setup.registry.push(build(f"odd/repositories/{name}", layers, tag="v1", platforms=()))
        for name in ("first", "second")
    )
    assert first.root == second.root
    exporter = setup.exporter()
    setup.pulled(first)
    before = exporter.wait_until(lambda scrape: scrape.phase(first) == "succeeded")
    setup.pulled(second)
    end = exporter.wait_until(lambda scrape: scrape.ended == {"succeeded": 2})
    check_whole(end.pull(second), second, cached=second.size)
    check_whole(end.pull(first), first)
    assert end.pull(second).states == ["cached", "cached"]
    assert end.pull(second).reference == setup.reference(second)
    assert end.total("pulltrace_cached_bytes_total") == second.size
    counted = "pulltrace_downloaded_bytes_total"
    assert end.total(counted) == before.total(counted)
    assert end.layer_bytes == layer_size(first)


def test_two_hundred_layers(setup: NodeSetup) -> None:
    image = setup.push(layers=[1000 + number for number in range(200)])
    exporter = setup.exporter()
    setup.pulled(image)
    end = exporter.wait_whole(image, timeout=60)
    assert end.pull(image).counts["unpacked"] == 200
    assert end.layer_bytes == layer_size(image)


def test_an_artifact_of_unknown_types_is_counted_by_its_own_media_types(setup: NodeSetup) -> None:
    """The node may refuse to make an image of it; what it fetched until then is told all the same."""
    image = setup.registry.push(artifact("odd/artifact", [2 * MIB, 300_000]))
    exporter = setup.exporter()
    pull, stall = setup.pull_held(image, MIB + 500_000)
    running = exporter.wait_until(
        lambda scrape: (seen := scrape.pull(image)) and seen.layers and seen.layers[0].downloaded == MIB
    )
    assert running.pull(image).size == image.size
    assert running.pull(image).media_type == OCI_MANIFEST
    assert [each.media_type for each in running.pull(image).layers] == [blob.media_type for blob in image.layers]
    stall.release()
    end = exporter.wait_until(lambda scrape: (seen := scrape.pull(image)) and seen.ended)
    assert pull.done
    counted = end.by("media_type", "pulltrace_downloaded_bytes_total")
    shown = {each.media_type: each.downloaded for each in end.pull(image).layers}
    assert {name: counted.get(name, 0) for name in shown} == shown
    if end.phase(image) == "succeeded":
        assert end.pull(image).ratio == 1
    assert end.total("pulltrace_exporter_poll_errors_total") == 0


def artifact(repository: str, sizes: list[int]) -> Image:
    """As the OCI image specification has it in "Guidelines for Artifact Usage": no image, but in a registry."""
    blobs = tuple(
        Blob.of(f"application/vnd.example.model.part{number}", layer(size, f"{repository}/{number}", "none").data)
        for number, size in enumerate(sizes)
    )
    config = Blob.of("application/vnd.example.model.config.v1+json", b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "artifactType": "application/vnd.example.model",
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in blobs],
    }
    manifest = Blob.of_json(OCI.manifest, document)
    plain = build(repository, (), tag="v1", index=False)
    return replace(
        plain, manifest=manifest, config=config, layers=blobs, diff_ids=tuple(sha256(blob.data) for blob in blobs)
    )
