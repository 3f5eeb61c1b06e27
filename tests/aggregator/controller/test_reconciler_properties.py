"""Whatever happens in whatever order: no series twice, no counter falls, nothing is invented or left over."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pulltrace.model.pull import Phase
from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.model.cluster import Change, PodGone, RunState
from pulltrace_aggregator.model.states import Cause, MatchKind, PodPhase
from pulltrace_aggregator.model.view import Totals, View
from rig.simulated_cluster import Cluster, SimulatedPod

pytestmark = pytest.mark.unit

IN_CI = os.environ.get("CI", "").lower() == "true"
thorough = settings(
    max_examples=300 if IN_CI else 40,
    stateful_step_count=50,
    derandomize=IN_CI,
    suppress_health_check=list(HealthCheck),
)

LINGER = 20.0
IMAGES = (
    "registry.example/team/app:1",
    "registry.example/team/app:2",
    "alpine",
    "docker.io/library/alpine:latest",
    "no ref",
)
NAMES = st.sampled_from(["a", "b", "c"])
NODES = st.sampled_from(["node-1", "node-2"])
IMAGE = st.sampled_from(IMAGES)
PULLED = st.sampled_from(IMAGES[:-1])
USERS = st.sampled_from(["app", "setup", "debug", "model"])
REASONS = st.sampled_from(
    ["", "ContainerCreating", "ErrImagePull", "ImagePullBackOff", "ImageVolumeMountFailed", "CrashLoopBackOff", "odd"]
)
STATES = st.sampled_from(list(RunState))
CHANGES = st.none() | st.sampled_from(list(Change))


def counters(totals: Totals) -> dict[Any, float]:
    named: dict[str, Mapping[Any, float]] = {
        "failures": totals.failures,
        "stale": totals.stale_pulls,
        "image bytes": totals.image_bytes,
        "image pulls": totals.image_pulls,
        **{
            name: {key: histogram.count for key, histogram in found.items()}
            for name, found in (
                ("durations", totals.durations),
                ("queues", totals.queues),
                ("stages", totals.stages),
                ("waits", totals.waits),
            )
        },
    }
    return {(name, key): value for name, values in named.items() for key, value in values.items()}


class World(RuleBasedStateMachine):
    """Two nodes, a few pods, and an API that shows things late, twice, in any order, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(Limits(pod_linger=LINGER), node_ahead=7200.0, server_ahead=-3600.0)
        self.cluster.listed()
        self.counters: dict[Any, float] = {}

    def pods(self, name: str) -> list[SimulatedPod]:
        return [pod for pod in self.cluster.pods if pod.name == name]

    @rule(name=NAMES, node=NODES, image=IMAGE, told=st.booleans())
    def create(self, name: str, node: str, image: str, told: bool) -> None:
        for pod in self.pods(name):
            pod.phase = "gone"
        self.cluster.pod(
            name,
            image,
            node=node,
            told=told,
            init={"setup": IMAGES[0]},
            ephemeral={"debug": "e:1"},
            volumes={"model": "v:1"},
        )

    @rule(name=NAMES, user=USERS, reason=REASONS, state=STATES)
    def status(self, name: str, user: str, reason: str, state: RunState) -> None:
        for pod in self.pods(name)[-1:]:
            if pod.phase == "Pending":
                pod.status(reason, "not found", user, state=state)

    @rule(
        name=NAMES,
        user=USERS,
        kind=st.sampled_from(["pulling", "pulled", "present", "back_off", "failed"]),
        change=CHANGES,
    )
    def event(self, name: str, user: str, kind: str, change: Change | None) -> None:
        for pod in self.pods(name)[-2:]:
            tell = getattr(pod, kind)
            tell("unauthorized", user, change=change) if kind == "failed" else tell(user, change=change)

    @rule(name=NAMES, terminating=st.booleans(), told=st.booleans())
    def delete(self, name: str, terminating: bool, told: bool) -> None:
        for pod in self.pods(name)[-1:]:
            if told:
                pod.delete(terminating=terminating)
            pod.phase = "gone"

    @rule(name=NAMES)
    def leave(self, name: str) -> None:
        for pod in self.pods(name)[-1:]:
            if pod.phase == "Pending":
                pod.leave()

    @rule(node=NODES, image=PULLED, known=st.booleans(), requests=st.integers(1, 2))
    def pull(self, node: str, image: str, known: bool, requests: int) -> None:
        self.cluster.node(node).pull(image, known=known, requests=requests)

    @rule(node=NODES, image=PULLED, ratio=st.floats(0, 1), phase=st.sampled_from([Phase.DOWNLOADING, Phase.UNPACKING]))
    def advance(self, node: str, image: str, ratio: float, phase: Phase) -> None:
        if image in self.cluster.node(node).pulls:
            self.cluster.node(node).advance(image, ratio=ratio, phase=phase, ended_at=None)

    @rule(node=NODES, image=PULLED, phase=st.sampled_from([Phase.SUCCEEDED, Phase.FAILED, Phase.ORPHANED]))
    def end(self, node: str, image: str, phase: Phase) -> None:
        if image in self.cluster.node(node).pulls:
            self.cluster.node(node).end(image, phase)

    @rule(node=NODES, what=st.sampled_from(["pulls", "queued", "resolving"]))
    def clear(self, node: str, what: str) -> None:
        getattr(self.cluster.node(node), what).clear()

    @rule(node=NODES, image=PULLED)
    def intent(self, node: str, image: str) -> None:
        self.cluster.node(node).intent(image)

    @rule(node=NODES)
    def resolve(self, node: str) -> None:
        self.cluster.node(node).resolving.append(self.cluster.node(node).now)

    @rule(node=NODES, answers=st.booleans(), up=st.booleans())
    def trouble(self, node: str, answers: bool, up: bool) -> None:
        self.cluster.node(node).answers = answers
        self.cluster.node(node).containerd_up = up

    @rule(seconds=st.sampled_from([0.3, 1.0, 5.0, 40.0, 700.0]), step=st.sampled_from([0.0, 0.0, -4000.0, 4000.0]))
    def sleep(self, seconds: float, step: float) -> None:
        self.cluster.sleep(seconds, step=step)
        for node in self.cluster.nodes.values():
            node.ahead -= step
        self.cluster.server_ahead -= step

    @rule(answer=st.booleans(), read=st.booleans())
    def tick(self, answer: bool, read: bool) -> None:
        self.check(self.cluster.tick(answer=answer, read=None if read else []))

    @rule()
    def relist(self) -> None:
        for pod in self.cluster.pods:
            if pod.phase != "Pending":
                self.cluster.observe(PodGone(pod.namespace, pod.name, pod.uid))
        self.cluster.relist()

    @rule()
    def restart(self) -> None:
        self.counters = {}
        self.cluster.sleep(0.5)
        self.cluster.restart()
        view = self.cluster.tick(answer=False)
        assert not any(value for value in counters(view.totals).values())

    def check(self, view: View) -> None:
        labels = [row.labels for row in view.pods]
        assert len(set(labels)) == len(labels)
        keys = [(entry.node, entry.pull.key) for entry in view.pulls]
        assert len(set(keys)) == len(keys)
        grown = counters(view.totals)
        assert all(grown.get(key, 0) >= value >= 0 for key, value in self.counters.items())
        self.counters = grown
        for row in view.pods:
            assert (row.cause is None) == (row.phase is PodPhase.PULLED)
            assert row.since <= self.cluster.now.monotonic
            assert row.match in (MatchKind.NONE, MatchKind.AMBIGUOUS) or row.pull is not None
            if row.cause is Cause.QUEUE:
                assert row.phase is PodPhase.QUEUED
                assert row.behind
        for entry in view.pulls:
            node = self.cluster.nodes[entry.node]
            assert node.last is not None
            assert node.last.report is not None
            assert entry.pull in node.last.report.pulls

    @invariant()
    def memory_follows_what_lives(self) -> None:
        waits = self.cluster.core._pods._pods
        assert len(waits) <= len(self.cluster.pods)
        assert set(waits._uids.values()) <= set(waits._pods)
        assert set(waits.unwatched) <= set(waits._pods)
        assert sum(map(len, waits._nodes.values())) == len(waits)

    def teardown(self) -> None:
        """When all pods and pulls have gone nothing is left over."""
        cluster = self.cluster
        for pod in cluster.pods:
            pod.delete()
        for node in cluster.nodes.values():
            node.pulls, node.queued, node.resolving = {}, [], []
            node.answers = node.containerd_up = True
        cluster.tick()
        for _ in range(8):
            cluster.sleep(LINGER)
            self.check(cluster.tick())
        view = cluster.view
        assert (view.pods, view.pulls, len(cluster.core._pods._pods)) == ((), (), 0)
        assert not cluster.turn.busy
        assert not any(replace(node, state=node.state).active for node in view.nodes)


TestWorld = World.TestCase
TestWorld.settings = thorough
