"""A blob that another of containerd's namespaces has already: the pull is right, nothing is fetched.

Real daemons only: the stand-in has one store for each namespace.
"""

import pytest

from rig.containerd import RealContainerd
from rig.images import MIB
from rig.invariants import check_whole
from rig.node_setup import NodeSetup
from rig.processes import run


def pull_elsewhere(setup: NodeSetup, reference: str) -> None:
    node = setup.node
    assert isinstance(node, RealContainerd)
    ctr = (*node._ctr[:-1], "other")
    run([*ctr, "images", "pull", "--plain-http", reference])


@pytest.fixture
def setup(setup: NodeSetup) -> NodeSetup:
    setup.impossible({"standin": "it shares no content between namespaces"})
    return setup


def test_a_blob_of_another_namespace_is_cached_and_not_counted(setup: NodeSetup) -> None:
    """Such a blob is committed at once, as of now: only the other namespace's store tells that nothing was fetched."""
    image = setup.push(layers=[4 * MIB, 300_000])
    pull_elsewhere(setup, setup.reference(image))
    sent = sum(setup.registry.sent(blob.digest) for blob in image.layers)
    exporter = setup.exporter(busy="50ms")
    setup.pulled(image)
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    assert sum(setup.registry.sent(blob.digest) for blob in image.layers) == sent, "the node fetched it again"
    check_whole(end.pull(image), image, cached=image.size)
    assert end.layer_bytes == 0
