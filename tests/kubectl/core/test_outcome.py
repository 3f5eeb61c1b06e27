"""When `--wait` ends, and how."""

from dataclasses import replace
from typing import Any

import pytest

from pulltrace_kubectl.core.outcome import Outcome, State, outcome
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.model.objects import Container, Pod
from pulltrace_kubectl.model.pulls import Wait

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
