"""Exporters that tell less than ours does, tell the same for ever, or whose clock is stepped."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pulltrace.clock import Instant, Monotonic
from pulltrace.model import wire
from pulltrace_aggregator.api import json_v1
from pulltrace_aggregator.controller.reconciler import Reconciler
from pulltrace_aggregator.model.node import NodeReading, NodeState
from pulltrace_aggregator.model.view import View
from rig.images import digest
from rig.simulated_cluster import IMAGE, Cluster

pytestmark = pytest.mark.unit

NODE, WALL = "node-1", 1_700_000_000.0
PULL = {"registry": "registry.example", "repository": "team/app", "digest": "sha256:" + "a" * 64}


def a_pull(**fields: Any) -> dict[str, Any]:
    """A pull that is downloading, with these fields and no others."""
    return {**PULL, "phase": "downloading", **fields}


class Watcher:
    """The core with one node, which is read every two seconds without an entity tag. Our wall clock can be stepped."""

    def __init__(self) -> None:
        self.now = Instant(WALL, Monotonic(5000.0))
        self.core = Reconciler(self.now)
        self.view = View()
        self.answer()

    def sleep(self, seconds: float, *, step: float = 0.0) -> None:
        self.now = Instant(self.now.wall + seconds + step, Monotonic(self.now.monotonic + seconds))

    def answer(self, *pulls: dict[str, Any], **fields: Any) -> View:
        """An answer comes."""
        body = json.dumps({"schema": "pulltrace/v1", "pulls": pulls, **fields}).encode()
        at = self.now.monotonic
        self.core.read(NodeReading(NODE, NodeState.OK, wire.decode(body, self.now.wall), at, at))
        self.view = self.core.tick(self.now).view
        return self.view

    def answer_again(self, times: int, *pulls: dict[str, Any], **fields: Any) -> View:
        """The same answer comes over and over."""
        for _ in range(times):
            self.sleep(2)
            self.answer(*pulls, **fields)
        return self.view

    @property
    def counted(self) -> dict[str, int]:
        """How many pulls got stale, by reason."""
        return {reason: count for reason, count in self.view.totals.stale_pulls.items() if count}

    @property
    def stale(self) -> str:
        """Why the only pull in the view is stale, empty when it is not."""
        (entry,) = self.view.pulls
        return entry.stale or ""


@pytest.mark.parametrize(
    "fields",
    [
        {"nodeNow": WALL, "startedAt": WALL - 100, "ageSeconds": 100},
        {"nodeNow": WALL, "ageSeconds": 100},
        {"startedAt": WALL - 100, "ageSeconds": 100},
        {"ageSeconds": 100},
    ],
    ids=lambda fields: "+".join(fields),
)
def test_a_stale_pull_in_an_answer_that_stands_still_counts_once(fields: dict[str, float]) -> None:
    now = {key: value for key, value in fields.items() if key == "nodeNow"}
    told = {key: value for key, value in fields.items() if key != "nodeNow"}
    watcher = Watcher()
    watcher.answer_again(30, a_pull(lastProgressAgeSeconds=90, **told), **now)
    assert watcher.counted == {"no_progress": 1}


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
@pytest.mark.parametrize("moves", [True, False], ids=["stamps move too", "stamps stay"])
def test_a_stepped_node_clock_makes_no_stale_pull_another(step: float, *, moves: bool) -> None:
    def answer(age: float, stepped: float) -> None:
        shift = stepped if moves else 0.0
        pull = a_pull(startedAt=WALL + shift, ageSeconds=age, lastProgressAgeSeconds=age)
        watcher.answer(pull, nodeNow=WALL + age + stepped)

    watcher = Watcher()
    for second in range(0, 120, 2):
        answer(second, 0.0)
        watcher.sleep(2)
    for second in range(120, 240, 2):
        answer(second, step)
        watcher.sleep(2)
    answer(240, step)
    assert watcher.counted["no_progress"] == 1


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_our_own_stepped_clock_makes_no_stale_pull_another(step: float) -> None:
    watcher = Watcher()
    for second in range(0, 240, 2):
        watcher.answer(a_pull(ageSeconds=second, lastProgressAgeSeconds=second))
        watcher.sleep(2, step=step if second == 120 else 0.0)
    assert watcher.counted == {"no_progress": 1}


@pytest.mark.parametrize("step", [-3600.0, 0.0, 3600.0])
def test_a_pull_that_began_anew_unseen_counts_anew_whatever_its_clock_does(step: float) -> None:
    watcher = Watcher()
    for second in range(0, 80, 2):
        watcher.answer(a_pull(startedAt=WALL, lastProgressAgeSeconds=second), nodeNow=WALL + second)
        watcher.sleep(2)
    for second in range(0, 80, 2):
        started = WALL + 80 + step
        watcher.answer(a_pull(startedAt=started, lastProgressAgeSeconds=second), nodeNow=started + second)
        watcher.sleep(2)
    assert watcher.counted == {"no_progress": 2}


def test_an_orphan_that_is_told_for_ever_counts_once_and_its_successor_anew() -> None:
    def orphan(age: float) -> dict[str, Any]:
        return {**PULL, "phase": "orphaned", "ageSeconds": age, "endedAgeSeconds": 1}

    watcher = Watcher()
    watcher.answer_again(10, orphan(5))
    watcher.answer_again(1, orphan(1))
    assert watcher.counted == {"orphaned": 1}
    watcher.answer_again(1, a_pull(ageSeconds=1))
    watcher.answer_again(10, orphan(2))
    assert watcher.counted == {"orphaned": 2}


def test_a_pull_without_an_age_has_no_beginning_and_counts_once() -> None:
    watcher = Watcher()
    watcher.answer_again(60, a_pull(downloadedBytes=5), nodeNow=WALL)
    assert watcher.counted == {"no_progress": 1}


def test_bytes_that_do_not_move_between_answers_are_no_progress() -> None:
    watcher = Watcher()
    watcher.answer(a_pull(ageSeconds=0, downloadedBytes=5))
    watcher.answer_again(29, a_pull(downloadedBytes=5))
    assert watcher.stale == ""
    watcher.answer_again(1, a_pull(downloadedBytes=5))
    assert watcher.stale == "no_progress"
    watcher.answer_again(1, a_pull(downloadedBytes=6))
    assert watcher.stale == ""
    watcher.answer_again(30, a_pull(downloadedBytes=6))
    assert watcher.stale == "no_progress"
    watcher.answer_again(1, a_pull(downloadedBytes=6, lastProgressAgeSeconds=0))
    assert watcher.stale == "", "the exporter knows more"


def test_layers_that_are_not_unpacked_between_answers_are_no_progress() -> None:
    watcher = Watcher()
    unpacking = a_pull(phase="unpacking", downloadedBytes=5, unpackedBytes=3)
    watcher.answer_again(300, unpacking)
    assert watcher.stale == ""
    watcher.answer_again(2, unpacking)
    assert watcher.stale == "unpack_no_progress"


def test_a_missing_field_leads_to_no_conclusion() -> None:
    watcher = Watcher()
    watcher.answer_again(100, a_pull())
    assert watcher.stale == ""


@pytest.mark.parametrize("fields", [{}, {"nodeNow": WALL}, {"nodeNow": WALL + 1e6}], ids=["none", "ours", "its own"])
def test_an_untold_field_is_not_published(fields: dict[str, float]) -> None:
    watcher = Watcher()
    watcher.answer(a_pull(), **fields)
    document = json.loads(json_v1.encode(watcher.view, watcher.now.monotonic))
    Draft202012Validator(json_v1.schema()).validate(document)
    assert not document["pulls"][0].keys() & {"requests", "startedAt", "ageSeconds", "lastProgressAgeSeconds"}


def test_without_a_clock_of_the_node_ages_are_published_and_no_instants() -> None:
    watcher = Watcher()
    watcher.answer(a_pull(startedAt=WALL - 1e6, ageSeconds=7))
    watcher.sleep(1)
    (pull,) = json.loads(json_v1.encode(watcher.view, watcher.now.monotonic))["pulls"]
    assert (pull["ageSeconds"], "startedAt" in pull) == (8, False)


def test_an_end_that_nobody_dates_lingers_from_its_last_report() -> None:
    watcher = Watcher()
    watcher.answer(a_pull(phase="succeeded"))
    for seconds, shown in ((119, 1), (2, 0)):
        watcher.sleep(seconds)
        assert len(watcher.core.tick(watcher.now).view.pulls) == shown


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
@pytest.mark.parametrize(("ended", "phase"), [(200, "queued"), (2, "pulled")])
def test_without_a_clock_of_the_node_its_kubelets_stamps_are_compared_with_nothing(
    ahead: float, ended: float, phase: str
) -> None:
    cluster = Cluster(node_ahead=ahead)
    pod = cluster.pod()
    pod.pulling()
    cluster.sleep(5)
    done = {"references": [IMAGE], "ageSeconds": 300, "endedAgeSeconds": ended}
    pull = {**a_pull(phase="succeeded", **done), "digest": digest(IMAGE)}
    body = json.dumps({"schema": "pulltrace/v1", "pulls": [pull]}).encode()
    at = cluster.now.monotonic
    cluster.core.read(NodeReading(NODE, NodeState.OK, wire.decode(body, cluster.now.wall), at, at))
    cluster.tick(read=[])
    assert pod.row().phase == phase
