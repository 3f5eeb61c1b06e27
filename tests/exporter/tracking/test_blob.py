import pytest

from pulltrace.clock import Monotonic
from pulltrace_exporter.tracking.blob import Rate

pytestmark = pytest.mark.unit

MIB = 1024 * 1024


def rate_of(*samples: tuple[float, int]) -> Rate:
    rate = Rate(Monotonic(samples[0][0]), samples[0][1])
    for at, value in samples[1:]:
        rate.advance(Monotonic(at), value)
    return rate


def per_second(rate: Rate, at: float) -> float | None:
    return rate.per_second(Monotonic(at))


def test_spans_the_last_ten_seconds_and_not_the_whole_download() -> None:
    fast_then_slow = rate_of(*((at, 1000 * at) for at in range(20)), *((20 + at, 19_000 + 10 * at) for at in range(15)))

    assert per_second(fast_then_slow, 34) == pytest.approx(10)


def test_is_unknown_at_first_because_two_looks_at_once_say_nothing() -> None:
    assert per_second(rate_of((0, 0)), 0) is None
    assert per_second(rate_of((0, 0), (0.1, 5 * MIB)), 0.1) is None
    assert per_second(rate_of((0, 0), (0.1, 5 * MIB)), 1) == 5 * MIB


def test_a_rate_is_seen_of_a_slow_download_whose_offset_stands_still_for_longer_than_the_window() -> None:
    # 50 kB/s in steps of 1 MiB: 21 s between two advances.
    slow = rate_of(*((21.0 * step, MIB * step) for step in range(5)))

    for at in range(84, 104):
        rate = per_second(slow, at)
        assert rate is not None
        assert 24_000 < rate < 51_000


def test_falls_while_nothing_comes_and_is_zero_after_a_minute() -> None:
    stalled = rate_of(*((at, MIB * at) for at in range(10)))

    rates = [per_second(stalled, at) for at in (9, 15, 30, 60, 80)]

    assert rates == sorted(rates, reverse=True)  # type: ignore[type-var]
    assert rates[0] == MIB
    assert rates[-1] == 0


def test_after_a_stall_looks_back_ten_seconds_and_not_to_before_the_stall() -> None:
    resumed = rate_of((0, 0), (1, MIB), (41, 2 * MIB), (42, 3 * MIB), (43, 4 * MIB))

    assert per_second(resumed, 43) == pytest.approx(3 * MIB / 10)


def test_never_looks_back_more_than_a_minute() -> None:
    assert per_second(rate_of((0, 0), (300, 60 * MIB)), 300) == MIB


def test_going_back_is_no_advance() -> None:
    rate = rate_of((0, 0), (5, 1000), (6, 10), (7, 1000))

    assert per_second(rate, 10) == 100


def test_keeps_no_history_beyond_its_window() -> None:
    rate = Rate(Monotonic(0.0), 0)
    for at in range(10_000):
        rate.advance(Monotonic(at / 10), at)
        per_second(rate, at / 10)

    assert len(rate._samples) < 110
