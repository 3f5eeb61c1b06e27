"""When `--wait` ends, and how."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pulltrace_kubectl.core.outcome import Outcome, State, outcome
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.look import Looker
from pulltrace_kubectl.model.objects import Container, Pod
from pulltrace_kubectl.model.options import Options, Target, View
from pulltrace_kubectl.model.pulls import Answer, Wait
from pulltrace_kubectl.sources.cluster import read_pod
from pulltrace_kubectl.sources.port import Told

pytestmark = pytest.mark.unit
NAME = ("shop", "web")


def wait(phase: str, **more: Any) -> Wait:
    return Wait("shop", "web", "main", "web:1", phase, {}, **more)


def pod(**status: Any) -> Pod:
    return Pod("shop", "web", phase=status.pop("phase", "Pending"), containers=(Container("main", **status),))


def told(picture: Picture, seen: frozenset[tuple[str, str]] = frozenset()) -> Outcome:
    return outcome(picture, seen)


def test_a_pod_whose_containers_have_their_images_is_done() -> None:
    assert told(Picture(named=(NAME,), pods=(pod(image_id="sha256:1"),))).state is State.THERE
    assert told(Picture(named=(NAME,), pods=(pod(state="running"),))).state is State.THERE
    assert told(Picture(named=(NAME,), pods=(pod(state="waiting", reason="CrashLoopBackOff"),))).state is State.THERE


@pytest.mark.parametrize("reason", ["", "ContainerCreating", "PodInitializing", "ImagePullBackOff"])
def test_a_pod_that_nobody_tells_of_yet_is_not_done(reason: str) -> None:
    found = told(Picture(named=(NAME,), pods=(pod(state="waiting", reason=reason),)))
    assert (found.state, found.reasons) == (State.PENDING, ("shop/web: its images are not there yet",))


def test_without_a_cluster_a_pod_is_done_once_it_was_seen_to_wait_and_waits_no_more() -> None:
    never = told(Picture(named=(NAME,)))
    assert never.state is State.PENDING
    first = told(Picture(named=(NAME,), waits=(wait("downloading"),)), never.seen)
    assert first.state is State.PENDING
    assert told(Picture(named=(NAME,)), first.seen).state is State.THERE
    assert told(Picture(named=(NAME,), waits=(wait("pulled"),))).state is State.THERE


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (wait("backoff", cause="not_found"), State.FAILED),
        (wait("failed", cause="credentials", reason="unauthorized"), State.FAILED),
        (wait("backoff", cause="backoff", reason="signature"), State.FAILED),
        (wait("backoff", cause="registry", reason="timeout"), State.PENDING),
        (wait("backoff", cause="rate_limited", reason="rate_limited"), State.PENDING),
        (wait("queued", cause="not_found"), State.PENDING),
    ],
)
def test_only_what_no_retry_mends_has_failed_for_good(row: Wait, state: State) -> None:
    found = told(Picture(named=(NAME,), waits=(row,), pods=(pod(),)))
    assert found.state is state
    assert row.cause in found.reasons[0]


def test_a_workload_that_has_not_made_its_pods_is_not_done() -> None:
    picture = Picture(named=(NAME,), pods=(pod(state="running"),), expected=False)
    assert told(picture).state is State.PENDING
    assert told(replace(picture, expected=True)).state is State.THERE


def test_without_names_nothing_that_waits_is_enough() -> None:
    assert told(Picture()).state is State.THERE
    assert told(Picture(waits=(wait("unknown"),))).state is State.PENDING


def test_a_pod_that_has_failed_ends_the_waiting() -> None:
    assert told(Picture(named=(NAME,), pods=(pod(phase="Failed"),))).state is State.FAILED
    assert told(Picture(named=(NAME,), pods=(pod(phase="Succeeded"),))).state is State.THERE


@pytest.mark.parametrize(
    ("target", "owner", "state"),
    [
        (Target("deployment", "web"), "ReplicaSet", State.THERE),
        (Target("pod", "web"), "ReplicaSet", State.FAILED),
        (Target("job", "web"), "Job", State.FAILED),
        (Target("pod", "web"), "", State.FAILED),
    ],
)
def test_a_failed_pod_in_whose_place_comes_another_ends_no_waiting_unless_it_was_named(
    target: Target, owner: str, state: State
) -> None:
    owners = [{"kind": owner, "controller": True}] if owner else []
    meta = {"namespace": "shop", "name": "web", "ownerReferences": owners}
    old = read_pod({"metadata": meta, "status": {"phase": "Failed", "reason": "Evicted"}})
    new = replace(pod(state="running"), name="web-2")
    cluster: Any = SimpleNamespace(owned=lambda *_: ([old, new], True), pod=lambda *_: old)
    programs: Any = SimpleNamespace(ask=lambda _: Told(Answer()))
    options = Options(View.PODS, (target,), namespace="shop", wait=True)
    assert told(Looker(options, programs, cluster).look()).state is state
