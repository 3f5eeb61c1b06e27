"""What is shown first, what is in line, and which image goes where."""

from typing import Any

import pytest

from pulltrace_aggregator.model.states import Cause, FailureReason
from pulltrace_kubectl.core import advice, rollout, select
from pulltrace_kubectl.model.pulls import Pull, Wait

pytestmark = pytest.mark.unit


def wait(pod: str, phase: str = "queued", waiting: float = 1.0, **more: Any) -> Wait:
    values = {"image": f"{pod}:1", "node": "node-1", "waiting": waiting, **more}
    return Wait(namespace="shop", pod=pod, container="main", phase=phase, raw={}, **values)


def pull(ratio: float, eta: float | None = None) -> Pull:
    return Pull("r", "p", "d", "downloading", {}, size=100, cached=0, downloaded=int(ratio * 100), eta=eta)


def test_the_longest_wait_is_first_and_what_has_come_is_last() -> None:
    rows = [wait("new", waiting=1), wait("done", "pulled"), wait("old", waiting=9)]
    assert [row.pod for row in select.longest_first(rows)] == ["old", "new", "done"]


def test_the_line_begins_with_what_is_pulled_and_names_an_image_once() -> None:
    rows = [
        wait("third", waiting=3),
        wait("twin", waiting=2, image="third:1"),
        wait("second", waiting=5),
        wait("first", "downloading", waiting=1),
        wait("elsewhere", node="node-2"),
        wait("failed", "backoff"),
    ]
    assert [row.pod for row in select.line_of("node-1", rows)] == ["first", "second", "third"]
    assert [row.pod for row in select.ahead_of(rows[1], rows)] == ["first", "second"]
    assert select.ahead_of(rows[3], rows) == []


def test_an_image_stands_where_the_longest_of_its_waits_stands() -> None:
    rows = [wait("a", waiting=60), wait("b", waiting=30), wait("twin", waiting=10, image="a:1")]
    assert [row.pod for row in select.line_of("node-1", rows)] == ["a", "b"]
    assert [row.pod for row in select.ahead_of(rows[1], rows)] == ["a"]
    pulled = [wait("a", "downloading", waiting=10), rows[1], wait("twin", waiting=5, image="a:1")]
    assert [row.pod for row in select.line_of("node-1", pulled)] == ["a", "b"]


def test_a_rollout_counts_a_node_once_by_its_least_done_phase() -> None:
    rows = [
        wait("a", "downloading", image="llm:2", node="node-1", pull=pull(0.5, 90)),
        wait("b", "pulled", image="llm:2", node="node-1"),
        wait("c", "pulled", image="llm:2", node="node-2"),
        wait("d", "downloading", image="llm:2", node="node-3", pull=pull(0.1, 900)),
        wait("e", "failed", image="llm:2", node="node-4"),
        wait("f", "queued", image="web:1"),
    ]
    first, second = rollout.rollouts(rows)
    assert (first.image, first.nodes, first.ratio) == ("llm:2", 4, 0.25)
    assert first.phases == {"pulled": 1, "downloading": 2, "failed": 1}
    assert [row.node for row in first.slowest] == ["node-4", "node-3", "node-1"]
    assert second.image == "web:1"
    assert [each.image for each in rollout.rollouts(rows, ["llm"])] == ["llm:2"]


def test_news_is_another_phase_or_cause_or_ten_percent() -> None:
    changed, known = select.news([wait("web", "downloading", pull=pull(0.11))], frozenset())
    assert len(changed) == 1
    changed, known = select.news([wait("web", "downloading", pull=pull(0.19))], known)
    assert changed == []
    changed, known = select.news([wait("web", "downloading", pull=pull(0.21))], known)
    assert len(changed) == 1
    assert len(select.news([wait("web", "downloading", pull=pull(0.21), cause="stalled")], known)[0]) == 1


def test_there_is_advice_for_every_cause_and_for_what_its_reason_says_more_of() -> None:
    assert all(advice.advice(cause) for cause in Cause)
    named = {FailureReason.UNAUTHORIZED, FailureReason.NOT_FOUND, FailureReason.RATE_LIMITED, FailureReason.OTHER}
    assert {reason for reason in FailureReason if reason not in advice.REASONS} <= named
    assert set(advice.FINAL_REASONS) <= set(FailureReason)
    assert set(advice.HARMLESS) - {""} <= set(Cause)


def test_what_to_do_is_said_once_for_a_cause_and_not_for_what_takes_its_time() -> None:
    rows = [
        wait("a", cause="queue"),
        wait("b", cause="queue"),
        wait("c", cause="progressing"),
        wait("d", "backoff", cause="backoff", reason="disk_full"),
        wait("e", "pulled", cause="not_found"),
    ]
    assert list(advice.advised(rows)) == ["queue", "backoff (disk_full)"]
