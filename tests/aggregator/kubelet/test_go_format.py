import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.go_format import parse_duration, unquote

pytestmark = pytest.mark.unit


def quote(text: str) -> str:
    """As `fmt.Sprintf("%q", text)` may do it: what is printable stands for itself, the rest is escaped."""
    plain = {character for character in text if character.isprintable()} - {'"', "\\"}
    return '"' + "".join(each if each in plain else f"\\U{ord(each):08x}" for each in text) + '"'


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        ('""', ""),
        ('"registry.example/team/app:1@sha256:ab"', "registry.example/team/app:1@sha256:ab"),
        (r'"a\"b\\c"', 'a"b\\c'),
        (r'"\a\b\f\n\r\t\v"', "\a\b\f\n\r\t\v"),
        (r'"\x00\x7f"', "\0\x7f"),
        (r'"\nab"', "\nab"),  # hexadecimal digits after a letter are no part of it
        (r'"\x41b"', "Ab"),
        ('"grün ☺"', "grün ☺"),
        (r'"\u2028\ufeff"', "\u2028\ufeff"),
        (r'"\U000e0001"', "\U000e0001"),
        (r'"\xe2\x98\xba"', "☺"),
        (r'"a\xffb"', "a\ufffdb"),
        (r'"\xe2\x98"', "\ufffd"),
    ],
)
def test_what_go_prints(quoted: str, text: str) -> None:
    assert unquote(quoted) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        '"',
        '"a',
        'a"',
        '"a"b',
        '"a"b"',
        '"a\nb"',
        '"\\"',
        r'"\q"',
        r'"\x4"',
        r'"\x4g"',
        r'"\u123"',
        r'"\ud800"',
        r'"\udfff"',
        r'"\U0000d800"',
        r'"\U00110000"',
        r'"\101"',
        "'a'",
        "`a`",
    ],
)
def test_what_go_does_not_print(text: str) -> None:
    assert unquote(text) is None


@given(st.text())
@example("\u2028")
@example("\U0010ffff")
def test_every_text_comes_back(text: str) -> None:
    assert unquote(quote(text)) == text


@given(st.binary())
def test_every_byte_comes_back_or_is_replaced(data: bytes) -> None:
    quoted = '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'
    assert unquote(quoted) == data.decode("utf-8", "replace")


@given(st.text(st.characters(codec=None)))
@example("\ud800")
def test_the_result_can_be_published(text: str) -> None:
    meant = unquote(f'"{text}"')
    if meant is not None:
        meant.encode()


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
        # more than Go can hold
        "2562047h47m17s",
        "9" * 19 + "h",
        "9" * 5000 + "s",
        "0." + "9" * 5000 + "s",
    ],
)
def test_wrong_durations(text: str) -> None:
    assert parse_duration(text) is None


UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
PARTS = st.lists(st.tuples(st.integers(0, 10**5), st.sampled_from(sorted(UNITS))), min_size=1, max_size=9)


@given(st.sampled_from(["", "-"]), PARTS)
def test_a_duration_is_the_sum_of_its_parts(sign: str, parts: list[tuple[int, str]]) -> None:
    text = sign + "".join(f"{number}{unit}" for number, unit in parts)
    total = math.fsum(number * UNITS[unit] for number, unit in parts)
    assert parse_duration(text) == pytest.approx(-total if sign else total, rel=1e-12, abs=0)


@given(st.text("0123456789.hmsnuµ+-", max_size=40))
def test_nothing_raises(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or math.isfinite(seconds)
