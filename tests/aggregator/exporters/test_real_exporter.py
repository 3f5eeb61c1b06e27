"""The watched and the exporter as it is shipped: what one writes the other reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulltrace.model.pull import NodeReport, Phase
from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.state import ExporterSeen
from pulltrace_aggregator.model.exporter import NodeState
from rig.exporter_reading import reading
from rig.images import MIB
from rig.node_setup import NodeSetup, node_setup
from rig.standin import StandIn

pytestmark = pytest.mark.contract


@pytest.fixture
def setup(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[NodeSetup]:
    with StandIn(tmp_path_factory.mktemp("n")) as node, node_setup(node, "watched", tmp_path) as opened:
        yield opened


def phases(seen: ExporterSeen) -> list[Phase]:
    return [pull.phase for pull in report(seen).pulls]


def report(seen: ExporterSeen) -> NodeReport:
    return seen.reading.report or pytest.fail("no report")


def test_a_pull_is_followed_from_its_start_to_its_end(setup: NodeSetup) -> None:
    image = setup.push(layers=[3 * MIB])
    setup.registry.throttle(2 * MIB)
    exporter = setup.exporter("--node.name=n1")
    with reading(f"n1=http://127.0.0.1:{exporter.port}") as watched:
        idle = watched.wait(lambda seen: seen.reading.state is NodeState.OK)
        assert report(idle).daemon.up
        assert not idle.pulling
        watched.wait_for(Result.NOT_MODIFIED, 3)
        pull = setup.pull(image)
        seen = watched.wait(lambda seen: seen.pulling and Phase.DOWNLOADING in phases(seen))
        ended = watched.wait(lambda seen: phases(seen) == [Phase.SUCCEEDED])
        pull.wait()
        assert seen.claims == ""
        assert report(ended).pulls[0].key.repository == image.repository
        assert report(ended).pulls[0].downloaded == image.size
        assert not ended.pulling
        downloaded = [
            report(news).pulls[0].downloaded or 0
            for news in watched.news
            if isinstance(news, ExporterSeen) and news.reading.report and news.reading.report.pulls
        ]
        assert downloaded == sorted(downloaded)
        assert len(set(downloaded)) > 3


def test_ages_go_on_while_nothing_is_sent(setup: NodeSetup) -> None:
    exporter = setup.exporter("--node.name=n1")
    with reading(f"n1=http://127.0.0.1:{exporter.port}") as watched:
        watched.wait_for(Result.NOT_MODIFIED, 30)
        seen = watched.seen()
        clock = seen.reading.ahead + (seen.reading.answered_at or 0)
        assert watched.count(Result.OK) == 1
    said = exporter.pulls()["nodeNow"]
    assert clock == pytest.approx(said, abs=2.0)
    assert clock > report(seen).now + 1.0
