"""Which pulls are stale, for which one reason, and how often that is counted."""

from dataclasses import replace

import pytest

from pulltrace.clock import Deadlines, Monotonic, NodeTime
from pulltrace.model.pull import NodeReport, Phase, Pull
from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.diagnosis.staleness import (
    FIRST_MOMENTS,
    SLOW_SECONDS,
    StaleLimits,
    resolving_stale,
    stale_reason,
)
from pulltrace_aggregator.model.node import NodeReading, NodeState
from pulltrace_aggregator.model.states import StaleReason
from rig.sample_views import a_pull, a_report
from rig.simulated_cluster import MIB, Cluster

pytestmark = pytest.mark.unit

NODE_NOW, AT = 1_000_000.0, 500.0
"""The node's clock and our monotonic one when the report was read."""
LIMITS = StaleLimits()


def read(*pulls: Pull, answered: float = AT, failing: Monotonic | None = None, **report: object) -> NodeReading:
    made: NodeReport = replace(a_report(*pulls), now=NODE_NOW, **report)  # type: ignore[arg-type]
    state = NodeState.OK if failing is None else NodeState.UNREACHABLE
    return NodeReading("node-1", state, made, Monotonic(AT), Monotonic(answered), failing)


def a_pull_still_for(seconds: float, **changes: object) -> Pull:
    return replace(
        a_pull(started_at=NODE_NOW - 5000, last_progress_at=NODE_NOW - seconds, bytes_per_second=0.0),
        **changes,  # type: ignore[arg-type]
    )


def reason(pull: Pull, reading: NodeReading | None = None, now: float = AT, limits: StaleLimits = LIMITS) -> str | None:
    return stale_reason(pull, reading or read(pull), limits, Deadlines(Monotonic(now)))


def a_slow_pull(seconds_left: int) -> Pull:
    return a_pull_still_for(0, size=seconds_left * MIB, cached=0, downloaded=0, bytes_per_second=float(MIB))


UNSEEN = {"remote": 700, "remote_pending": 600, "bytes_per_second": None}
"""A pull that a remote snapshotter fetches."""


@pytest.mark.parametrize(
    ("pull", "expected"),
    [
        pytest.param(a_pull_still_for(59.9), None, id="a short pause of a download"),
        pytest.param(a_pull_still_for(60), "no_progress", id="a download that stands still"),
        pytest.param(a_pull_still_for(599.9, phase=Phase.UNPACKING), None, id="a long layer to unpack"),
        pytest.param(a_pull_still_for(600, phase=Phase.UNPACKING), "unpack_no_progress", id="an unpack that hangs"),
        pytest.param(a_pull_still_for(899.9, **UNSEEN), None, id="a layer that is fetched unseen"),
        pytest.param(a_pull_still_for(900, **UNSEEN), "remote_no_progress", id="no layer came unseen for long"),
        pytest.param(a_pull_still_for(60, remote=700), "no_progress", id="the rest of a remote pull"),
        pytest.param(a_slow_pull(3600), None, id="an hour left"),
        pytest.param(a_slow_pull(3601), "slow", id="more than an hour left"),
        pytest.param(a_pull_still_for(10_000, phase=Phase.SUCCEEDED, ended_at=NODE_NOW), None, id="succeeded"),
        pytest.param(a_pull_still_for(10_000, phase=Phase.FAILED, ended_at=NODE_NOW), None, id="failed"),
        pytest.param(a_pull_still_for(0, phase=Phase.ORPHANED, ended_at=NODE_NOW), "orphaned", id="orphaned"),
    ],
)
def test_what_a_pull_is_stale_for(pull: Pull, expected: str | None) -> None:
    assert reason(pull) == expected


def test_time_goes_on_while_a_node_answers_that_nothing_has_changed() -> None:
    pull = a_pull_still_for(50)
    assert reason(pull, read(pull, answered=AT + 9), now=AT + 9) is None
    assert reason(pull, read(pull, answered=AT + 10), now=AT + 10) == "no_progress"


