"""Which writes of images are told, while the subscription is changed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pulltrace_exporter.containerd import event_watch as event_watch_module
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.event_watch import EventWatch
from rig.standin import StandIn
from rig.standin.descriptors import Descriptor
from rig.web import wait_until

pytestmark = pytest.mark.contract

TARGET = Descriptor("application/vnd.oci.image.manifest.v1+json", "sha256:" + "0" * 64, 100)
MARKED = {"io.cri-containerd.image": "managed"}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "c") as node:
        yield node


@pytest.fixture
def event_watch(node: StandIn) -> Iterator[EventWatch]:
    with closing(Client(node.socket, "k8s.io")) as client:
        event_watch = EventWatch(client, lambda: None)
        try:
            wait_until(lambda: node.bus.listeners == 1)
            yield event_watch
        finally:
            event_watch.close()


def test_a_write_that_two_subscriptions_hear_of_is_told_once(node: StandIn, event_watch: EventWatch) -> None:
    event_watch.adapt(busy=True)
    wait_until(lambda: node.bus.listeners == 2)
    told: list[tuple[str, bool, bool]] = []

    def told_of(name: str) -> bool:
        told.extend((write.name, write.created, write.managed) for write in event_watch.writes())
        return any(each == name for each, _, _ in told)

    node.store.put_image("first", TARGET, {})
    node.store.put_image("first", TARGET, MARKED)
    wait_until(lambda: told_of("first"))
    event_watch.adapt(busy=True)
    wait_until(lambda: node.bus.listeners == 1)
    node.store.put_image("last", TARGET, MARKED)
    wait_until(lambda: told_of("last"))
    assert told == [("first", True, False), ("first", False, True), ("last", True, True)]


def test_a_stream_that_ended_by_itself_is_begun_again_by_the_next_poll(
    node: StandIn, event_watch: EventWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when no descriptor was left for it: the connection of the polls goes on."""
    event_watch._listener._stream.cancel()
    wait_until(lambda: node.bus.listeners == 0)
    event_watch._listener._thread.join()
    event_watch.adapt(busy=False)
    assert node.bus.listeners == 0, "one that fails at once must not make polls come without a pause"
    monkeypatch.setattr(event_watch_module, "RETRY_SECONDS", 0.0)
    event_watch.adapt(busy=False)
    wait_until(lambda: node.bus.listeners == 1)
    node.store.put_image("later", TARGET, MARKED)
    wait_until(lambda: [write.name for write in event_watch.writes()] == ["later"])
