"""The stand-in as a daemon: dying and coming back, answering late, wrongly or not at all, and its events."""

import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from pulltrace_exporter.containerd.api import payloads_pb2
from rig import images
from rig.node import PullFailed
from rig.registry import Registry
from rig.standin import MIB, V1_6, V1_7, V2_1, Flavour, Layer, StandIn, SyntheticRegistry
from rig.standin.asking import Asking, wait_until

pytestmark = pytest.mark.contract


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture
def node(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "c") as node:
        yield node


@pytest.fixture
def ask(node: StandIn) -> Iterator[Asking]:
    with Asking(node.socket) as asking:
        yield asking


def test_a_crash_leaves_a_ghost_and_the_retry_takes_its_ingest_over(node: StandIn, registry: Registry) -> None:
    image = registry.push(images.build("team/app", (3 * MIB,)))
    layer = image.layers[0]
    ref = f"layer-{layer.digest}"
    stall = registry.stall(layer.digest, 2 * MIB)
    pull = node.pull(image.reference(registry.host))
    with Asking(node.socket) as ask:
        wait_until(lambda: ref in ask.ingests() and ask.ingests()[ref].offset == 2 * MIB)
        (ghost,) = ask.leases()
    node.crash()
    with pytest.raises(PullFailed, match="EOF"):
        pull.wait()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(node.socket))
    stall.release()
    before = time.time_ns()
    node.start()
    assert abs(node.socket.stat().st_mtime_ns - before) < 10**9
    with Asking(node.socket) as ask:
        assert [lease.id for lease in ask.leases()] == [ghost.id]
        assert ask.ingests()[ref].offset == 2 * MIB
        assert ghost.created_at.ToNanoseconds() < before
        node.pull(image.reference(registry.host)).wait()
        assert not ask.ingests()
        assert [lease.id for lease in ask.leases()] == [ghost.id]
        assert ask.resources(ghost.id, "ingests") == [ref]
        assert layer.digest not in ask.resources(ghost.id, "content")
    assert registry.sent(layer.digest) == layer.size


def test_the_dead_socket_keeps_its_inode_and_times(node: StandIn) -> None:
    alive = node.socket.stat()
    node.crash()
    dead = node.socket.stat()
    assert (dead.st_ino, dead.st_mtime_ns) == (alive.st_ino, alive.st_mtime_ns)
    with pytest.raises(PullFailed, match="connection refused"):
        node.pull("registry.example/team/app")
    node.start()
    assert node.socket.stat().st_mtime_ns > alive.st_mtime_ns


def test_the_socket_is_closed_to_others(node: StandIn) -> None:
    assert stat.S_IMODE(node.socket.stat().st_mode) == 0o660


def test_calls_are_counted_and_can_be_refused(node: StandIn, ask: Asking) -> None:
    with node.faults.failing("Leases/*", grpc.StatusCode.INTERNAL, "disk on fire", times=1):
        with pytest.raises(grpc.RpcError, match="disk on fire"):
            ask.leases()
        assert ask.leases() == []
        assert ask.version() == "2.1.9"
    assert node.faults.count("Leases/List") == 2
    node.faults.reset()
    assert node.faults.count("Leases/List") == 0


def test_answers_can_be_late(node: StandIn, ask: Asking) -> None:
    with node.faults.delaying("Version/Version", 0.2):
        before = time.monotonic()
        ask.version()
        assert time.monotonic() - before >= 0.2


def test_a_daemon_that_answers_nothing_can_be_closed(tmp_path: Path) -> None:
    node = StandIn(tmp_path / "c")
    with node.faults.delaying(), Asking(node.socket) as ask, ask.hearing():
        wait_until(lambda: node.faults.count("Events/Subscribe"))
        node.close()


def test_connections_are_dropped_without_a_restart(node: StandIn, ask: Asking) -> None:
    made = node.socket.stat().st_mtime_ns
    with ask.hearing():
        wait_until(lambda: node.bus.listeners)
        node.drop_connections()
        wait_until(lambda: not node.bus.listeners)
    assert node.socket.stat().st_mtime_ns == made
    wait_until(lambda: _version(ask))


def test_the_daemon_has_a_clock_of_its_own(node: StandIn, ask: Asking) -> None:
    node.clock.offset = -3600
    drop = node.hold_lease("past")
    assert ask.leases()[0].created_at.ToSeconds() == pytest.approx(time.time() - 3600, abs=5)
    drop()
    node.crash()
    node.start()
    assert node.socket.stat().st_mtime == pytest.approx(time.time() - 3600, abs=5)


def test_a_namespace_is_asked_for(node: StandIn) -> None:
    with Asking(node.socket, namespace="") as ask:
        assert ask.version() == "2.1.9"
        with pytest.raises(grpc.RpcError, match="namespace is required"):
            ask.leases()
    with Asking(node.socket, namespace="default") as ask:
        node.hold_lease("elsewhere")
        assert ask.leases() == []


@pytest.mark.parametrize(("digest", "code"), [("sha256:" + "0" * 64, "NOT_FOUND"), ("nonsense", "INVALID_ARGUMENT")])
def test_content_that_is_not_there(ask: Asking, digest: str, code: str) -> None:
    with pytest.raises(grpc.RpcError, match=code):
        ask.info(digest)
    with pytest.raises(grpc.RpcError, match=code):
        ask.read(digest)


