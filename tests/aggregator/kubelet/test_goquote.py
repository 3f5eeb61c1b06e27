import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.goquote import unquote

pytestmark = pytest.mark.unit

SHORT = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


def quote(text: str) -> str:
    """As `fmt.Sprintf("%q", text)` does it, but for what Go's tables call printable and Python's do not."""
    return '"' + "".join(_written(character) for character in text) + '"'


def _written(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return f"\\{character}"
    if character in SHORT:
        return SHORT[character]
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


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
def test_what_comes_back_can_be_published(text: str) -> None:
    meant = unquote(f'"{text}"')
    if meant is not None:
        meant.encode()
