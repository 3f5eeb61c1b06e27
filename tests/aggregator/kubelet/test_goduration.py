import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.goduration import parse_duration

pytestmark = pytest.mark.unit


def printed(nanoseconds: int) -> str:
    """As `time.Duration` prints itself."""
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if 0 < rest < size * 1000:
            return f"{sign}{decimal(rest, size)}{unit}"
    seconds, fraction = divmod(rest, 10**9)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{decimal(seconds * 10**9 + fraction, 10**9)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


def decimal(number: int, size: int) -> str:
    whole, rest = divmod(number, size)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("0", 0),
        ("12ns", 12e-9),
        ("350µs", 350e-6),
        ("350μs", 350e-6),  # the letter, which Go reads too
        ("350us", 350e-6),
        ("1.5ms", 1.5e-3),
        ("1.234567891s", 1.234567891),
        ("1m2.345s", 62.345),
        ("1h0m3s", 3603),
        ("26h13m0.001s", 94380.001),
        ("-1.5s", -1.5),
        ("-1m0s", -60),
        ("+3s", 3),
        ("1.s", 1),
        (".5s", 0.5),
        ("2562047h47m16.854775807s", 2**63 / 1e9),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "1",
        "1.5",
        "-",
        "1 s",
        " 1s",
        "1s ",
        "1s\n",
        "1d",
        "1S",
        ".s",
        "1e3s",
        "--1s",
        "1s-1s",
        "٣s",
        "inf",
        "∞",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize("text", ["2562047h47m17s", "9" * 19 + "h", "9" * 5000 + "s", "0." + "9" * 5000 + "s"])
def test_what_go_cannot_hold(text: str) -> None:
    assert parse_duration(text) is None


@given(st.integers(-(2**63) + 1, 2**63 - 1))
@example(0)
@example(999)
@example(60 * 10**9)
def test_every_duration_comes_back(nanoseconds: int) -> None:
    seconds = parse_duration(printed(nanoseconds))
    assert seconds is not None
    assert math.isclose(seconds, nanoseconds / 1e9, rel_tol=1e-15)


@given(st.text("0123456789.hmsnuµ+-", max_size=40))
def test_nothing_raises(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or math.isfinite(seconds)
