"""A thousand nodes over real connections."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.schedule import Pace
from rig.exporter_reading import reading
from rig.many_exporters import addresses
from rig.processes import Process, free_port
from rig.web import wait_until

pytestmark = pytest.mark.simulation

NODES = list(addresses(1000))
TESTS = Path(__file__).parents[2]
BUDGET = 200


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "rig.many_exporters", str(port)]
    exporters = Process(command, tmp_path / "log", {"PYTHONPATH": str(TESTS)})
    try:
        wait_until(lambda: "port" in exporters.tail(), 30)
        yield port
    finally:
        exporters.kill()


def test_a_thousand_pulling_nodes_are_read_within_the_budget(port: int) -> None:
    targets = [f"{node}=http://{node}:{port}" for node in NODES]
    began = time.monotonic()
    # A machine that is busy with other tests answers late, which is not what is looked at here.
    with reading(*targets, wanted=NODES, pace=Pace(per_second=BUDGET), timeout=30.0) as watched:
        wait_until(lambda: sum(bool(seen.reading.report) for seen in watched.exporters.values()) == len(NODES), 60)
        assert time.monotonic() - began >= len(NODES) / BUDGET - 1
        watched.wait_for(Result.OK, len(NODES), seconds=60)
        elapsed = time.monotonic() - began
        view = watched
    assert sum(view.requests.values()) <= (elapsed + 1) * BUDGET
    assert sum(view.requests.values()) == view.requests[Result.OK]
    assert len(view.exporters) == len(NODES)
    for node, seen in view.exporters.items():
        assert seen.reading.report is not None
        assert seen.reading.report.node == node
        assert seen.claims == "", "a node got the answer of another"
