"""What holds of ages, rates and reasons at every look, whatever the clocks do; the rig checks the rest at each look."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from faults.world import Asked, World
from rig.exporter import POLLS
from rig.scrape import Scrape

READS: Final = "pulltrace_aggregator_exporter_requests_total"
SLACK: Final = 3.0
"""Seconds: stamps of events are whole ones, and what is shown is as old as the last poll."""
SHORTEST_SPAN: Final = 0.2
"""Seconds over which a rate is measured at least."""


def look(world: World, asked: Sequence[Asked]) -> None:
    """Until the exporter has polled and the aggregator has read what that showed."""
    _check(world, asked)
    polls = _polls(world) + 2
    reads = 0.0
    while not reads or _reads(world) < reads:
        if not reads and _polls(world) >= polls:
            reads = _reads(world) + 2
        _check(world, asked)


def _polls(world: World) -> float:
    return world.exporter.scrape().total(POLLS)


def _reads(world: World) -> float:
    return sum(sample.value for sample in world.aggregator.samples() if sample.name == READS)


def _check(world: World, asked: Sequence[Asked]) -> None:
    _check_exporter(world.exporter.scrape(), asked)
    _check_aggregator(world.aggregator.view(), asked)


def _check_exporter(scrape: Scrape, asked: Sequence[Asked]) -> None:
    now = scrape.value("pulltrace_exporter_time_seconds")
    for each in asked:
        if pull := scrape.pull(each.image):
            ages = {"start": now - pull.start, "progress": now - pull.last_progress}
            _check_ages(ages, each, pull)
            assert pull.phase not in ("failed", "orphaned"), pull
            assert (pull.rate or 0) <= each.image.size / SHORTEST_SPAN, pull


def _check_aggregator(view: Mapping[str, Any], asked: Sequence[Asked]) -> None:
    by_image = {each.image.repository: each for each in asked}
    by_pod = {each.name: each for each in asked}
    for pod in view["pods"]:
        each = by_pod[pod["pod"]]
        _check_ages({"waiting": pod.get("waitingSeconds", 0.0)}, each, pod)
        assert pod["phase"] not in ("failed", "backoff"), pod
    for pull in (*view["pulls"], *(pod["pull"] for pod in view["pods"] if "pull" in pod)):
        each = by_image[pull["repository"]]
        _check_ages({name: age for name, age in pull.items() if name.endswith("AgeSeconds")}, each, pull)
        assert "stale" not in pull, pull
        assert pull["phase"] not in ("failed", "orphaned"), pull
        assert pull.get("bytesPerSecond", 0) <= each.image.size / SHORTEST_SPAN, pull
    assert all(node["state"] == "ok" for node in view["nodes"]), view["nodes"]


def _check_ages(ages: Mapping[str, float], asked: Asked, what: object) -> None:
    longest = time.monotonic() - asked.since + SLACK
    for name, age in ages.items():
        assert 0 <= age <= longest, f"{name}: {age} s, and it was asked for at most {longest} s ago: {what}"
