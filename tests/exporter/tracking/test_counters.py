import pytest

from pulltrace.model.pull import ENDS, Phase
from pulltrace_exporter.model.view import RegistryMediaType, RegistryResult, RegistryStage, Spent
from pulltrace_exporter.tracking.counters import DURATION_BUCKETS, Ledger, Names

pytestmark = pytest.mark.unit


def test_counters_of_a_registry_begin_at_zero_before_its_first_pull_ends() -> None:
    ledger = Ledger(10)
    ledger.meet("one.example")

    totals = ledger.totals()

    assert totals.pulls == {RegistryResult("one.example", result.value): 0 for result in ENDS}
    assert totals.active_seconds == {
        RegistryStage("one.example", "download"): 0,
        RegistryStage("one.example", "unpack"): 0,
    }
    assert totals.cached_bytes == {"one.example": 0}


def test_an_end_without_a_beginning_shows_the_zeros_of_the_other_results_too() -> None:
    ledger = Ledger(10)
    ledger.ended("one.example", Phase.ORPHANED)

    assert sorted(ledger.totals().pulls.values()) == [0, 0, 1]


def test_meeting_a_registry_again_takes_nothing_back() -> None:
    ledger = Ledger(10)
    ledger.ended("one.example", Phase.FAILED)
    ledger.cached("one.example", 7)
    ledger.active([("one.example", "download", 1.5)])
    ledger.meet("one.example")

    totals = ledger.totals()

    assert totals.pulls[RegistryResult("one.example", "failed")] == 1
    assert totals.cached_bytes == {"one.example": 7}
    assert totals.active_seconds[RegistryStage("one.example", "download")] == 1.5


def test_label_values_beyond_the_limit_are_counted_as_other_and_no_byte_is_lost() -> None:
    ledger = Ledger(2)
    for number in range(5):
        ledger.downloaded(f"r{number}.example", f"type-{number}", 10)
        ledger.cached(f"r{number}.example", 1)
        ledger.ended(f"r{number}.example", Phase.SUCCEEDED)
        ledger.took(f"r{number}.example", {"download": 1.0})

    totals = ledger.totals()

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
    names = Names(1)

    assert [names.admit(name) for name in ("a", "b", "b", "a", "c", "b")] == [
        "a",
        "other",
        "other",
        "a",
        "other",
        "other",
    ]
    assert names.refused == 2


def test_refused_names_are_not_kept_without_bound() -> None:
    names = Names(0)
    for number in range(100_500):
        names.admit(str(number))

    assert names.refused == 100_000


def test_a_picture_does_not_change_afterwards_and_is_reused_while_nothing_does() -> None:
    ledger = Ledger(10)
    ledger.downloaded("one.example", "t", 1)
    picture = ledger.totals()
    assert ledger.totals() is picture

    ledger.downloaded("one.example", "t", 1)
    ledger.unresolved()

    assert picture.downloaded_bytes == {RegistryMediaType("one.example", "t"): 1}
    assert picture.unresolved_pulls == 0
    assert ledger.totals().unresolved_pulls == 1


def test_a_pull_of_an_hour_is_timed_as_a_whole_and_in_its_stages() -> None:
    ledger = Ledger(10)
    ledger.took("one.example", {"resolve": 1.0, "download": 3000.0, "unpack": 599.0})

    totals = ledger.totals()

    assert DURATION_BUCKETS[-1] == 3600
    assert totals.durations["one.example"].counts[-2:] == (1, 0)
    assert totals.durations["one.example"].total == 3600
    assert {key.stage: spent for key, spent in totals.stages.items()} == {
        "resolve": Spent(1.0, 1),
        "download": Spent(3000.0, 1),
        "unpack": Spent(599.0, 1),
    }
