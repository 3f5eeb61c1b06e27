"""Images of every kind that registries serve, and every way of naming one."""

from rig.images import MIB, layer
from rig.invariants import layer_size
from rig.node_setup import NodeSetup


def test_both_families_of_media_types_with_and_without_an_index(setup: NodeSetup) -> None:
    images = [
        setup.push(f"{'docker' if docker else 'oci'}-{'index' if index else 'manifest'}", docker=docker, index=index)
        for docker in (False, True)
        for index in (False, True)
    ]
    exporter = setup.exporter()
    wanted: dict[str, float] = {}
    for image in images:
        setup.pulled(image)
        end = exporter.wait_whole(image)
        for blob in {image.root, image.manifest, image.config, *image.layers}:
            wanted[blob.media_type] = wanted.get(blob.media_type, 0) + blob.size
    assert end.by("media_type", "pulltrace_downloaded_bytes_total") == wanted


def test_a_reference_by_digest(setup: NodeSetup) -> None:
    image = setup.push(layers=[300_000])
    reference = image.digest_reference(setup.registry.host)
    exporter = setup.exporter()
    setup.pull_reference(reference).wait()
    end = exporter.wait_whole(image)
    assert end.pull(image).reference == reference


def test_the_registry_is_its_host_without_the_port(setup: NodeSetup) -> None:
    image = setup.push(layers=[300_000])
    exporter = setup.exporter()
    reference = image.reference(setup.registry.local_name)
    setup.pull_reference(reference).wait()
    end = exporter.wait_whole(image)
    assert end.pull(image).registry == "localhost"
    assert end.pull(image).reference == reference
    assert end.value("pulltrace_pulls_total", registry="localhost", result="succeeded") == 1


def test_a_layer_twice_in_one_manifest_has_two_series_and_counts_once(setup: NodeSetup) -> None:
    twice = layer(MIB + 1, "named twice in one manifest")
    image = setup.push(layers=[twice, 300_000, twice])
    setup.registry.throttle(4 * MIB)
    exporter = setup.exporter()
    setup.pull(image)
    end = exporter.wait_whole(image)
    assert len(end.pull(image).layers) == 3
    assert end.layer_bytes == layer_size(image) == setup.registry.sent(image.layers[0].digest) + image.layers[1].size
