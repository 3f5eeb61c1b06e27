"""The real nodes of the tests do what the scenarios rely on, on every version."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig import debian, needs
from rig.containerd import NodeFailed, RealContainerd
from rig.containerd_config import Settings
from rig.images import KIB, MIB, Image, build, layer, write_archive
from rig.node import Node, PullFailed
from rig.registry import Registry

pytestmark = pytest.mark.integration


def wait_for(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(params=debian.CONTAINERD)
def label(request: pytest.FixtureRequest) -> str:
    needs.containerd(request.param)
    return str(request.param)


@pytest.fixture
def node(label: str) -> Iterator[RealContainerd]:
    # Collections seldom: what a failed attempt leaves is there for the next one.
    with RealContainerd.fresh(label, Settings(gc_interval=60)) as running:
        yield running


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def image(registry: Registry) -> Image:
    return registry.push(build("team/app", (2 * MIB, layer(KIB, "zstd", "zstd"), layer(KIB, "tar", "none"))))


def test_a_pull_fetches_every_byte_once(node: RealContainerd, registry: Registry, image: Image) -> None:
    port: Node = node
    reference = image.reference(registry.host)
    request = port.pull(reference)
    request.wait()
    assert request.done
    assert node.images()[reference] == image.root.digest
    assert reference in node.cri_images()
    wanted = (image.root, image.manifest, image.config, *image.layers)
    assert [registry.sent(blob.digest) for blob in wanted] == [blob.size for blob in wanted]
    assert not any(registry.sent(blob.digest) for blob in image.others)


def test_a_refused_pull_fails_with_the_text_of_the_runtime(node: RealContainerd, registry: Registry) -> None:
    registry.deny("team/app", 404)
    with pytest.raises(PullFailed, match="not found"):
        node.pull(f"{registry.host}/team/app:latest").wait()


def test_a_cancelled_pull_lets_go_and_the_next_resumes(node: RealContainerd, registry: Registry, image: Image) -> None:
    big = image.layers[0].digest
    stall = registry.stall(big, after=MIB + 5)
    request = node.pull(image.reference(registry.host))
    stall.wait_held()
    request.cancel()
    assert not node.pull_leases()
    with pytest.raises(PullFailed):
        request.wait()
    stall.release()
    node.pull(image.reference(registry.host)).wait()
    assert registry.sent(big) == image.layers[0].size
    assert [each.offset for each in registry.requests if each.target == big] == [0, MIB + 5]


def test_a_crash_keeps_the_lease_and_the_socket_file(node: RealContainerd, registry: Registry, image: Image) -> None:
    stall = registry.stall(image.layers[0].digest, after=MIB)
    request = node.pull(image.reference(registry.host))
    stall.wait_held()
    leases = node.pull_leases()
    assert len(leases) == 1
    node.crash()
    assert node.socket.exists()
    with pytest.raises(PullFailed):
        request.wait()
    node.start()
    assert node.pull_leases() == leases
    stall.release()
    node.pull(image.reference(registry.host)).wait()


def test_a_killed_client_leaves_its_lease(node: RealContainerd, registry: Registry, image: Image) -> None:
    stall = registry.stall(image.layers[0].digest, after=MIB)
    kill = node.client_pull(image.reference(registry.host))
    stall.wait_held()
    kill()
    stall.release()
    assert len(node.pull_leases()) == 1


def test_leases_can_be_held(node: RealContainerd) -> None:
    drop = node.hold_lease("held")
    assert node.pull_leases() == {"held"}
    drop()
    assert not node.pull_leases()


def test_an_archive_is_imported_and_removed(node: RealContainerd, tmp_path: Path) -> None:
    archive = write_archive(build("team/app"), tmp_path / "image.tar", "example.org/team/app:1")
    node.import_image(archive)
    assert "example.org/team/app:1" in node.images()
    node.remove_image("example.org/team/app:1")
    assert not node.images()


def test_closing_leaves_nothing_behind(registry: Registry, image: Image) -> None:
    label = next(iter(debian.CONTAINERD))
    needs.containerd(label)
    with RealContainerd.fresh(label) as node:
        pid, folder = node.pid, node.folders.base
        node.pull(image.reference(registry.host)).wait()
    assert not folder.exists()
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_daemon_that_cannot_start_says_why() -> None:
    label = next(iter(debian.CONTAINERD))
    needs.containerd(label)
    with pytest.raises(NodeFailed, match="TOML"):
        RealContainerd.fresh(label, Settings(extra="nonsense"))


def test_unpacked_layers_can_be_discarded(registry: Registry, image: Image, label: str) -> None:
    with RealContainerd.fresh(label, Settings(discard_unpacked_layers=True)) as node:
        node.pull(image.reference(registry.host)).wait()
        wait_for(lambda: not any(node.has_content(blob.digest) for blob in image.layers))
        assert node.has_content(image.root.digest)


def test_a_layer_can_be_fetched_in_several_requests(registry: Registry, image: Image) -> None:
    needs.containerd("2.1")
    with RealContainerd.fresh("2.1", Settings(concurrent_layer_fetch_buffer=MIB)) as node:
        node.pull(image.reference(registry.host)).wait()
    offsets = {each.offset for each in registry.requests if each.target == image.layers[0].digest}
    assert {0, MIB} <= offsets


def test_a_pull_without_progress_is_given_up(registry: Registry, image: Image, label: str) -> None:
    if label == "1.6":
        pytest.skip("containerd 1.6 has no such timeout")
    registry.stall(image.layers[0].digest, after=MIB)
    with (
        RealContainerd.fresh(label, Settings(progress_timeout="1s")) as node,
        pytest.raises(PullFailed, match="cancel"),
    ):
        node.pull(image.reference(registry.host)).wait()
