"""A server that misbehaves, on the fake: a fault costs a restart of the watch, and then all is right again."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from aggregator.kube.adapter_setup import QUICK, AdapterSetup, RunningAdapter
from pulltrace.clock import SystemClock
from pulltrace_aggregator.kube import client as client_module
from pulltrace_aggregator.kube import resources
from pulltrace_aggregator.kube.errors import InvalidAnswer, KubernetesError, Refused
from pulltrace_aggregator.kube.reflector import Stage
from pulltrace_aggregator.kubelet.messages import EVENT_REASONS
from pulltrace_aggregator.model.cluster import Observed, PodSeen
from rig.kubernetes.api import Object
from rig.kubernetes.fake import FakeCluster, refuse, say
from rig.kubernetes.fake.faults import Action, status_object
from rig.kubernetes.fake.reads import line
from rig.kubernetes.fake.server import Handler

pytestmark = pytest.mark.contract

Follow = Callable[..., RunningAdapter]

GONE = line("ERROR", status_object(410, "too old resource version"))
LOST = line("ERROR", status_object(500, "etcd lost its leader"))
BUSY = line("ERROR", status_object(429, "storage is initializing"))


@pytest.fixture
def pods(fake_setup: AdapterSetup) -> Follow:
    """Follows the pods of the test's namespace alone."""

    def follow(**options: object) -> RunningAdapter:
        return fake_setup.follow([resources.waiting_pods(fake_setup.namespace)], **options)  # type: ignore[arg-type]

    return follow


@pytest.mark.parametrize(
    ("action", "reason", "lists"),
    [
        pytest.param(say(GONE), "expired", 2, id="410 as an event"),
        pytest.param(refuse(410), "expired", 2, id="410 as a status"),
        pytest.param(say(LOST), "error_event", 2, id="500 as an event"),
        pytest.param(say(BUSY), "throttled", 1, id="429 as an event"),
        pytest.param(refuse(500), "server_error", 1, id="500"),
        pytest.param(refuse(503), "server_error", 1, id="503"),
        pytest.param(refuse(302, headers={"Location": "/elsewhere"}), "server_error", 1, id="redirect"),
        pytest.param(refuse(429, headers={"Retry-After": "0"}), "throttled", 1, id="429"),
        pytest.param(refuse(429, headers={"Retry-After": "Fri, 31 Dec 2038 23:59:59 GMT"}), "throttled", 1, id="date"),
        pytest.param(say(b"garbage\n"), "invalid_answer", 2, id="garbage"),
        pytest.param(say(b"\xff\xfe\n"), "invalid_answer", 2, id="no text"),
        pytest.param(say(b"[]\n"), "invalid_answer", 2, id="no object"),
        pytest.param(say(b"{}\n"), "invalid_answer", 2, id="no change"),
        pytest.param(say(b"[" * 100_000 + b"\n"), "invalid_answer", 2, id="deep"),
        pytest.param(say(line("RENAMED", {"metadata": {}})), "invalid_answer", 2, id="unknown type"),
        pytest.param(say(line("ERROR", {"code": None})), "error_event", 2, id="error without a code"),
        pytest.param(say(b'{"type":"ADDED","obj', cut=True), "closed", 1, id="cut in a change"),
        pytest.param(say(b'{"type":"ADDED","obj'), "invalid_answer", 2, id="ended in a change"),
        pytest.param(say(cut=True), "closed", 1, id="cut"),
        pytest.param(say(), "closed", 1, id="ended at once"),
    ],
)
def test_a_watch_that_fails_is_begun_anew(
    fake: FakeCluster,
    fake_setup: AdapterSetup,
    pods: Follow,
    action: Action,
    reason: str,
    lists: int,
) -> None:
    fault = fake.fault("watch", "pods", action, times=1)
    following = pods(timing=replace(QUICK, at_once=60))  # on a busy machine too, no end comes later than at once
    fault.wait_hit()
    fake_setup.pod("later")
    following.seen.wait(lambda: following.seen.pod("later"))
    following.wait_up()
    assert dict(following.cluster.health.restarts) == {("pods", reason): 1}
    assert following.seen.lists("pods") == lists
    assert not following.problems


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        pytest.param(say(b"{}"), "invalid_answer", id="no list"),
        pytest.param(say(b'{"metadata":{"resourceVersion":"5","continue":7}}'), "invalid_answer", id="continuation"),
        pytest.param(say(b"<html>"), "invalid_answer", id="a page of a proxy"),
        pytest.param(say(b'{"items":[', cut=True), "closed", id="cut"),
        pytest.param(refuse(500), "server_error", id="500"),
        pytest.param(refuse(410), "expired", id="410"),
    ],
)
def test_a_list_that_fails_is_begun_anew(
    fake: FakeCluster, fake_setup: AdapterSetup, pods: Follow, action: Action, reason: str
) -> None:
    fake_setup.pod("there")
    fake.fault("list", "pods", action, times=1)
    following = pods().wait_up()
    assert [each.name for each in following.seen.of(PodSeen)] == ["there"]
    assert dict(following.cluster.health.restarts) == {("pods", reason): 1}


def test_pods_are_not_gone_because_a_list_broke_off(fake: FakeCluster, fake_setup: AdapterSetup, pods: Follow) -> None:
    fake_setup.pod("there")
    following = pods().wait_up()
    fake.fault("watch", "pods", say(GONE), times=1)
    broken = fake.fault("list", "pods", say(b'{"items":[', cut=True), times=3)
    fake_setup.proxy.cut()
    broken.wait_hit(3)
    following.wait_up()
    assert [type(each) for each in following.seen.log if hasattr(each, "uid")] == [PodSeen, PodSeen]