def test_a_node_that_does_not_answer_is_not_called_stalled() -> None:
    pull = a_pull_still_for(50)
    silent = read(pull, failing=Monotonic(AT + 2))
    assert reason(pull, silent, now=AT + 59) is None
    assert reason(pull, silent, now=AT + 60) == "exporter_unreachable"


def test_a_node_that_is_seldom_asked_is_not_silent_for_that() -> None:
    pull = a_pull_still_for(0)
    assert reason(pull, read(pull), now=AT + 290) is None
    asked_late = read(pull, failing=Monotonic(AT + 290))
    assert reason(pull, asked_late, now=AT + 349) is None
    assert reason(pull, asked_late, now=AT + 350) == "exporter_unreachable"


def test_a_pull_has_one_reason_the_first_that_holds() -> None:
    silent = read(failing=Monotonic(AT))
    slow_and_still = a_pull_still_for(700, size=10_000 * MIB, bytes_per_second=1.0)
    assert reason(slow_and_still) == "no_progress"
    assert reason(slow_and_still, silent, now=AT + 60) == "exporter_unreachable"
    orphan = replace(slow_and_still, phase=Phase.ORPHANED, ended_at=NodeTime(NODE_NOW))
    assert reason(orphan, silent, now=AT + 60) == "orphaned"


@pytest.mark.parametrize(
    ("rule", "pull", "failing"),
    [
        ("no_progress", a_pull_still_for(9999), None),
        ("unpack", a_pull_still_for(9999, phase=Phase.UNPACKING), None),
        ("remote", a_pull_still_for(9999, **UNSEEN), None),
        ("slow_eta", a_slow_pull(9999), None),
        ("exporter", a_pull_still_for(0), Monotonic(AT)),
    ],
)
def test_each_reason_can_be_turned_off(rule: str, pull: Pull, failing: Monotonic | None) -> None:
    reading = read(pull, failing=failing)
    assert reason(pull, reading, now=AT + 9999)
    assert reason(pull, reading, now=AT + 9999, limits=replace(LIMITS, **{rule: 0})) is None


def test_resolving_pulls_are_counted_for_their_node() -> None:
    reading = read(resolving=(NODE_NOW - 31, NODE_NOW - 29, NODE_NOW))
    assert [resolving_stale(reading, LIMITS, Deadlines(Monotonic(now))) for now in (AT, AT + 1, AT + 30)] == [1, 2, 3]
    assert resolving_stale(reading, StaleLimits(resolving=0), Deadlines(Monotonic(AT + 1000))) == 0


# Through the core


def totals(cluster: Cluster) -> dict[str, int]:
    return {name: count for name, count in cluster.view.totals.stale_pulls.items() if count}


def test_all_reasons_begin_at_0() -> None:
    assert dict(Cluster().tick().totals.stale_pulls) == dict.fromkeys(map(str, StaleReason), 0)


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_stall_and_its_recovery(hours: int) -> None:
    cluster = Cluster(node_ahead=hours * 3600.0)
    cluster.node().pull()
    cluster.pass_time(59)
    assert cluster.pull_of().stale is None
    cluster.pass_time(2)
    assert cluster.pull_of().stale is StaleReason.NO_PROGRESS
    cluster.node().advance(ratio=0.5)
    cluster.pass_time(1)
    assert cluster.pull_of().stale is None
    cluster.pass_time(70)
    assert cluster.pull_of().stale is StaleReason.NO_PROGRESS
    assert totals(cluster) == {"no_progress": 1}


def test_a_stale_pull_is_never_completed(cluster: Cluster) -> None:
    cluster.node().pull()
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(4000, each=50)
    assert cluster.pull_of().pull.phase is Phase.DOWNLOADING
    assert pod.row().phase == "downloading"


def test_a_clock_that_is_stepped_makes_nothing_stale(cluster: Cluster) -> None:
    cluster.node().pull()
    cluster.pass_time(5)
    cluster.sleep(1, step=86_400)
    cluster.node().ahead -= 86_400  # only ours was stepped
    cluster.tick()
    assert cluster.pull_of().stale is None


