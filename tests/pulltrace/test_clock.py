import pytest

from pulltrace.clock import Instant, Moment, Monotonic, ServerTime

pytestmark = pytest.mark.unit

NOW = Instant(wall=1_000_000.0, monotonic=Monotonic(500.0))


@pytest.mark.parametrize(
    ("ahead", "stamp", "expected"),
    [
        (0.0, 999_990.0, 490.0),
        (3600.0, 1_003_590.0, 490.0),
        (-3600.0, 996_390.0, 490.0),
        (0.0, 1_000_030.0, 500.0),
        (0.0, None, 500.0),
    ],
    ids=["past", "server-ahead", "server-behind", "future", "none"],
)
def test_stamps_of_the_api_server(ahead: float, stamp: ServerTime | None, expected: float) -> None:
    assert Moment(NOW, ahead).of(stamp) == expected
