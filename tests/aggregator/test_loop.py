"""The loop: what comes is heard in order, what goes wrong costs itself only, the view is published with its state."""

import logging
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from pulltrace.clock import Instant
from pulltrace_aggregator.controller.node_reconciler import NodeReconciler
from pulltrace_aggregator.controller.reconciler import Reconciler
from pulltrace_aggregator.exporters.state import ExporterGone, ExporterSeen
from pulltrace_aggregator.kube.reflector import Health, Stage, WatchState
from pulltrace_aggregator.loop import MOST_AT_ONCE, Inbox, Loop, NodeRead
from pulltrace_aggregator.model.cluster import NodeSeen, PodSeen, SliceSeen
from pulltrace_aggregator.model.node import NodeReading
from rig.simulated_cluster import START, Cluster, SimulatedPod
from rig.web import wait_until

pytestmark = pytest.mark.unit


class StillClock:
    def now(self) -> Any:
        return START


class Kubernetes:
    """No pod is there. Looks are answered once `together` of them are under way."""

    def __init__(self) -> None:
        self.together = threading.Barrier(1)
        self.health = Health((WatchState("pods", "pods"), WatchState("events Pulling", "events")))

    def server_ahead(self, _now: Instant) -> float | None:
        return None

    def pod(self, namespace: str, name: str) -> PodSeen | None:
        self.together.wait(10)
        return None

    def node(self, name: str) -> NodeSeen | None:
        return NodeSeen(name, "windows", "containerd", virtual=False)


class Exporters:
    def __init__(self) -> None:
        self.slices: list[object] = []
        self.wanted: list[tuple[frozenset[str], frozenset[str]]] = []

    def receive(self, observed: object) -> None:
        self.slices.append(observed)

    def want(self, nodes: Iterable[str], layers: Iterable[str]) -> None:
        self.wanted.append((frozenset(nodes), frozenset(layers)))