def test_an_exporter_that_is_cut_off_and_comes_back(cluster: Cluster) -> None:
    node, pod = cluster.node(), cluster.pod()
    pod.pulling()
    node.pull()
    node.advance(ratio=0.3)
    cluster.tick()
    node.answers = False
    cluster.pass_time(59)
    assert cluster.pull_of().stale is None
    cluster.pass_time(2)
    entry = cluster.pull_of()
    assert (entry.stale, entry.pull.phase, entry.pull.progress_ratio) == (
        StaleReason.EXPORTER_UNREACHABLE,
        Phase.DOWNLOADING,
        0.3,
    )
    assert pod.row().phase == "downloading"
    cluster.pass_time(3600, each=60)
    assert cluster.pull_of().pull.phase is Phase.DOWNLOADING
    node.answers = True
    node.advance(ratio=0.9)
    cluster.tick()
    assert cluster.pull_of().stale is None
    assert totals(cluster) == {"exporter_unreachable": 1}


def test_a_node_that_answers_again_with_nothing_new_says_that_only_time_has_passed(cluster: Cluster) -> None:
    cluster.node().pull()
    cluster.tick()
    cluster.node().answers = False
    cluster.pass_time(61)
    assert cluster.pull_of().stale is StaleReason.EXPORTER_UNREACHABLE
    cluster.node().answers = True
    cluster.tick()
    assert cluster.pull_of().stale is StaleReason.NO_PROGRESS


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.ORPHANED])
def test_a_node_is_asked_often_as_long_as_its_exporter_shows_what_ended(cluster: Cluster, phase: Phase) -> None:
    cluster.node().pull()
    cluster.tick()
    cluster.node().end(phase=phase)
    cluster.pass_time(600, each=2)
    assert cluster.turn.busy == {"node-1"}
    assert len(cluster.view.pulls) == 1
    cluster.node().forget()
    assert cluster.tick().pulls == ()
    assert not cluster.turn.busy


def test_an_ended_pull_leaves_although_its_node_is_seldom_asked(cluster: Cluster) -> None:
    cluster.node().pull()
    cluster.tick()
    cluster.node().end()
    cluster.tick()
    for _ in range(14):
        cluster.sleep(10)
        cluster.tick(read=[])
    assert cluster.view.pulls == ()
    assert not cluster.turn.busy


def test_each_pull_counts_once_for_each_reason_and_its_successor_anew(cluster: Cluster) -> None:
    node = cluster.node()
    cluster.tick()
    node.pull()
    cluster.pass_time(62)
    node.answers = False
    cluster.pass_time(65)
    node.answers = True
    cluster.pass_time(5)
    assert totals(cluster) == {"no_progress": 1, "exporter_unreachable": 1}
    node.end(phase=Phase.FAILED)
    cluster.pass_time(5)
    node.pull()
    cluster.pass_time(62)
    assert totals(cluster) == {"no_progress": 2, "exporter_unreachable": 1}
    # The first one's end fell between two readings.
    node.end(phase=Phase.FAILED)
    node.pull()
    cluster.pass_time(62)
    assert totals(cluster)["no_progress"] == 3


def test_an_orphan_of_a_silent_node_leaves_with_the_exporters_linger_and_is_not_counted_again(
    cluster: Cluster,
) -> None:
    cluster.node().pull()
    cluster.tick()
    cluster.node().end(phase=Phase.ORPHANED)
    cluster.tick()
    cluster.node().answers = False
    cluster.pass_time(119)
    assert cluster.pull_of().stale is StaleReason.ORPHANED
    cluster.pass_time(12)
    assert cluster.view.pulls == ()
    assert cluster.view.nodes
    cluster.node().answers = True
    cluster.tick()
    assert cluster.pull_of().stale is StaleReason.ORPHANED
    assert totals(cluster) == {"orphaned": 1}


