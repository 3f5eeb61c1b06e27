"""Every query on a real Prometheus, over a made-up hour at whose end two generations of every program are there."""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from dashboards.scenes import FIRST, NEEDS, NOTHING_HERE
from rig import prometheus
from rig.dashboards import Look, Query, all_choices, all_queries, files, queries
from rig.prometheus import QueryFailed, Release, Series
from rig.sample_hour.loaded import loaded
from rig.sample_hour.scenario import sample_hour
from rig.sample_hour.stored_series import stored_hour
from rig.sample_hour.timelines import HOUR_END, Scenario

pytestmark = pytest.mark.integration

STEP = 30
UPDATE = 300.0
RATE_INTERVAL = 4 * STEP


@pytest.mark.parametrize("release", prometheus.RELEASES.values(), ids=prometheus.RELEASES)
def test_every_query_answers_and_an_update_shows_nothing_twice(release: Release, tmp_path: Path) -> None:
    epoch = time.time() // STEP * STEP - HOUR_END
    scenario = sample_hour()
    cluster = "east" if release is prometheus.NEW else ""
    stored = stored_hour(scenario, epoch, STEP, overlap=UPDATE, cluster=cluster)
    with loaded(stored, epoch + HOUR_END, STEP, tmp_path, release) as server:
        asked = _Asked(Look(server, epoch + HOUR_END, HOUR_END, STEP, RATE_INTERVAL), cluster)
        assert asked.complaints() == []
        assert asked.empty_choices() == []
        _check_counts(asked, scenario)


class _Asked:
    """Questions at the end of the hour."""

    def __init__(self, look: Look, cluster: str) -> None:
        self._look = look
        self._cluster = {"cluster": cluster} if cluster else {}

    def answer(self, query: Query, chosen: Mapping[str, str]) -> list[Series]:
        return self._look.answer(query, {**self._cluster, **chosen})

    def complaints(self) -> list[str]:
        """What fails, is empty against the list, or is not empty against it."""
        return [line for query in all_queries(files()) for line in self._complaints(query)]

    def _complaints(self, query: Query) -> list[str]:
        try:
            found = bool(self.answer(query, NEEDS.get(query.key) or FIRST[query.dashboard]))
        except QueryFailed as error:
            return [f"{query}: {error}"]
        if found == (query.key in NOTHING_HERE):
            return [f"{query.key} {query}: {'shows something against the list' if found else 'shows nothing'}"]
        return []

    def empty_choices(self) -> list[str]:
        """Variables that offer nothing; a cluster is offered where series have one."""
        asked = [choice for choice in all_choices(files()) if choice.name != "cluster" or self._cluster]
        return [str(choice) for choice in asked if not self._look.offered(choice, FIRST[choice.dashboard])]

    def by_label(self, key: str, *labels: str) -> dict[tuple[str, ...], float]:
        """What a query of Overview shows, by some of its labels."""
        query = next(query for query in queries("overview", files()["overview"]) if query.key == f"overview/{key}")
        found = self.answer(query, {})
        return {tuple(one.labels.get(label, "") for label in labels): one.value for one in found}


def _check_counts(asked: _Asked, scenario: Scenario) -> None:
    """What Overview counts is what happened, although every program tells it twice."""
    waits = [wait for wait in scenario.waits if wait.phase(HOUR_END) not in ("", "pulled")]
    seen = [pull for pull in scenario.pulls if scenario.answers(pull.node, HOUR_END)]
    running = [pull for pull in seen if pull.phase(HOUR_END) in ("downloading", "unpacking")]
    assert asked.by_label("1A") == {(): len({(wait.namespace, wait.pod) for wait in waits})}
    assert asked.by_label("4A") == {(): sum(since <= HOUR_END <= pull.end + 120 for pull, _, since in scenario.stale)}
    resolving = [pull for pull in seen if pull.phase(HOUR_END) == "resolving"]
    assert asked.by_label("5A") == {(): len(running) + len(resolving)}
    causes = Counter((wait.cause_at(HOUR_END),) for wait in waits)
    assert asked.by_label("8A", "cause") == causes
    images = Counter((pull.image.repository,) for pull in running)
    assert asked.by_label("9A", "repository") == images
    assert len(asked.by_label("7B", "namespace", "pod", "container")) == len(waits)
