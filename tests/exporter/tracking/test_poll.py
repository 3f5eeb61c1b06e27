"""Times over a step of the wall clock."""

import pytest

from pulltrace.clock import Instant, Monotonic
from pulltrace_exporter.tracking.poll import shifted

pytestmark = pytest.mark.unit


def test_a_time_moves_with_the_clock_and_never_before_the_first_unix_second() -> None:
    assert shifted(Instant(100.0, Monotonic(5.0)), -60.0) == Instant(40.0, Monotonic(5.0))
    assert shifted(Instant(0.0, Monotonic(5.0)), -60.0) == Instant(0.0, Monotonic(5.0))
