"""A node with hundreds of pods and many blobs: an idle look stays one call, and pulls are right."""

from pathlib import Path

import pytest

from rig.containerd import RealContainerd
from rig.images import MIB, build, sha256, write_archive
from rig.invariants import layer_size
from rig.node_setup import NodeSetup
from rig.processes import run
from rig.standin import StandIn
from rig.standin.records import Blob

PODS = 300
BLOBS = 3000
REAL_PODS, REAL_BLOBS = 200, 600
IMPORT_TIMEOUT = 240
"""containerd waits for the disk several times for each blob, which takes 40 ms in all when others write as well."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def crowded(own_setup: NodeSetup, tmp_path: Path) -> NodeSetup:
    """A node that is full before the exporter starts."""
    node = own_setup.node
    if isinstance(node, StandIn):
        crowd_standin(node)
    else:
        assert isinstance(node, RealContainerd)
        crowd_real(node, tmp_path)
    return own_setup


def crowd_standin(node: StandIn) -> None:
    for number in range(PODS):
        node.add_sandbox(f"sandbox-{number}")
    with node.records.lock:
        blobs = node.records.namespace("k8s.io").blobs
        for number in range(BLOBS):
            digest = sha256(f"crowd {number}".encode())
            blobs[digest] = Blob(digest, 1000 + number, number, number, {"containerd.io/gc.root": "then"})


def crowd_real(node: RealContainerd, folder: Path) -> None:
    """Sandboxes' leases as ctr makes them, and one image of many layers that is not unpacked."""
    for number in range(REAL_PODS):
        run([*node._ctr, "leases", "create", "--expires", "0s", "--id", f"sandbox-{number}"])
    crowd = build("crowd", [100 + size for size in range(REAL_BLOBS)], index=False)
    archive = write_archive(crowd, folder / "crowd.tar", "crowd.example/crowd:v1")
    run([*node._ctr, "images", "import", "--no-unpack", archive], timeout=IMPORT_TIMEOUT)


def test_an_idle_look_is_one_call_and_pulls_are_right_in_a_crowd(crowded: NodeSetup) -> None:
    setup = crowded
    exporter = setup.exporter(idle="200ms")
    if isinstance(setup.node, StandIn):
        exporter.wait_polled()
        setup.node.faults.calls.clear()
        before = exporter.scrape().total("pulltrace_exporter_poll_duration_seconds_count")
        while (end := exporter.wait_polled()).total("pulltrace_exporter_poll_duration_seconds_count") < before + 6:
            pass
        polls = end.total("pulltrace_exporter_poll_duration_seconds_count") - before
        calls = dict(setup.node.faults.calls)
        assert set(calls) == {"Leases/List"}, "an idle node is asked for nothing else"
        assert polls - 1 <= calls["Leases/List"] <= polls + 2
    image = setup.push(layers=[2 * MIB, 300_000])
    setup.registry.throttle(4 * MIB)
    setup.pulled(image)
    end = exporter.wait_whole(image)
    assert (end.ended, end.unresolved) == ({"succeeded": 1}, 0)
    assert end.layer_bytes == layer_size(image)
    assert [pull.repository for pull in end.pulls] == [image.repository]
