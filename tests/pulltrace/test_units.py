import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace.units import format_duration, parse_duration, parse_size

pytestmark = pytest.mark.unit

LONGEST_MS = (2**63 - 1) // 10**6


def refusal(parse: Callable[[str], float], text: str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("500ms", 0.5),
        ("30s", 30),
        ("1m30s", 90),
        ("1h1ms", 3600.001),
        ("90m", 5400),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1y", 31_536_000),
        ("1y2w3d4h5m6s7ms", 31_536_000 + 2 * 604_800 + 3 * 86_400 + 4 * 3600 + 306.007),
        ("007s", 7),
        ("292y", 292 * 31_536_000),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize("text", ["", " 1s", "1s ", "1", "1.5s", "-1s", "s", "1s1m", "1s1s", "1S", "1us", "٣s", "1s\n"])
def test_wrong_durations(text: str) -> None:
    assert refusal(parse_duration, text) == f"{text!r} is not a duration: write it like 500ms, 30s or 1m30s"


@pytest.mark.parametrize("text", ["293y", "9" * 19 + "s", "9" * 20 + "s"])
def test_durations_beyond_prometheus(text: str) -> None:
    assert refusal(parse_duration, text) == f"duration {text!r} is too long"


def test_absurd_digits_are_refused_in_our_words() -> None:
    shown = "9" * 39 + "…"
    assert refusal(parse_duration, "9" * 5000 + "s") == f"duration '{shown}' is too long"
    assert refusal(parse_size, "9" * 5000) == f"size '{shown}' is too large"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.5, "500ms"),
        (90, "1m30s"),
        (120, "2m"),
        (3600, "1h"),
        (36 * 3600, "1d12h"),
        (90 * 86_400, "90d"),
        (14 * 86_400, "2w"),
        (365 * 86_400, "1y"),
        (366 * 86_400, "366d"),
        (0.0004, "0s"),
    ],
)
def test_durations_are_written_as_prometheus_writes_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan, 1e12])
def test_what_cannot_be_written_as_a_duration(seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot be written as a duration"):
        format_duration(seconds)


@given(st.integers(0, 2**43))
@example(0)
def test_durations_round_trip(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text())
def test_arbitrary_text_as_a_duration(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds <= LONGEST_MS / 1000


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("64KiB", 65_536), ("10MiB", 10 * 2**20), ("2GiB", 2**31), ("010KiB", 10_240)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5MiB", "1MB", "1kib", "1 KiB", "KiB", "1B", "1TiB", "1\n", "1_000"])
def test_wrong_sizes(text: str) -> None:
    assert refusal(parse_size, text) == f"{text!r} is not a size: write bytes like 4096, or 64KiB, 10MiB, 2GiB"


def test_sizes_beyond_63_bits() -> None:
    assert parse_size(str(2**63 - 1)) == 2**63 - 1
    assert refusal(parse_size, str(2**63)) == "size '9223372036854775808' is too large"
