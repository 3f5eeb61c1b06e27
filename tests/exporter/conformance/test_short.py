"""A pull shorter than the poll interval is seen whole: containerd's events wake the exporter."""

import pytest

from rig.images import MIB
from rig.invariants import layer_size
from rig.node_setup import NodeSetup


@pytest.mark.parametrize("layers", [[300_000], [2 * MIB, 300_000, 1000]], ids=["tiny", "small"])
def test_a_short_pull_is_counted_to_the_byte(setup: NodeSetup, layers: list[int]) -> None:
    image = setup.push(layers=layers)
    exporter = setup.exporter(busy="60s", idle="60s")
    setup.pulled(image)
    end = exporter.wait_whole(image, timeout=40)
    assert end.layer_bytes == layer_size(image)
    envelope = {blob.digest: blob.size for blob in (image.root, image.manifest, image.config)}
    assert end.total("pulltrace_downloaded_bytes_total") == layer_size(image) + sum(envelope.values())
    assert end.ended == {"succeeded": 1}


def test_several_short_pulls_in_a_row_are_counted_each(setup: NodeSetup) -> None:
    images = [setup.push(f"app-{number}", [200_000]) for number in range(5)]
    exporter = setup.exporter(busy="5s")
    for image in images:
        setup.pulled(image)
    end = exporter.wait_until(lambda scrape: scrape.ended == {"succeeded": len(images)})
    assert end.layer_bytes == layer_size(*images)


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_re_pulls_are_counted_each_however_quickly_they_come(setup: NodeSetup, by: str) -> None:
    """As with `imagePullPolicy: Always` and several pods that start at once: each takes some 30 ms."""
    image = setup.push(layers=[100_000])
    reference = setup.reference(image)
    if by == "digest":
        reference = f"{reference.rpartition(':')[0]}@{image.root.digest}"
    exporter = setup.exporter(busy="5s")
    for _ in range(4):
        setup.pull_reference(reference).wait()
    exporter.wait_until(lambda scrape: scrape.ended.get("succeeded", 0) >= 4)
    setup.pulled(setup.push("next"))  # so that whatever CRI writes of the first one has been heard of
    end = exporter.wait_until(lambda scrape: scrape.ended.get("succeeded", 0) >= 5)
    assert end.ended == {"succeeded": 5}
    assert end.pull(image).cached == image.size


def test_a_pull_by_another_client_is_counted_once_though_cri_writes_its_record_again(setup: NodeSetup) -> None:
    image = setup.push(layers=[100_000])
    exporter = setup.exporter(busy="5s")
    for times in (1, 2):
        setup.node.client_pull(setup.reference(image))
        exporter.wait_until(lambda scrape, times=times: scrape.ended.get("succeeded", 0) >= times)  # type: ignore[misc]
    last = setup.pulled(setup.push("next"))
    end = exporter.wait_until(lambda scrape: scrape.ended.get("succeeded", 0) >= 3)
    assert end.ended == {"succeeded": 3}
    assert end.layer_bytes == layer_size(image, last)
