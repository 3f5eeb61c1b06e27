import pytest

from pulltrace.model.pull import Phase
from pulltrace_exporter.model.view import RegistryMediaType, RegistryResult, RegistryStage, Spent
from pulltrace_exporter.tracking.counters import DURATION_BUCKETS, Counters, LabelLimit

pytestmark = pytest.mark.unit


def test_an_end_without_a_beginning_shows_the_zeros_of_the_other_results_too() -> None:
    counters = Counters(10)
    counters.add_ended("one.example", Phase.ORPHANED)

    assert sorted(counters.totals().pulls.values()) == [0, 0, 1]


def test_meeting_a_registry_again_takes_nothing_back() -> None:
    counters = Counters(10)
    counters.add_ended("one.example", Phase.FAILED)
    counters.add_cached("one.example", 7)
    counters.add_active([("one.example", "download", 1.5)])
    counters.add_registry("one.example")

    totals = counters.totals()

    assert totals.pulls[RegistryResult("one.example", "failed")] == 1
    assert totals.cached_bytes == {"one.example": 7}
    assert totals.active_seconds[RegistryStage("one.example", "download")] == 1.5


def test_label_values_beyond_the_limit_are_counted_as_other_and_no_byte_is_lost() -> None:
    counters = Counters(2)
    for number in range(5):
        counters.add_downloaded(f"r{number}.example", f"type-{number}", 10)
        counters.add_cached(f"r{number}.example", 1)
        counters.add_ended(f"r{number}.example", Phase.SUCCEEDED)
        counters.add_durations(f"r{number}.example", {"download": 1.0})

    totals = counters.totals()

    assert totals.downloaded_bytes == {
        RegistryMediaType("r0.example", "type-0"): 10,
        RegistryMediaType("r1.example", "type-1"): 10,
        RegistryMediaType("other", "other"): 30,
    }
    assert totals.cached_bytes["other"] == 3
    assert totals.pulls[RegistryResult("other", "succeeded")] == 3
    assert totals.durations["other"].count == 3
    assert totals.stages[RegistryStage("other", "download")] == Spent(3.0, 3)
    assert totals.suppressed_registries == 3
    assert totals.suppressed_media_types == 3


def test_a_refused_name_is_told_once_however_often_it_comes() -> None:
    names = LabelLimit(1)

    assert " ".join(names.admit(name) for name in "abbacb") == "a other other a other other"
    assert names.refused == 2


def test_refused_names_are_not_kept_without_bound() -> None:
    names = LabelLimit(0)
    for number in range(10_500):
        names.admit(str(number))

    assert names.refused == 10_000


def test_totals_do_not_change_afterwards() -> None:
    counters = Counters(10)
    counters.add_downloaded("one.example", "t", 1)
    totals = counters.totals()

    counters.add_downloaded("one.example", "t", 1)
    counters.add_unresolved()

    assert totals.downloaded_bytes == {RegistryMediaType("one.example", "t"): 1}
    assert totals.unresolved_pulls == 0
    assert counters.totals().unresolved_pulls == 1


def test_a_pull_of_an_hour_is_timed_as_a_whole_and_in_its_stages() -> None:
    counters = Counters(10)
    counters.add_durations("one.example", {"resolve": 1.0, "download": 3000.0, "unpack": 599.0})

    totals = counters.totals()

    assert DURATION_BUCKETS[-1] == 3600
    assert totals.durations["one.example"].counts[-2:] == (1, 0)
    assert totals.durations["one.example"].total == 3600
    assert {key.stage: spent for key, spent in totals.stages.items()} == {
        "resolve": Spent(1.0, 1),
        "download": Spent(3000.0, 1),
        "unpack": Spent(599.0, 1),
    }