def test_a_restart_counts_no_stale_pull_again(cluster: Cluster) -> None:
    cluster.node().pull()
    cluster.node("node-2").pull()
    cluster.node("node-2").end(phase=Phase.ORPHANED)
    cluster.pass_time(100)
    cluster.restart()
    cluster.pass_time(5)
    assert cluster.pull_of().stale is StaleReason.NO_PROGRESS
    assert totals(cluster) == {}
    cluster.node().pull("registry.example/late:1")
    cluster.pass_time(61)
    assert totals(cluster) == {"no_progress": 1}


def test_a_node_that_does_not_answer_has_no_silent_registry() -> None:
    cluster = Cluster(Limits(StaleLimits(resolving=10)))
    pod = cluster.pod()
    pod.pulling()
    cluster.node().resolving = [cluster.node().now]
    cluster.pass_time(9)
    assert (cluster.status_of().resolving_stale, pod.row().cause) == (0, "progressing")
    cluster.node().answers = False
    cluster.pass_time(50)
    assert (cluster.status_of().resolving_stale, pod.row().cause) == (0, "progressing")
    cluster.node().answers = True
    cluster.tick()
    assert (cluster.status_of().resolving_stale, pod.row().cause) == (1, "registry")
    assert cluster.view.pulls == ()


def test_the_exporter_is_missing_where_a_pod_waits(cluster: Cluster) -> None:
    cluster.node("idle").answers = False
    pod = cluster.pod()
    pod.pulling()
    for _ in range(59):
        cluster.sleep(1)
        cluster.tick(read=["idle"])
    assert not any(node.missing for node in cluster.view.nodes)
    cluster.sleep(1)
    cluster.tick(read=["idle"])
    assert [node.node for node in cluster.view.nodes if node.missing] == ["node-1"]
    assert pod.row().cause == "no_exporter"
    pod.delete()
    cluster.tick(read=["idle"])
    assert [node.node for node in cluster.view.nodes] == ["idle"]


def test_a_node_whose_exporter_is_forgotten(cluster: Cluster) -> None:
    cluster.node().pull()
    cluster.tick()
    cluster.core.forget("node-1")
    assert cluster.tick(read=[]) == replace(cluster.view, pulls=(), nodes=())
    assert not cluster.turn.busy


def test_the_name_that_a_node_gives_itself_does_not_matter(cluster: Cluster) -> None:
    cluster.node().pull()
    cluster.tick()
    assert cluster.pull_of().node == "node-1"


def test_the_same_pull_told_twice_is_shown_once(cluster: Cluster) -> None:
    pull = cluster.node().pull()
    cluster.node().pulls["again"] = replace(pull, downloaded=5)
    assert [entry.pull for entry in cluster.tick().pulls] == [pull]


# A rate of the first moments says nothing: a download is slow when it has been for a while

CRAWLING = 10.0


def test_a_slow_beginning_is_not_slow(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.0, rate=CRAWLING)
    cluster.pass_time(SLOW_SECONDS - 1)
    assert cluster.pull_of().stale is None
    node.advance(ratio=0.1)
    cluster.pass_time(SLOW_SECONDS)
    assert (cluster.pull_of().stale, totals(cluster)) == (None, {})


def test_a_pull_that_stays_slow_is_stale_until_it_recovers(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.1, rate=CRAWLING)
    cluster.pass_time(SLOW_SECONDS + 1)
    assert (cluster.pull_of().stale, totals(cluster)) == (StaleReason.SLOW, {"slow": 1})
    cluster.pass_time(20)
    assert (cluster.pull_of().stale, totals(cluster)) == (StaleReason.SLOW, {"slow": 1})
    node.advance(ratio=0.5)
    cluster.tick()
    assert cluster.pull_of().stale is None


def test_a_download_that_already_took_long_is_slow_at_once() -> None:
    cluster = Cluster(Limits(StaleLimits(no_progress=0)))
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.1)
    cluster.pass_time(FIRST_MOMENTS)
    node.advance(ratio=0.2, rate=CRAWLING)
    cluster.tick()
    assert (cluster.pull_of().stale, totals(cluster)) == (StaleReason.SLOW, {"slow": 1})
