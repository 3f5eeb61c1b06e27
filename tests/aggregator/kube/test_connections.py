"""Connections that break, hang and come back: what is known stays right, and everything ends at once when told to."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from aggregator.kube.adapter_setup import QUICK, AdapterSetup
from pulltrace.clock import SystemClock
from pulltrace_aggregator.kube.access import ApiAccess, source
from pulltrace_aggregator.kube.client import ApiClient, Timing
from pulltrace_aggregator.kube.errors import KubernetesError, Stopped
from pulltrace_aggregator.kube.reflector import Stage
from pulltrace_aggregator.kubelet.messages import EVENT_REASONS
from pulltrace_aggregator.model.cluster import Change, EventSeen, PodGone
from rig.kubernetes.api import kubeconfig
from rig.kubernetes.fake import FakeCluster, Fault, hang, silent
from rig.kubernetes.fake.server import Handler

AT_ONCE = 4.0
"""Seconds that an end may take, on a machine that is busy. Whatever it does not wait for would take longer."""
LONG = Timing(connect=60, answer=60)


def test_a_cut_watch_goes_on_where_it_was(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    leaving = setup.pod("leaving")
    event = setup.event(leaving)
    following.seen.wait(lambda: following.seen.pod("leaving") and following.seen.events)
    setup.proxy.refuse()
    following.wait_restarts("pods", "network")
    setup.api.delete(leaving)
    setup.pod("coming")
    setup.api.patch(event, {"count": 2})
    setup.proxy.allow()
    following.seen.wait(lambda: following.seen.pod("coming"))
    following.seen.wait(lambda: following.seen.events_of("leaving", Change.MODIFIED))
    following.wait_up()
    assert following.seen.lists("pods") == 1
    assert [each.name for each in following.seen.of(PodGone)] == ["leaving"]
    assert following.restarts("pods", "closed") == 1
    assert not following.problems


def test_an_expired_version_is_listed_anew(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    old = setup.event(setup.pod(), "Failed")
    following.seen.wait(lambda: following.seen.events)
    setup.proxy.refuse()
    following.wait_stage("events", Stage.FAILING)
    setup.api.patch(old, {"count": 7})
    setup.event(setup.pod("other"), "Failed")
    setup.cluster.compact()
    setup.proxy.allow()
    # Not `wait_up`: a server accepts a watch before it says that its version has expired.
    following.seen.wait(lambda: following.seen.lists("events", "Failed") == 2)
    assert following.restarts("events", "expired")
    following.wait_up()
    changes = [(each.pod, each.count, each.change) for each in following.seen.of(EventSeen)]
    assert changes == [("app", 1, Change.ADDED), ("app", 7, Change.LISTED), ("other", 1, Change.LISTED)]


def test_pods_that_left_unseen_are_gone_after_a_restart_of_the_server(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    left, stayed = setup.pod("left"), setup.pod("stayed")
    following.seen.wait(lambda: len(following.seen.pods) == 2)
    setup.proxy.refuse()
    setup.api.set_status(left, phase="Running")
    setup.pod("came")
    # A server that has just started remembers nothing of what was before.
    setup.cluster.compact()
    setup.cluster.stop()
    setup.cluster.start()
    setup.proxy.allow()
    following.seen.wait(lambda: following.seen.lists("pods") == 2)
    following.wait_up()
    assert {each.name for each in following.seen.pods.values()} == {"stayed", "came"}
    assert [each.uid for each in following.seen.of(PodGone)] == [left["metadata"]["uid"]]
    assert following.seen.pods[stayed["metadata"]["uid"]]
    assert following.seen.lists("pods") == 2


def test_a_restart_of_the_server_is_survived(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    setup.cluster.stop()
    following.wait(lambda: any(f"no answer from {setup.url}: " in each for each in following.problems))
    assert not following.cluster.health.up
    setup.cluster.start()
    following.wait_up()
    setup.pod("after")
    following.seen.wait(lambda: following.seen.pod("after"))
    assert following.cluster.health.ready


def test_a_connection_that_leads_nowhere_is_dropped(setup: AdapterSetup) -> None:
    # So long that the watch of pods still runs when the others have begun.
    timing = replace(QUICK, watch=6.0, grace=0.5)
    following = setup.follow(timing=timing).wait_up()
    setup.proxy.freeze()
    setup.pod("unheard")
    following.wait_restarts("pods", "silent")
    # Those that were asked to last longer find out with it.
    following.wait_restarts("events", "closed", len(EVENT_REASONS))
    assert not following.seen.pods
    setup.proxy.thaw()
    following.seen.wait(lambda: following.seen.pod("unheard"))
    following.wait_up()
    assert following.seen.lists("pods") == 1


def test_idle_watches_end_at_once(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    assert ended(following.cluster.close) < AT_ONCE


@pytest.mark.contract
def test_requests_without_an_answer_end_at_once(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    fault = fake.fault("list", "pods", hang)
    following = fake_setup.follow(timing=LONG)
    fault.wait_hit()
    assert ended(following.cluster.close) < AT_ONCE


@pytest.mark.contract
def test_a_handshake_without_an_answer_ends_at_once(fake_setup: AdapterSetup) -> None:
    fake_setup.proxy.freeze()
    following = fake_setup.follow(timing=LONG)
    fake_setup.proxy.wait_connections(len(following.cluster.health.watches))
    assert ended(following.cluster.close) < AT_ONCE


@pytest.mark.contract
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_is_not_taken_ends_at_once(
    scheme: str, fake: FakeCluster, fake_setup: AdapterSetup, caplog: pytest.LogCaptureFixture
) -> None:
    """The queue of a listener that nobody serves is full: connecting takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [_connecting(address) for _ in range(4)]
        path = fake_setup.folder / "nowhere"
        path.write_text(kubeconfig(f"{scheme}://127.0.0.1:{address[1]}", fake.ca_file, token="x"))
        following = fake_setup.follow(kubeconfig=str(path), timing=LONG)
        # None of them gets through, and none of them gives up.
        time.sleep(0.2)
        assert {watch.stage for watch in following.cluster.health.watches} == {Stage.STARTING}
        took = ended(following.cluster.close)
        for each in waiting:
            each.close()
    assert took < AT_ONCE
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.contract
def test_nothing_is_sent_once_the_access_is_closed(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    access = ApiAccess(source(fake_setup.kubeconfig(fake.admin_token)), SystemClock())
    client = ApiClient(access, QUICK, SystemClock())
    assert client.pod("default", "none") is None
    access.close()
    with pytest.raises(Stopped):
        client.pod("default", "none")


@pytest.mark.contract
def test_no_thread_outlives_the_adapter(fake_setup: AdapterSetup) -> None:
    following = fake_setup.follow().wait_up()
    watching = {thread for thread in threading.enumerate() if thread.name.startswith("watch ")}
    assert len(watching) == len(following.cluster.health.watches)
    assert not any(thread.daemon for thread in watching)
    following.cluster.close()
    assert not any(thread.is_alive() for thread in watching)


@pytest.mark.contract
def test_an_answer_that_drips_is_given_up(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    def drip(handler: Handler, fault: Fault) -> None:
        handler.begin()
        while not fault.lifted:
            handler.send(b" ")
            handler.check()
            time.sleep(0.02)

    fault = fake.fault("get", "pods", drip)
    client = fake_setup.client(timing=replace(QUICK, whole_answer=0.3))
    with pytest.raises(KubernetesError, match=r"not complete after 0\.3 s"):
        client.pod("default", "none")
    fault.lift()


@pytest.mark.contract
def test_a_silent_watch_is_dropped(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    fault = fake.fault("watch", "pods", silent, times=1)
    following = fake_setup.follow(timing=replace(QUICK, watch=2.0, grace=0.5))
    fault.wait_hit()
    fake_setup.event(fake_setup.pod("unheard"))
    following.seen.wait(lambda: following.seen.events)
    following.wait_restarts("pods", "silent")
    following.seen.wait(lambda: following.seen.pod("unheard"))
    following.wait_up()
    assert following.seen.lists("events", "Pulling") == 1


def _connecting(address: tuple[str, int]) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex(address)
    return connection


def ended(close: Callable[[], None]) -> float:
    began = time.monotonic()
    close()
    return time.monotonic() - began
