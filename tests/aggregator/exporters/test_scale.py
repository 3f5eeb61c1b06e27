"""A thousand nodes over real connections."""

import time
from pathlib import Path

import pytest

from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.schedule import Pace
from rig.exporter_reading import reading, report_of
from rig.many_exporters import addresses, many_exporters
from rig.web import wait_until

pytestmark = pytest.mark.simulation

NODES = list(addresses(1000))
BUDGET = 200


def test_a_thousand_pulling_nodes_are_read_within_the_budget(tmp_path: Path) -> None:
    with many_exporters(tmp_path) as (_, port):
        targets = [f"{node}=http://{node}:{port}" for node in NODES]
        began = time.monotonic()
        # A machine that is busy with other tests answers late, which is not what is looked at here.
        with reading(*targets, wanted=NODES, pace=Pace(per_second=BUDGET), timeout=30.0) as watched:
            wait_until(lambda: sum(bool(seen.reading.report) for seen in watched.exporters.values()) == len(NODES))
            assert time.monotonic() - began >= len(NODES) / BUDGET - 1
            watched.wait_for(Result.OK, len(NODES))
            elapsed = time.monotonic() - began
    assert sum(watched.requests.values()) <= (elapsed + 1) * BUDGET
    assert sum(watched.requests.values()) == watched.requests[Result.OK]
    assert len(watched.exporters) == len(NODES)
    for node, seen in watched.exporters.items():
        assert report_of(seen).node == node
        assert seen.claims == "", "a node got the answer of another"