def test_a_server_that_asks_for_patience_gets_it(fake: FakeCluster, pods: Follow) -> None:
    fault = fake.fault("list", "pods", refuse(429, headers={"Retry-After": "1"}), times=1)
    began = time.monotonic()
    following = pods()
    fault.wait_hit()
    following.wait_up()
    assert time.monotonic() - began > 1
    assert len(fake.asked("list", "pods")) == 2


def test_a_server_that_is_down_is_not_asked_all_the_time(fake: FakeCluster, pods: Follow) -> None:
    fault = fake.fault("list", "pods", refuse(503))
    timing = replace(QUICK, first_pause=0.05, longest_pause=0.4)
    following = pods(timing=timing)
    fault.wait_hit(3)
    time.sleep(1.5)
    # Pauses of at least half of 0.05, 0.1, 0.2, 0.4, 0.4 s and so on.
    assert fault.hits <= 12
    following.wait_stage("pods", Stage.FAILING)
    fault.lift()
    following.wait_up()


def test_one_odd_object_costs_itself_only(fake: FakeCluster, fake_setup: AdapterSetup, pods: Follow) -> None:
    odd: list[Object] = [
        {},
        {"metadata": []},
        {"metadata": {"uid": 1}},
        {"metadata": {"uid": "u", "name": "n"}, "spec": 5},
    ]
    good: Object = {"metadata": {"uid": "good", "name": "good", "namespace": "x"}, "spec": {"nodeName": "node-1"}}
    page = {"metadata": {"resourceVersion": "100"}, "items": [*odd, None, good]}
    changes = [line(kind, item) for item in [*odd, {**good, "status": []}] for kind in ("ADDED", "DELETED")]
    fake.fault("list", "pods", say(json.dumps(page).encode()), times=1)
    fake.fault("watch", "pods", say(*changes, b"\n", line("ADDED", good)), times=1)
    following = pods()
    fake_setup.pod("real")
    following.seen.wait(lambda: following.seen.pod("real"))
    assert following.seen.pod("good")
    assert following.seen.lists("pods") == 1


def test_a_server_without_versions_is_followed_all_the_same(fake: FakeCluster, pods: Follow) -> None:
    """The least that a list and a watch can say."""
    listed, later = ({"metadata": {"uid": name, "name": name}, "spec": {"nodeName": "n"}} for name in ("one", "two"))
    fake.fault("list", "pods", say(json.dumps({"items": [listed]}).encode()), times=1)
    fake.fault("watch", "pods", say(line("ADDED", later)), times=1)
    following = pods()
    following.seen.wait(lambda: following.seen.pod("one") and following.seen.pod("two"))


def test_an_endless_change_is_not_collected(fake: FakeCluster, pods: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LARGEST_OBJECT", 100_000)
    fake.fault("watch", "pods", say(*[b"x" * 50_000] * 20), times=1)
    following = pods()
    following.wait_restarts("pods", "invalid_answer")
    following.wait_up()


def test_an_endless_answer_is_not_collected(
    fake: FakeCluster, fake_setup: AdapterSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LARGEST_ANSWER", 100_000)
    fake.fault("get", "pods", say(*[b" " * 50_000] * 20))
    with pytest.raises(InvalidAnswer, match="an answer of more than 100000 bytes"):
        fake_setup.client().pod("default", "none")


def test_a_complaint_of_a_stranger_is_cut_and_on_one_line(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    fake.fault("get", "pods", refuse(500, "what\nan\x1b[31m answer " + "x" * 5000))
    with pytest.raises(Refused) as caught:
        fake_setup.client().pod("default", "none")
    text = str(caught.value)
    assert text.startswith("get pods in namespace default: status 500: what an�[31m answer xxx")
    assert len(text) < 400
    assert text.isprintable()


def test_a_date_that_is_none_is_not_used(fake_setup: AdapterSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "date_time_string", lambda *_: "Fri, 01 Jan 99999999999 00:00:00 GMT")
    client = fake_setup.client()
    assert client.pod("default", "none") is None
    assert client.server_ahead(SystemClock().now()) is None


def test_a_fault_of_ours_costs_one_change(fake_setup: AdapterSetup, pods: Follow) -> None:
    class Failing:
        """A sink with a fault."""

        def receive(self, observed: Observed) -> None:
            if isinstance(observed, PodSeen) and observed.name == "odd":
                raise ZeroDivisionError

    following = pods(receiver=Failing()).wait_up()
    fake_setup.pod("before")
    odd = fake_setup.pod("odd")
    following.wait_restarts("pods", "internal")
    fake_setup.api.delete(odd)
    fake_setup.pod("after")
    following.seen.wait(lambda: following.seen.pod("after"))
    following.wait_up()


def test_a_bad_certificate_is_said(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    with FakeCluster() as stranger:
        fake_setup.cluster.ca_file.write_bytes(stranger.ca_file.read_bytes())
        client = fake_setup.client()
        with pytest.raises(KubernetesError, match=f"no answer from {fake_setup.url}: .*CERTIFICATE_VERIFY_FAILED"):
            client.pod("default", "none")


def test_requests_are_bounded_and_selected(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    fake_setup.follow(resources.selections()).wait_up()
    (listed,) = fake.asked("list", "pods")
    assert listed.query == {"limit": "500", "fieldSelector": "status.phase=Pending,spec.nodeName!="}
    (watched,) = fake.asked("watch", "pods")
    assert 45 <= int(watched.query["timeoutSeconds"]) <= 75
    assert watched.query["allowWatchBookmarks"] == "true"
    selectors = {each.query["fieldSelector"] for each in fake.asked("watch", "events")}
    assert selectors == {f"involvedObject.kind=Pod,reason={reason}" for reason in EVENT_REASONS}
