"""Which pod waits for what, as the running program tells it over HTTP."""

import time

import pytest

from rig.images import digest
from rig.mini_cluster import MiniCluster
from rig.sample_views import a_layer
from rig.simulated_cluster import IMAGE

pytestmark = pytest.mark.contract

OTHER = "registry.example/team/other:1"


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_an_hour_apart(cluster: MiniCluster, hours: int) -> None:
    ahead = hours * 3600.0
    node = cluster.node(ahead=ahead)
    aggregator = cluster.aggregator(node.target, "--stale.no-progress=30s")
    one, two = f"{IMAGE}-a", f"{IMAGE}-b"
    node.pull(two, known=False, started_at=node.now - 40)
    cluster.pod("web", one, ahead=ahead).pulling()
    node.pull(one, known=False, started_at=node.now + 1)
    view = aggregator.wait(lambda view: view["pods"] and view["pods"][0]["match"] == "repository")
    assert view["pods"][0]["pull"]["digest"] == digest(one)
    assert view["pods"][0]["waitingSeconds"] < 20
    assert [pull.get("stale") for pull in view["pulls"]] == [None, None]
    ages = sorted(pull["ageSeconds"] for pull in view["pulls"])
    assert ages[0] < 20
    assert 40 <= ages[1] < 60


def test_only_layers_tell_who_waits_for_whom(cluster: MiniCluster) -> None:
    node, shared = cluster.node(), a_layer(3)
    aggregator = cluster.aggregator(node.target)
    node.pull(OTHER, layers=(shared,), started_at=node.now - 10)
    node.pull(layers=(shared,), started_at=node.now)
    cluster.pod("web").pulling()
    aggregator.wait(lambda view: view["pods"] and view["pods"][0]["blockedBy"] == "shared_layer")
    asked = time.monotonic()
    node.end(OTHER)
    aggregator.wait(lambda view: view["pods"][0]["blockedBy"] == "progressing")
    # From now on they tell nothing.
    aggregator.wait(lambda _: {"layers": ("false",)} in [one.query for when, one in node.asked if when > asked])
