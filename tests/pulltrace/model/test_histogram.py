import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace.model.histogram import Histogram

pytestmark = pytest.mark.unit


def test_a_value_on_a_bound_is_below_it_because_prometheus_bounds_are_inclusive() -> None:
    histogram = Histogram.empty((1.0, 10.0))
    for value in (0.5, 1.0, 1.5, 10.0, 10.5):
        histogram = histogram.observe(value)

    assert histogram.counts == (2, 2, 1)
    assert histogram.count == 5
    assert histogram.total == 23.5


def test_observing_leaves_the_histogram_that_a_scrape_is_reading_alone() -> None:
    before = Histogram.empty((1.0,))

    after = before.observe(0.5)

    assert before == Histogram((1.0,), (0, 0), 0.0)
    assert after == Histogram((1.0,), (1, 0), 0.5)


def test_without_bounds_everything_is_in_the_infinite_bucket() -> None:
    assert Histogram.empty(()).observe(3.0) == Histogram((), (1,), 3.0)


@given(st.lists(st.floats(min_value=0, max_value=1e6)), st.sets(st.floats(min_value=0, max_value=1e6)))
def test_every_value_is_counted_once_and_under_the_bounds_it_does_not_exceed(
    values: list[float], bounds: set[float]
) -> None:
    histogram = Histogram.empty(tuple(sorted(bounds)))
    for value in values:
        histogram = histogram.observe(value)

    assert histogram.count == len(values)
    assert histogram.total == pytest.approx(sum(values))
    for position, bound in enumerate(histogram.bounds):
        assert sum(histogram.counts[: position + 1]) == sum(value <= bound for value in values)
