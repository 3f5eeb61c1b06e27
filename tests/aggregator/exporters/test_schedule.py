"""Whom to ask when, on a clock that only the test moves."""

import heapq
import itertools
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from math import inf

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from pulltrace.clock import Monotonic
from pulltrace_aggregator.exporters.schedule import Budget, Pace, Schedule

pytestmark = pytest.mark.unit

LATENCY = 0.01
TIMEOUT = 3.0


class Cluster:
    """Nodes that answer after their latency, never when that is None, and a program that does what it is told."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.schedule = Schedule(pace or Pace())
        self.now = Monotonic(1000.0)
        self.asked: list[tuple[float, str]] = []
        self.latency: dict[str, float | None] = defaultdict(lambda: LATENCY)
        self.pulling: set[str] = set()
        self.most_at_once = 0
        self._times: dict[str, list[float]] = defaultdict(list)
        self._answers: list[tuple[float, int, str, bool]] = []
        self._numbers = itertools.count()

    def add(self, *names: str) -> None:
        for name in names:
            self.schedule.add(name, self.now)

    def add_wanted(self, *names: str) -> None:
        self.add(*names)
        self.want(*names)

    def want(self, *names: str) -> None:
        self.schedule.want(names, self.now)

    def die(self, *names: str) -> None:
        self.latency.update(dict.fromkeys(names))

    def run(self, seconds: float) -> list[tuple[float, str]]:
        """Go on for so long; returns who was asked when."""
        begun, end = len(self.asked), self.now + seconds
        while self.now < end:
            self._turn()
            following = min(self.schedule.next_turn(), self._answers[0][0] if self._answers else inf, end)
            assert following > self.now, "the schedule makes its caller spin"
            self.now = Monotonic(following)
        return self.asked[begun:]

    def times(self, name: str, since: float = 0.0) -> list[float]:
        return [when for when in self._times[name] if when >= since]

    def _turn(self) -> None:
        while self._answers and self._answers[0][0] <= self.now:
            _, _, name, good = heapq.heappop(self._answers)
            if good:
                self.schedule.answered(name, self.now, pulling=name in self.pulling)
            else:
                self.schedule.failed(name, self.now)
        while asked := self.schedule.begin_next(self.now):
            self.asked.append((self.now, asked))
            self._times[asked].append(self.now)
            latency = self.latency[asked]
            self._answer(asked, TIMEOUT if latency is None else latency, good=latency is not None)
        self.most_at_once = max(self.most_at_once, len(self._answers))

    def _answer(self, name: str, after: float, *, good: bool) -> None:
        heapq.heappush(self._answers, (self.now + after, next(self._numbers), name, good))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def names(count: int, kind: str = "node") -> list[str]:
    return [f"{kind}-{number}" for number in range(count)]


def most_in_a_second(times: Iterable[float]) -> int:
    """Of all windows of a second, wherever they begin."""
    ordered = sorted(times)
    return max((bisect_left(ordered, start + 1.0) - index for index, start in enumerate(ordered)), default=0)


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times)]


def test_a_node_where_a_pod_waits_is_asked_every_interval(cluster: Cluster) -> None:
    cluster.add_wanted("n")
    cluster.run(60)
    assert gaps(cluster.times("n"))[1:] == pytest.approx([2.0] * len(gaps(cluster.times("n"))[1:]))


def test_a_node_with_a_pull_is_asked_every_interval_without_being_wanted(cluster: Cluster) -> None:
    cluster.pulling.add("n")
    cluster.add("n")
    assert 29 <= len(cluster.run(60)) <= 32
    cluster.pulling.clear()
    cluster.run(3)
    assert len(cluster.run(290)) <= 1


def test_all_others_are_asked_once_in_five_minutes(cluster: Cluster) -> None:
    cluster.add(*names(50))
    cluster.run(3600)
    for name in names(50):
        assert gaps(cluster.times(name))[1:] == pytest.approx([300.0] * len(gaps(cluster.times(name))[1:]))
        assert gaps(cluster.times(name))[0] <= 330


def test_questions_are_spread_over_the_interval(cluster: Cluster) -> None:
    cluster.add_wanted(*names(300))
    cluster.run(10)
    times = [when for when, _ in cluster.run(2.0)]
    quarters = [sum(1 for when in times if int((when - cluster.now + 2.0) * 2) == quarter) for quarter in range(4)]
    assert all(50 < count < 100 for count in quarters), quarters


def test_a_pod_that_begins_to_wait_has_its_node_asked_at_once(cluster: Cluster) -> None:
    cluster.add(*names(10))
    cluster.run(40)
    asked_before = cluster.times("node-3")[-1]
    cluster.want("node-3")
    began = cluster.now
    cluster.run(5)
    assert cluster.times("node-3", began)[0] <= max(began, asked_before + 2.0) + 0.01
    cluster.want()
    cluster.run(2.5)
    assert len(cluster.run(290)) <= 11


def test_waiting_that_comes_and_goes_never_asks_more_often_than_the_interval(cluster: Cluster) -> None:
    cluster.add("n")
    for _ in range(300):
        cluster.want("n")
        cluster.run(0.05)
        cluster.want()
        cluster.run(0.05)
    assert len(cluster.times("n")) <= 30 / 2.0 + 3


def test_a_node_that_is_wanted_before_it_is_known_is_busy_from_the_start(cluster: Cluster) -> None:
    cluster.want("n")
    cluster.add("n")
    assert cluster.schedule.busy("n")
    assert 4 <= len(cluster.run(10)) <= 7


def test_a_dead_node_costs_less_and_less_and_its_return_is_noticed_soon(cluster: Cluster) -> None:
    cluster.add_wanted("n")
    cluster.run(20)
    cluster.die("n")
    died = cluster.now
    cluster.run(300)
    pauses = [gap - TIMEOUT for gap in gaps(cluster.times("n", died))]
    assert pauses[0] < 3
    assert 6 <= pauses[-1] <= 10
    cluster.latency["n"] = LATENCY
    back = cluster.now
    cluster.run(30)
    assert cluster.times("n", back)[0] - back <= 10 + TIMEOUT
    assert gaps(cluster.times("n", back))[-1] == pytest.approx(2.0)


def test_nodes_that_die_together_do_not_come_back_together() -> None:
    cluster = Cluster(Pace(per_second=10_000, at_once=1000, doubtful_at_once=1000))
    cluster.die(*names(100))
    cluster.add_wanted(*names(100))
    cluster.run(60)
    thirds = [int((when - cluster.now) * 10) for when, _ in cluster.run(5)]
    assert max(thirds.count(third) for third in thirds) < 15


def test_a_fault_of_a_node_long_ago_is_forgotten(cluster: Cluster) -> None:
    cluster.add_wanted("n")
    for latency in (None, LATENCY, None):
        cluster.latency["n"] = latency
        began = cluster.now
        cluster.run(60)
    first, second, *_ = cluster.times("n", began)
    assert second - first - TIMEOUT <= 2.5


def test_a_dead_node_where_nobody_waits_is_asked_ever_more_seldom(cluster: Cluster) -> None:
    cluster.die("n")
    cluster.add("n")
    cluster.run(4000)
    pauses = [gap - TIMEOUT for gap in gaps(cluster.times("n"))]
    assert 7 <= pauses[0] <= 13
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 300 * 1.25
    began = cluster.now
    cluster.want("n")
    cluster.run(10)
    assert cluster.times("n", began)[0] - began <= TIMEOUT + 2


def test_many_dead_nodes_where_nobody_waits_leave_room_for_one_where_somebody_does(cluster: Cluster) -> None:
    cluster.die(*names(1000, "dead"))
    cluster.add(*names(1000, "dead"))
    cluster.run(5)
    cluster.add_wanted("n")
    began = cluster.now
    cluster.run(20)
    assert cluster.times("n")[0] - began < 0.1
    assert max(gaps(cluster.times("n"))) < 2.3


def test_a_node_that_goes_is_asked_no_more_and_its_slot_is_free() -> None:
    cluster = Cluster(Pace(at_once=1))
    cluster.add("n", "m")
    first = cluster.schedule.begin_next(cluster.now)
    assert first
    assert cluster.schedule.next_turn() == inf
    cluster.schedule.remove(first)
    cluster.schedule.remove("unheard of")
    assert {name for _, name in cluster.run(1000)} == {"n", "m"} - {first}


def test_a_node_that_moved_is_asked_again_at_once(cluster: Cluster) -> None:
    cluster.add("n")
    cluster.run(10)
    assert len(cluster.times("n")) == 1
    cluster.add("n")
    cluster.run(0.1)
    assert len(cluster.times("n")) == 2


def test_a_request_that_came_to_nothing_is_made_again_at_once() -> None:
    schedule = Schedule(Pace())
    schedule.add("n", Monotonic(0.0))
    assert schedule.begin_next(Monotonic(0.0)) == "n"
    schedule.again("n", Monotonic(0.1))
    assert schedule.begin_next(Monotonic(0.1)) == "n"


def test_a_node_whose_report_takes_long_to_read_is_left_in_peace() -> None:
    schedule = Schedule(Pace())
    schedule.want(["n"], Monotonic(0.0))
    schedule.add("n", Monotonic(0.0))
    schedule.begin_next(Monotonic(0.0))
    schedule.answered("n", Monotonic(1.0), pulling=True, rest=30.0)
    assert schedule.next_turn() == 31.0


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, each node is asked once at a time, and none is lost."""

    nodes = st.sampled_from(names(5))

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule(Pace(at_once=3, doubtful_at_once=1))
        self.known: set[str] = set()
        self.under_way: set[str] = set()
        self.now = Monotonic(0.0)

    @rule(node=nodes)
    def add(self, node: str) -> None:
        self.schedule.add(node, self.now)
        self.known.add(node)
        self.under_way.discard(node)

    @rule(node=nodes)
    def remove(self, node: str) -> None:
        self.schedule.remove(node)
        self.known.discard(node)
        self.under_way.discard(node)

    @rule(nodes=st.sets(nodes))
    def want(self, nodes: set[str]) -> None:
        self.schedule.want(nodes, self.now)

    @rule(seconds=st.sampled_from([0.01, 1.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now = Monotonic(self.now + seconds)

    @rule()
    def take(self) -> None:
        node = self.schedule.begin_next(self.now)
        if node:
            assert node in self.known - self.under_way
            self.under_way.add(node)
            assert len(self.under_way) <= 3

    @precondition(lambda self: self.under_way)
    @rule(end=st.sampled_from(["pulling", "idle", "failed", "again"]), data=st.data())
    def end(self, end: str, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(sorted(self.under_way)))
        self.under_way.discard(node)
        if end in ("pulling", "idle"):
            self.schedule.answered(node, self.now, pulling=end == "pulling")
        else:
            {"failed": self.schedule.failed, "again": self.schedule.again}[end](node, self.now)

    def teardown(self) -> None:
        asked = set(self.under_way)
        for node in sorted(asked):
            self.schedule.answered(node, self.now, pulling=False)
        while self.known - asked:
            self.now = Monotonic(max(self.now, self.schedule.next_turn()))
            assert self.now < inf, "nodes are lost"
            taken = self.schedule.begin_next(self.now)
            if taken:
                asked.add(taken)
                self.schedule.answered(taken, self.now, pulling=False)


TestAnyOrder = AnyOrder.TestCase


class TestBudget:
    @pytest.mark.parametrize("rate", [1, 3, 200])
    def test_is_used_up_and_never_exceeded(self, rate: int) -> None:
        budget, times, now = Budget(rate), [], 0.0
        while now < 20:
            if budget.ready_at <= now:
                budget.spend(Monotonic(now))
                times.append(now)
            now = max(now, budget.ready_at)
        assert most_in_a_second(times) == rate
        assert len(times) >= 19 * rate

    def test_a_late_program_catches_up_a_little_within_the_second(self) -> None:
        budget, times, now = Budget(100), [], 0.0
        for turn in range(2000):
            now += 0.013 if turn % 40 else 0.5  # late every time, sometimes very
            while budget.ready_at <= now:
                budget.spend(Monotonic(now))
                times.append(now)
        assert most_in_a_second(times) <= 100
        assert len(times) > 2300, "of 2,500 in the 25 s in which it was only a little late"

    def test_is_kept_by_nodes_that_fail_and_repeat(self) -> None:
        cluster = Cluster(Pace(per_second=20))
        cluster.add_wanted(*names(100))
        cluster.die(*names(50))
        cluster.run(60)
        assert most_in_a_second(when for when, _ in cluster.asked) <= 20


@pytest.mark.simulation
class TestLargeCluster:
    """5,000 nodes, and a budget of 200 requests a second."""

    NODES = names(5000)

    def test_when_all_pull_the_budget_is_used_up_and_intervals_stretch_alike(self, cluster: Cluster) -> None:
        cluster.add_wanted(*self.NODES)
        cluster.run(120)
        assert most_in_a_second(when for when, _ in cluster.asked) == 200
        assert len(cluster.asked) > 0.98 * 120 * 200
        for name in self.NODES[::50]:
            assert all(24 < gap < 28 for gap in gaps(cluster.times(name))), gaps(cluster.times(name))

    def test_few_nodes_that_pull_are_asked_often_among_many_that_do_not(self, cluster: Cluster) -> None:
        cluster.add(*self.NODES)
        cluster.want(*self.NODES[:100])
        first = {name for _, name in cluster.run(1.0)}
        assert first >= set(self.NODES[:100]), "those who wait come first, right after the start, too"
        cluster.run(60)
        began = cluster.now
        cluster.run(600)
        for name in self.NODES[:100]:
            assert max(gaps(cluster.times(name, began))) < 2.2
        for name in self.NODES[100::100]:
            assert 1 <= len(cluster.times(name, began)) <= 3
        assert most_in_a_second(when for when, _ in cluster.asked) <= 200

    def test_idle_nodes_do_not_starve_behind_many_that_pull(self, cluster: Cluster) -> None:
        cluster.add(*self.NODES)
        cluster.want(*self.NODES[:4000])
        cluster.run(700)
        for name in self.NODES[4000::25]:
            assert len(cluster.times(name)) >= 2

    def test_a_failing_fifth_does_not_hold_up_the_rest(self, cluster: Cluster) -> None:
        cluster.add(*self.NODES[:500])
        cluster.want(*self.NODES[:300])
        cluster.run(30)
        dead = set(self.NODES[:100])
        cluster.die(*dead)
        began = cluster.now
        cluster.run(60)
        for name in self.NODES[100:300]:
            assert max(gaps(cluster.times(name, began))) < 3.0
        assert cluster.most_at_once <= 128
