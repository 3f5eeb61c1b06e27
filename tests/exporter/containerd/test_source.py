"""The connection to containerd across its restarts."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pulltrace_exporter.containerd import source as source_module
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.event_watch import EventWatch
from pulltrace_exporter.containerd.socket import SocketFile, check_socket
from pulltrace_exporter.containerd.source import ContainerdSource
from pulltrace_exporter.errors import ContainerdError
from rig.images import MIB
from rig.standin import StandIn
from rig.standin.synthetic import Layer, SyntheticRegistry
from rig.web import wait_until

pytestmark = pytest.mark.contract


IMAGE = "registry.example/team/app:v1"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[StandIn]:
    registry = SyntheticRegistry()
    registry.publish(IMAGE, [Layer("base", MIB), Layer("app", 1000)])
    with StandIn(tmp_path / "c", registry) as node:
        yield node


def test_a_containerd_that_starts_between_the_check_of_its_socket_and_the_connection_is_told_from_the_former_one(
    node: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its crash has left behind is known by its start, and by nothing else."""

    def check_then_restart(address: Path, allowed: Iterable[Path]) -> SocketFile | None:
        checked = check_socket(address, allowed)
        monkeypatch.setattr(source_module, "check_socket", check_socket)
        node.crash()
        node.start()
        return checked

    monkeypatch.setattr(source_module, "check_socket", check_then_restart)
    with closing(ContainerdSource(node.socket, [node.socket.parent], "k8s.io")) as source:
        with pytest.raises(ContainerdError, match="made anew"):
            source.observe(())
        seen = source.observe(())
    assert seen.reconnected
    assert seen.daemon.started_at == node.socket.stat().st_mtime


def test_a_connection_that_was_made_half_is_made_anew(node: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no more threads may be started: without its events, short pulls are never heard of."""

    def fail_once(client: Client, ring: Callable[[], None]) -> EventWatch:
        monkeypatch.setattr(source_module, "EventWatch", EventWatch)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(source_module, "EventWatch", fail_once)
    with closing(ContainerdSource(node.socket, [node.socket.parent], "k8s.io")) as source:
        with pytest.raises(RuntimeError):
            source.observe(())
        source.observe(())
        wait_until(lambda: node.bus.listeners == 1)


def test_a_call_that_fails_after_a_short_pull_makes_none_of_its_content_seem_older(node: StandIn) -> None:
    """containerd still answers. After a new connection nobody would know when the pull had not begun yet."""
    with closing(ContainerdSource(node.socket, [node.socket.parent], "k8s.io")) as source:
        source.observe(())
        wait_until(lambda: node.bus.listeners == 1)
        node.pull(IMAGE).wait()
        with node.faults.failing("Images/List"):
            wait_until(lambda: _fails(source, "Images/List"))
        (lease,) = wait_until(lambda: source.observe(()).inferred)
    blobs = [blob for blob in (*lease.contents.values(), *lease.found_blobs.values()) if blob is not None]
    assert sum(blob.size for blob in blobs) > MIB
    assert all(blob.created_at >= lease.created_at for blob in blobs)


def _fails(source: ContainerdSource, call: str) -> bool:
    """Whether a poll fails by this call: it does so once the events of a pull have come."""
    try:
        source.observe(())
    except ContainerdError as error:
        return error.call == call
    return False
