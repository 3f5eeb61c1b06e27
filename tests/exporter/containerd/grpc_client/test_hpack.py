"""Header fields, by the examples of RFC 7541 and what a hostile server may send."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace_exporter.containerd.grpc_client.hpack import HpackError, decode, encode

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", [(":authority", "www.example.com")]),
        ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", [(":authority", "www.example.com")]),
        ("4882 6402 5885 aec3 771a 4b", [(":status", "302"), ("cache-control", "private")]),
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", [("custom-key", "custom-header")]),
        ("20 88", [(":status", "200")]),
    ],
    ids=["C.4.1 plain", "C.4.1", "C.6.1", "C.2.1", "a table of size 0"],
)
def test_the_examples_of_the_standard(block: str, fields: list[tuple[str, str]]) -> None:
    wanted = frozenset(name for name, _ in fields)
    assert list(decode(bytes.fromhex(block), wanted)) == fields


@given(st.lists(st.tuples(st.text("abc-:", min_size=1), st.text(st.characters(max_codepoint=255), max_size=400))))
def test_what_was_encoded_is_read_back(fields: list[tuple[str, str]]) -> None:
    wanted = frozenset(name for name, _ in fields)
    assert decode(encode(tuple(fields)), wanted) == tuple(fields)


@pytest.mark.parametrize(
    "block",
    ["be", "3f e1 1f", "40 85 f2", "48 82", "00 01 61 81 fe", "00 01 61 84 ff ff ff ff", "ff ff ff ff ff ff"],
    ids=["no entry", "a table", "cut text", "cut field", "cut code", "end mark", "large number"],
)
def test_what_cannot_be_read_is_refused(block: str) -> None:
    with pytest.raises(HpackError):
        decode(bytes.fromhex(block), frozenset("a"))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    with contextlib.suppress(HpackError):
        decode(block, frozenset(("grpc-status", "grpc-message")))