class AdapterSetup:
    """A loop on a simulated cluster's nodes and pods."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.inbox = Inbox(StillClock())
        self.kubernetes = Kubernetes()
        self.exporters = Exporters()
        self.loop = Loop(self.inbox, Reconciler(START), self.kubernetes, self.exporters, StillClock())

    def waiting_pod(self, name: str = "web", node: str = "node-1") -> SimulatedPod:
        """A pod comes that waits for its image."""
        pod = self.cluster.pod(name, node=node)
        self.inbox.receive(pod.seen)
        self.inbox.receive(pod.pulling())
        return pod

    def pods(self) -> list[str]:
        self.loop.step()
        return [row.labels.pod for row in self.loop.published.view.pods]


def test_it_is_ready_with_the_turn_that_has_heard_the_first_lists_and_stays_so() -> None:
    setup = AdapterSetup()
    setup.loop.step()
    assert "pods, events Pulling" in setup.loop.published.unready
    complete = WatchState("pods", "pods", Stage.WATCHING, complete=True)
    refused = WatchState("events Pulling", "events", Stage.REFUSED, "the right to list events is missing")
    setup.kubernetes.health = Health((complete, refused))
    setup.loop.step()
    assert setup.loop.published.unready == (
        "waiting for the first list of events Pulling; the right to list events is missing"
    )
    later = replace(refused, complete=True)
    setup.kubernetes.health = Health((complete, later))
    setup.loop.step()
    assert (setup.loop.published.unready, setup.loop.published.problems) == ("", (refused.problem,))
    setup.kubernetes.health = Health((WatchState("pods", "pods", Stage.FAILING, "gone"),))
    setup.loop.step()
    assert (setup.loop.published.unready, setup.loop.published.problems) == ("", ("gone",))


def test_it_is_not_ready_while_there_is_more_to_hear_than_fits_into_one_turn() -> None:
    setup = AdapterSetup()
    setup.kubernetes.health = Health((WatchState("pods", "pods", Stage.WATCHING, complete=True),))
    for _ in range(MOST_AT_ONCE):
        setup.inbox.receive(ExporterGone("nobody"))
    setup.inbox.receive(setup.cluster.pod().pulling())
    setup.loop.step()
    assert setup.loop.published.unready
    assert setup.pods() == ["web"]
    assert not setup.loop.published.unready


def test_a_node_where_a_pod_waits_is_passed_on_once() -> None:
    setup = AdapterSetup()
    setup.waiting_pod()
    setup.inbox.receive(ExporterSeen(setup.cluster.node().reading(), "http://x"))
    assert setup.pods() == ["web"]
    assert setup.pods() == ["web"]
    assert setup.exporters.wanted == [(frozenset({"node-1"}), frozenset())]
    setup.inbox.receive(SliceSeen("shop", "exporters", "u", ()))
    setup.inbox.receive(ExporterGone("node-1"))
    assert setup.pods() == ["web"]
    assert len(setup.exporters.slices) == 1


def test_a_dark_node_where_a_pod_waits_is_read_from_the_api() -> None:
    setup = AdapterSetup()
    setup.waiting_pod()
    setup.loop.step()
    ((item, _),) = setup.inbox.wait(10)
    assert isinstance(item, NodeRead)
    assert (item.name, item.found and item.found.can_have_exporter) == ("node-1", False)


def test_slow_answers_about_deleted_pods_do_not_wait_for_each_other() -> None:
    setup = AdapterSetup()
    setup.kubernetes.together = threading.Barrier(10)
    pods = [setup.waiting_pod(f"web-{number}") for number in range(40)]
    assert len(setup.pods()) == len(pods)
    for pod in pods:
        setup.inbox.receive(pod.gone)
    running = threading.Thread(target=setup.loop.run)
    running.start()
    try:
        wait_until(lambda: not setup.loop.published.view.pods)
    finally:
        setup.loop.stop()
        running.join()


def test_news_that_cannot_be_handled_cost_themselves_only(caplog: pytest.LogCaptureFixture) -> None:
    setup = AdapterSetup()
    for _ in range(3):
        setup.inbox.receive("what is this")  # type: ignore[arg-type]
        setup.inbox.receive(ExporterSeen(None, ""))  # type: ignore[arg-type]
    setup.waiting_pod()
    assert setup.pods() == ["web"]
    assert "internal error" in caplog.text


@pytest.mark.parametrize("kind", ["pod", "node"])
def test_a_read_that_ends_in_an_internal_error_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def fail(*_: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Kubernetes, kind, fail)
    setup = AdapterSetup()
    pod = setup.waiting_pod()
    setup.inbox.receive(pod.gone)
    setup.loop.step()
    wait_until(lambda: "internal error" in caplog.text)


@pytest.mark.parametrize("step", ["compare", "reconcile"])
def test_a_node_that_cannot_be_judged_costs_itself_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    take = getattr(NodeReconciler, step)

    def raise_for_odd(self: NodeReconciler, reading: NodeReading, *others: Any, **options: Any) -> Any:
        if reading.node == "odd":
            raise ZeroDivisionError
        return take(self, reading, *others, **options)

    monkeypatch.setattr(NodeReconciler, step, raise_for_odd)
    setup = AdapterSetup()
    for name in ("odd", "node-1"):
        setup.waiting_pod(f"on-{name}", name)
    with caplog.at_level(logging.ERROR):
        assert "on-node-1" in setup.pods()
        assert "on-node-1" in setup.pods()
    assert caplog.text.count("internal error") == 1


def test_many_news_are_heard_in_order_between_two_views() -> None:
    inbox = Inbox(StillClock())
    for number in range(MOST_AT_ONCE + 1):
        inbox.receive(ExporterGone(str(number)))
    inbox.wake()
    first, second = inbox.wait(0.0), inbox.wait(1.0)
    assert [news.node for news, _ in (*first, *second) if isinstance(news, ExporterGone)] == [
        str(number) for number in range(MOST_AT_ONCE + 1)
    ]
    assert len(first) == MOST_AT_ONCE
    assert inbox.wait(0.0) == []
