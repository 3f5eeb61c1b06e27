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
from rig.standin import StandIn
from rig.web import wait_until

pytestmark = pytest.mark.contract


@pytest.fixture
def node(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "c") as node:
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
