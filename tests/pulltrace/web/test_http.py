"""The small parts of HTTP that are ours: targets, Accept-Encoding, entity tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace.web.http import Request, matches_etag, parse_target, prefers_gzip

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/metrics", "/metrics", {}),
        ("/%6detrics", "/metrics", {}),
        ("//metrics", "//metrics", {}),
        ("/v1/pulls?a=1&a=2&b=&c=%20", "/v1/pulls", {"a": ("1", "2"), "b": ("",), "c": (" ",)}),
        ("/a%3Fb?c", "/a?b", {"c": ("",)}),
        ("http://node:10301/metrics?a=1", "/metrics", {"a": ("1",)}),
        ("HTTPS://node", "/", {}),
        ("http://node?a=1", "/", {"a": ("1",)}),
        ("/%ff", "/\ufffd", {}),
    ],
)
def test_a_target_is_split(target: str, path: str, query: dict[str, tuple[str, ...]]) -> None:
    assert parse_target(target) == (path, query)


@pytest.mark.parametrize("target", ["*", "metrics", "node:443", "ftp://node/", "/?" + "a&" * 200 + "a"])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_target(target)


@pytest.mark.parametrize(
    "header",
    ["gzip", "GZIP", "deflate, gzip", "gzip;q=0.5", "gzip ; q=1.000", "x-gzip", "*", "*;q=0.1", "identity, gzip",
     "identity;q=0.5, gzip;q=0.5", "gzip;level=1;q=1", "gzip;q=1, *;q=0"],
)  # fmt: skip
def test_gzip_is_used_when_accepted(header: str) -> None:
    assert prefers_gzip(header)


@pytest.mark.parametrize(
    "header",
    ["", "identity", "deflate", "br;q=1", "gzip;q=0", "gzip; Q=0.000", "*;q=0", "gzip;q=0, *", "gzip;q=0.5, identity",
     "gzip;q=nan", "gzip;q=2", "gzip;q=-1", "gzip;q=", "gzipped"],
)  # fmt: skip
def test_gzip_is_not_used_otherwise(header: str) -> None:
    assert not prefers_gzip(header)


@given(st.text())
def test_no_header_breaks_the_reading(text: str) -> None:
    prefers_gzip(text)
    matches_etag(Request("GET", "/", headers={"if-none-match": text}), '"1"')


@pytest.mark.parametrize("known", ['"a1"', 'W/"a1"', '"x", W/"a1"', '"x","a1"', " * "])
@pytest.mark.parametrize("etag", ['"a1"', 'W/"a1"'])
def test_a_known_state_is_recognised(known: str, etag: str) -> None:
    assert matches_etag(Request("GET", "/", headers={"if-none-match": known}), etag)


@pytest.mark.parametrize("headers", [{}, {"if-none-match": '"a2"'}, {"if-none-match": "a1"}, {"if-none-match": '"a1'}])
def test_another_state_is_not(headers: dict[str, str]) -> None:
    assert not matches_etag(Request("GET", "/", headers=headers), '"a1"')
