from dataclasses import replace

import pytest

from pulltrace.clock import Monotonic, NodeTime
from pulltrace.model.pull import NodeReport, QueuedImage
from pulltrace_aggregator.exporters.errors import AskError
from pulltrace_aggregator.exporters.state import KEPT_SECONDS, Roster
from pulltrace_aggregator.exporters.target import Target
from pulltrace_aggregator.exporters.values import ExporterGone, ExporterSeen, Result
from pulltrace_aggregator.model.exporter import NodeState
from rig.sample_views import NOW, a_pull, a_report, an_ended_pull

pytestmark = pytest.mark.unit

N1, N2 = Target("n1", "http", "10.0.0.1", 1), Target("n2", "http", "10.0.0.2", 1)
BUSY = a_report(a_pull(), node="n1")
TAG = 'W/"1"'


def a_roster(*targets: Target) -> Roster:
    roster = Roster()
    roster.assign({target.node: target for target in targets or (N1,)}, Monotonic(100.0))
    return roster


def test_a_new_node_is_asked_and_unknown() -> None:
    roster = Roster()
    changes = roster.assign({"n1": N1, "n2": N2}, Monotonic(100.0))
    assert changes.asked == ("n1", "n2")
    assert changes.left == ()
    assert [news.node for news in changes.news] == ["n1", "n2"]
    seen = roster.exporters["n1"]
    assert (seen.reading.state, seen.reading.report, seen.base_url) == (NodeState.UNKNOWN, None, "http://10.0.0.1:1")
    assert roster.assign({"n2": N2, "n1": N1}, Monotonic(101.0)).news == ()


def test_a_report_is_that_of_the_node_that_was_asked() -> None:
    roster = a_roster()
    seen = roster.reported("n1", replace(BUSY, node="somebody else"), TAG, Monotonic(110.0))
    assert seen.reading.report == BUSY
    assert seen.claims == "somebody else"
    assert (seen.reading.state, seen.reading.read_at, seen.reading.answered_at) == (NodeState.OK, 110.0, 110.0)
    assert roster.etag("n1") == TAG
    assert roster.exporters == {"n1": seen}
    assert roster.reported("n1", BUSY, TAG, Monotonic(111.0)).claims == ""


def test_when_nothing_has_changed_the_report_ages_by_our_clock() -> None:
    roster = a_roster()
    roster.reported("n1", BUSY, TAG, Monotonic(110.0))
    seen = roster.unchanged("n1", Monotonic(140.0))
    assert seen.reading.report is not None
    assert seen.reading.answered_at == 140.0
    # What the node's clock shows now, from which the ages of its pulls are taken.
    assert seen.reading.ahead + 140.0 == NOW + 30
    assert roster.etag("n1") == TAG


def test_a_node_that_fails_keeps_its_last_report() -> None:
    roster = a_roster()
    roster.reported("n1", BUSY, TAG, Monotonic(110.0))
    roster.failed("n1", AskError(Result.TIMEOUT, "too slow"), Monotonic(112.0))
    seen = roster.failed("n1", AskError(Result.CONNECTION, "refused"), Monotonic(114.0))
    assert seen.reading.state is NodeState.UNREACHABLE
    assert seen.reading.report == BUSY
    assert seen.reading.answered_at == 110.0
    assert (seen.error, seen.detail, seen.failing_since) == (Result.CONNECTION, "refused", 112.0)
    again = roster.unchanged("n1", Monotonic(116.0))
    assert again.reading.state is NodeState.OK
    assert (again.error, again.detail, again.failing_since) == (None, "", None)


def test_a_node_that_never_answered_has_no_report() -> None:
    seen = a_roster().failed("n1", AskError(Result.DNS, "no such name"), Monotonic(101.0))
    assert (seen.reading.state, seen.reading.report, seen.reading.answered_at) == (NodeState.UNREACHABLE, None, None)


def test_a_node_that_moved_is_asked_anew_and_keeps_its_report() -> None:
    roster = a_roster()
    roster.reported("n1", BUSY, TAG, Monotonic(110.0))
    moved = replace(N1, host="10.0.0.9")
    changes = roster.assign({"n1": moved}, Monotonic(111.0))
    assert (changes.asked, changes.left) == (("n1",), ())
    assert roster.target("n1") == moved
    assert roster.etag("n1") == ""
    assert roster.exporters["n1"].reading.report == BUSY
    assert roster.exporters["n1"].base_url == moved.base_url


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
    roster = a_roster(N1, N2)
    assert roster.reported("n1", report, TAG, Monotonic(110.0)).pulling == pulling
    changes = roster.assign({"n2": N2}, Monotonic(120.0))
    assert (changes.asked, changes.left) == ((), ("n1",))
    (news,) = changes.news
    if not pulling:
        assert news == ExporterGone("n1")
        assert roster.exporters.keys() == {"n2"}
        return
    assert isinstance(news, ExporterSeen)
    assert news.left
    assert news.reading.state is NodeState.UNREACHABLE
    assert news.reading.report == replace(report, node="n1")
    assert news.failing_since == 120.0
    assert list(roster.forget(Monotonic(120.0 + KEPT_SECONDS - 1))) == []
    assert roster.assign({"n2": N2}, Monotonic(130.0)).news == ()
    assert list(roster.forget(Monotonic(120.0 + KEPT_SECONDS))) == [ExporterGone("n1")]
    assert roster.exporters.keys() == {"n2"}


def test_a_node_that_comes_back_is_asked_and_no_longer_counted_as_left() -> None:
    roster = a_roster()
    roster.reported("n1", BUSY, TAG, Monotonic(110.0))
    roster.assign({}, Monotonic(120.0))
    changes = roster.assign({"n1": N1}, Monotonic(130.0))
    assert changes.asked == ("n1",)
    assert not roster.exporters["n1"].left
    assert list(roster.forget(Monotonic(1e9))) == []
    assert roster.exporters["n1"].reading.report == BUSY


def test_a_node_that_moves_while_it_fails_has_failed_since_then() -> None:
    roster = a_roster()
    roster.failed("n1", AskError(Result.TIMEOUT, "too slow"), Monotonic(112.0))
    roster.assign({"n1": replace(N1, host="10.0.0.9")}, Monotonic(120.0))
    assert roster.failed("n1", AskError(Result.TIMEOUT, "too slow"), Monotonic(121.0)).failing_since == 112.0


def test_a_node_that_never_answered_leaves_without_a_trace() -> None:
    roster = a_roster()
    assert roster.assign({}, Monotonic(101.0)).news == (ExporterGone("n1"),)
    assert roster.exporters == {}
