from dataclasses import replace

import pytest

from pulltrace.clock import Monotonic, NodeTime
from pulltrace.model.pull import NodeReport, QueuedImage
from pulltrace_aggregator.exporters.discovery import Target
from pulltrace_aggregator.exporters.errors import AskError, Result
from pulltrace_aggregator.exporters.state import KEPT_SECONDS, ExporterGone, ExporterSeen, ExporterStates
from pulltrace_aggregator.model.node import NodeState
from rig.sample_views import NOW, a_pull, a_report, an_ended_pull

pytestmark = pytest.mark.unit

N1, N2 = Target("n1", "http", "10.0.0.1", 1), Target("n2", "http", "10.0.0.2", 1)
BUSY = a_report(a_pull(), node="n1")
TAG = 'W/"1"'


def a_states(*targets: Target) -> ExporterStates:
    states = ExporterStates()
    states.set_targets({target.node: target for target in targets or (N1,)}, Monotonic(100.0))
    return states


def test_a_new_node_is_asked_and_unknown() -> None:
    states = ExporterStates()
    changes = states.set_targets({"n1": N1, "n2": N2}, Monotonic(100.0))
    assert changes.asked == ("n1", "n2")
    assert changes.left == ()
    assert [news.node for news in changes.news] == ["n1", "n2"]
    seen = states.exporters["n1"]
    assert (seen.reading.state, seen.reading.report, seen.base_url) == (NodeState.UNKNOWN, None, "http://10.0.0.1:1")
    assert states.set_targets({"n2": N2, "n1": N1}, Monotonic(101.0)).news == ()


def test_a_report_is_that_of_the_node_that_was_asked() -> None:
    states = a_states()
    seen = states.reported("n1", replace(BUSY, node="somebody else"), TAG, Monotonic(110.0))
    assert seen.reading.report == BUSY
    assert seen.claims == "somebody else"
    assert (seen.reading.state, seen.reading.read_at, seen.reading.answered_at) == (NodeState.OK, 110.0, 110.0)
    assert states.etag("n1") == TAG
    assert states.exporters == {"n1": seen}
    assert states.reported("n1", BUSY, TAG, Monotonic(111.0)).claims == ""


def test_when_nothing_has_changed_the_report_ages_by_our_clock() -> None:
    states = a_states()
    states.reported("n1", BUSY, TAG, Monotonic(110.0))
    seen = states.unchanged("n1", Monotonic(140.0))
    assert seen.reading.report is not None
    assert seen.reading.answered_at == 140.0
    # What the node's clock shows now, from which the ages of its pulls are taken.
    assert seen.reading.ahead + 140.0 == NOW + 30
    assert states.etag("n1") == TAG


def test_a_node_that_fails_keeps_its_last_report() -> None:
    states = a_states()
    states.reported("n1", BUSY, TAG, Monotonic(110.0))
    states.failed("n1", AskError(Result.TIMEOUT, "too slow"), Monotonic(112.0))
    seen = states.failed("n1", AskError(Result.CONNECTION, "refused"), Monotonic(114.0))
    assert seen.reading.state is NodeState.UNREACHABLE
    assert seen.reading.report == BUSY
    assert seen.reading.answered_at == 110.0
    assert (seen.error, seen.detail, seen.reading.failing_since) == (Result.CONNECTION, "refused", 112.0)
    again = states.unchanged("n1", Monotonic(116.0))
    assert again.reading.state is NodeState.OK
    assert (again.error, again.detail, again.reading.failing_since) == (None, "", None)


def test_a_node_that_never_answered_has_no_report() -> None:
    seen = a_states().failed("n1", AskError(Result.DNS, "no such name"), Monotonic(101.0))
    assert (seen.reading.state, seen.reading.report, seen.reading.answered_at) == (NodeState.UNREACHABLE, None, None)


def test_a_node_that_moved_is_asked_anew_and_keeps_its_report() -> None:
    states = a_states()
    states.reported("n1", BUSY, TAG, Monotonic(110.0))
    moved = replace(N1, host="10.0.0.9")
    changes = states.set_targets({"n1": moved}, Monotonic(111.0))
    assert (changes.asked, changes.left) == (("n1",), ())
    assert states.target("n1") == moved
    assert states.etag("n1") == ""
    assert states.exporters["n1"].reading.report == BUSY
    assert states.exporters["n1"].base_url == moved.base_url


@pytest.mark.parametrize(
    ("report", "pulling"),
    [
        (a_report(), False),
        (a_report(an_ended_pull("team/done")), False),
        (a_report(a_pull()), True),
        (a_report(an_ended_pull("team/done"), a_pull()), True),
        (a_report(resolving=(NOW - 1,)), True),
        (a_report(queued=(QueuedImage("", "", "r/i:1", NodeTime(NOW - 1)),)), True),
    ],
)
def test_a_node_that_leaves_is_kept_while_a_pull_of_it_is_known(report: NodeReport, pulling: bool) -> None:
    states = a_states(N1, N2)
    assert states.reported("n1", report, TAG, Monotonic(110.0)).pulling == pulling
    changes = states.set_targets({"n2": N2}, Monotonic(120.0))
    assert (changes.asked, changes.left) == ((), ("n1",))
    (news,) = changes.news
    if not pulling:
        assert news == ExporterGone("n1")
        assert states.exporters.keys() == {"n2"}
        return
    assert isinstance(news, ExporterSeen)
    assert news.left
    assert news.reading.state is NodeState.UNREACHABLE
    assert news.reading.report == replace(report, node="n1")
    assert news.reading.failing_since == 120.0
    assert list(states.forget(Monotonic(120.0 + KEPT_SECONDS - 1))) == []
    assert states.set_targets({"n2": N2}, Monotonic(130.0)).news == ()
    assert list(states.forget(Monotonic(120.0 + KEPT_SECONDS))) == [ExporterGone("n1")]
    assert states.exporters.keys() == {"n2"}


def test_a_node_that_comes_back_is_asked_and_no_longer_counted_as_left() -> None:
    states = a_states()
    states.reported("n1", BUSY, TAG, Monotonic(110.0))
    states.set_targets({}, Monotonic(120.0))
    changes = states.set_targets({"n1": N1}, Monotonic(130.0))
    assert changes.asked == ("n1",)
    assert not states.exporters["n1"].left
    assert list(states.forget(Monotonic(1e9))) == []
    assert states.exporters["n1"].reading.report == BUSY


def test_a_node_that_moves_while_it_fails_has_failed_since_then() -> None:
    states = a_states()
    states.failed("n1", AskError(Result.TIMEOUT, "too slow"), Monotonic(112.0))
    states.set_targets({"n1": replace(N1, host="10.0.0.9")}, Monotonic(120.0))
    assert states.failed("n1", AskError(Result.TIMEOUT, "too slow"), Monotonic(121.0)).reading.failing_since == 112.0


def test_a_node_that_never_answered_leaves_without_a_trace() -> None:
    states = a_states()
    assert states.set_targets({}, Monotonic(101.0)).news == (ExporterGone("n1"),)
    assert states.exporters == {}
