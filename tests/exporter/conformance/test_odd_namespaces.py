"""A blob that another of containerd's namespaces has already: the pull is right, nothing is fetched.

Real daemons only: the stand-in has one store for each namespace.
"""

import pytest

from rig.containerd import RealContainerd
from rig.images import MIB
from rig.processes import run
from rig.sanity import check_whole
from rig.scene import Scene


def pull_elsewhere(stage: Scene, reference: str) -> None:
    node = stage.node
    assert isinstance(node, RealContainerd)
    ctr = (*node._ctr[:-1], "other")
    run([*ctr, "images", "pull", "--plain-http", reference])


@pytest.fixture
def stage(stage: Scene) -> Scene:
    stage.impossible({"standin": "it shares no content between namespaces"})
    return stage


def test_what_another_namespace_has_is_cached_and_not_counted(stage: Scene) -> None:
    """Such a blob is committed at once, as of now: only the other namespace's store tells that nothing was fetched."""
    image = stage.push(layers=[4 * MIB, 300_000])
    pull_elsewhere(stage, stage.reference(image))
    sent = sum(stage.registry.sent(blob.digest) for blob in image.layers)
    exporter = stage.exporter(busy="50ms")
    stage.pulled(image)
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    assert sum(stage.registry.sent(blob.digest) for blob in image.layers) == sent, "the node fetched it again"
    check_whole(end.pull(image), image, cached=image.size)
    assert end.layer_bytes == 0
