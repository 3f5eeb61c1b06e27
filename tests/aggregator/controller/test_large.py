"""Five thousand nodes that all pull, and more pods than any table of the replaced system held: in simulated time."""

from collections import Counter

import pytest

from pulltrace.clock import Monotonic
from pulltrace_aggregator.exporters.schedule import Pace, Schedule
from rig.simulated_cluster import Cluster

pytestmark = pytest.mark.simulation

NODES = 5000
BUDGET = 200


def test_five_thousand_busy_nodes_are_asked_in_turn_within_the_budget() -> None:
    schedule, now = Schedule(Pace(per_second=BUDGET)), Monotonic(100.0)
    for number in range(NODES):
        schedule.add(f"node-{number}", now, pulling=True)
    began, asked, ending = now, list[tuple[float, str]](), list[tuple[float, str]]()
    while now < began + 100:
        while ending and ending[0][0] <= now:
            schedule.answered(ending.pop(0)[1], now, pulling=True)
        while (node := schedule.begin_next(now)) is not None:
            asked.append((now, node))
            ending.append((now + 0.05, node))
        now = Monotonic(max(now + 0.001, min(schedule.next_turn(), ending[0][0] if ending else now + 1)))
    per_second = Counter(int(at - began) for at, _ in asked)
    # Somewhat more in the first, since a budget that was not used may be made up for.
    assert max(per_second.values()) <= 1.25 * BUDGET
    assert len(asked) >= 0.95 * 100 * BUDGET
    times = Counter(name for _, name in asked)
    assert len(times) == NODES
    assert min(times.values()) >= 3, "nobody starves"


def test_all_their_pulls_and_pods_are_shown(cluster: Cluster) -> None:
    for number in range(NODES):
        name = f"node-{number}"
        node = cluster.node(name)
        node.pull(known=True)
        node.advance(ratio=0.1)
        cluster.pod(f"first-{number}", node=name).pulling()
        cluster.pod(f"second-{number}", "registry.example/team/other:1", node=name).pulling()
    cluster.tick()
    assert len(cluster.view.pulls) == NODES
    assert len(cluster.view.pods) == 2 * NODES
    assert Counter(str(row.phase) for row in cluster.view.pods) == {"downloading": NODES, "queued": NODES}
    assert Counter(str(row.cause) for row in cluster.view.pods) == {"progressing": NODES, "queue": NODES}
    assert len(cluster.turn.busy) == NODES