def test_other_things_that_are_not_there(ask: Asking) -> None:
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        ask.resources("nobody", "content")
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        ask.stat("sha256:0")
    with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
        ask.images("target.digest=")


@pytest.mark.parametrize("flavour", [V1_6, V1_7, V2_1], ids=lambda flavour: str(flavour.name))
def test_events_of_a_pull(tmp_path: Path, registry: Registry, flavour: Flavour) -> None:
    image = registry.push(images.build("team/app", (MIB,), index=False))
    with StandIn(tmp_path / "c", flavour=flavour) as node, Asking(node.socket) as ask, ask.hearing() as heard:
        wait_until(lambda: node.bus.listeners)
        node.pull(image.reference(registry.host)).wait()
        wait_until(lambda: sum(topic.startswith("/images/") for topic in heard.topics) >= 3)
    created = [_content(event) for event in heard.events if event.topic == "/content/create"]
    blobs = [(blob.digest, blob.size) for blob in (image.manifest, image.config, image.layers[0])]
    assert created == (blobs if flavour.content_events else [])
    prepared = next(event for event in heard.events if event.topic == "/snapshot/prepare")
    message = payloads_pb2.SnapshotPrepare.FromString(prepared.event.value)
    assert prepared.event.type_url == "containerd.events.SnapshotPrepare"
    assert message.key.startswith("extract-")
    assert message.snapshotter == ("overlayfs" if flavour.snapshotter_in_events else "")
    assert "/snapshot/commit" in heard.topics


@pytest.mark.parametrize(
    ("flavour", "written"),
    [(V1_6, "TITD TITD tIT"), (V1_7, "TID T tT"), (V2_1, "TID T tT")],
    ids=["1.6", "1.7", "2.1"],
)
def test_names_of_an_image_are_written_as_containerd_writes_them(
    tmp_path: Path, registry: Registry, flavour: Flavour, written: str
) -> None:
    """A pull, a re-pull and one by a client. T is the tag, I the ID, D the digest; t is the tag without CRI's mark."""
    image = registry.push(images.build("team/app", (1000,)))
    reference = image.reference(registry.host)
    with StandIn(tmp_path / "c", flavour=flavour) as node, Asking(node.socket) as ask, ask.hearing() as heard:
        wait_until(lambda: node.bus.listeners)
        node.pull(reference).wait()
        node.pull(reference).wait()
        node.client_pull(reference)
        expected = written.replace(" ", "")
        wait_until(lambda: sum(topic.startswith("/images/") for topic in heard.topics) >= len(expected))
        wait_until(lambda: not node.pull_leases())
    changes = [event.event.value for event in heard.events if event.topic.startswith("/images/")]
    assert "".join(_letter(payloads_pb2.ImageChange.FromString(change)) for change in changes) == expected


def test_events_are_filtered(node: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app"))
    wanted = 'topic=="/content/create",namespace==k8s.io'
    with ask.hearing(wanted) as heard, ask.hearing("namespace==other") as others:
        wait_until(lambda: node.bus.listeners == 2)
        node.pull(image.reference(registry.host)).wait()
        wait_until(lambda: len(heard.events) == 4)
    assert set(heard.topics) == {"/content/create"}
    assert not others.events


def test_a_pull_without_progress_is_cancelled_by_the_daemon(tmp_path: Path, registry: Registry) -> None:
    image = registry.push(images.build("team/app", (2 * MIB,)))
    registry.stall(image.layers[0].digest, MIB)
    flavour = Flavour("standin", "2.1.9", progress_timeout=0.5)
    with StandIn(tmp_path / "c", flavour=flavour) as node, Asking(node.socket) as ask:
        with pytest.raises(PullFailed, match="context canceled"):
            node.pull(image.reference(registry.host)).wait()
        assert not ask.leases()


def test_a_synthetic_registry_may_fail_in_the_middle(node: StandIn, ask: Asking) -> None:
    source = SyntheticRegistry()

    def bandwidth(seconds: float) -> float:
        if seconds > 0.2:
            raise ConnectionError("reset by peer")
        return 50 * MIB

    source.publish("registry.example/team/app", [Layer("big", 10**9)], bandwidth=bandwidth)
    node.runtime.source = source
    with pytest.raises(PullFailed, match="reset by peer"):
        node.pull("registry.example/team/app").wait()
    assert not ask.leases()
    assert len(ask.ingests()) == 1


def test_a_hostile_manifest_fails_its_pull(node: StandIn, ask: Asking) -> None:
    source = SyntheticRegistry()
    manifest = "application/vnd.oci.image.manifest.v1+json"
    source.publish_document("registry.example/broken", manifest, b"{")
    source.publish_document("registry.example/headless", manifest, b'{"layers":[]}')
    node.runtime.source = source
    for name in ("broken", "headless", "absent"):
        with pytest.raises(PullFailed):
            node.pull(f"registry.example/{name}").wait()
    assert not ask.leases()


def _version(ask: Asking) -> str:
    try:
        return ask.version()
    except grpc.RpcError:
        return ""


def _content(event: object) -> tuple[str, int]:
    message = payloads_pb2.ContentCreate.FromString(event.event.value)  # type: ignore[attr-defined]
    return message.digest, message.size


def _letter(change: payloads_pb2.ImageChange) -> str:
    kind = "D" if "@" in change.name else "I" if change.name.startswith("sha256:") else "T"
    return kind if change.labels else kind.lower()
