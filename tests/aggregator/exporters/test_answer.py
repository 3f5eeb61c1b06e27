import gzip
import json
import time
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace.model import wire
from pulltrace_aggregator.exporters.answer import LARGEST_BODY, MOST_VALUES, Answer, read_report, usable_etag
from pulltrace_aggregator.exporters.errors import AskError, Result
from rig.sample_views import a_pull, a_report, busy_report

pytestmark = pytest.mark.unit

BODY = wire.encode(busy_report(), layers=False)
BOMB = gzip.compress(b" " * (LARGEST_BODY + 1))


def refused(answer: Answer) -> AskError:
    with pytest.raises(AskError) as raised:
        read_report(answer)
    assert len(str(raised.value)) <= 200
    return raised.value


def changed(**members: Any) -> bytes:
    return json.dumps({**json.loads(BODY), **members}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, BODY),
        Answer(200, BODY, "identity"),
        Answer(200, gzip.compress(BODY), "gzip"),
        Answer(200, gzip.compress(BODY), "x-gzip"),
    ],
)
def test_a_report_is_read_packed_or_not(answer: Answer) -> None:
    assert read_report(answer) == wire.decode(BODY)


def test_layers_that_nobody_asked_for_are_dropped() -> None:
    report = busy_report()
    assert any(pull.layers for pull in report.pulls)
    read = read_report(Answer(200, wire.encode(report)))
    assert [pull.layers for pull in read.pulls] == [()] * len(report.pulls)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Answer(200, b"<html>"), Result.INVALID),
        (Answer(200, b"[" * 100_000), Result.INVALID),
        (Answer(200, changed(pulls=[{}])), Result.INVALID),
        (Answer(200, changed(nodeNow="x" * 10_000)), Result.INVALID),
        (Answer(200, b"{}"), Result.SCHEMA),
        (Answer(200, changed(schema="pulltrace/v2")), Result.SCHEMA),
        (Answer(200, changed(schema=2)), Result.SCHEMA),
        (Answer(200, BODY, "br"), Result.INVALID),
        (Answer(200, BODY, "gzip"), Result.INVALID),
        (Answer(200, gzip.compress(BODY)[:-1], "gzip"), Result.INVALID),
        (Answer(200, gzip.compress(BODY) + b"more", "gzip"), Result.INVALID),
        (Answer(200, zlib.compress(BODY), "gzip"), Result.INVALID),
        (Answer(200, BOMB, "gzip"), Result.TOO_LARGE),
        (Answer(200, b"[" + b"{}," * MOST_VALUES + b"{}]"), Result.TOO_LARGE),
    ],
)
def test_wrong_reports(answer: Answer, result: Result) -> None:
    assert refused(answer).result is result


def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 2**28, 1)
    tracemalloc.start()
    try:
        assert refused(Answer(200, bomb, "gzip")).result is Result.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 4 * LARGEST_BODY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("element", [b"[]", b"{}", b'{"a":1}', b"[1.5]", b'"a b"', b"1e5"])
def test_a_dense_answer_takes_little_memory(element: bytes) -> None:
    count = (
        min(MOST_VALUES // max(1, sum(map(element.count, (b",", b"[", b"{"))) + 1), LARGEST_BODY // len(element)) - 9
    )
    body = b'{"schema":"pulltrace/v1","pulls":[' + element + (b"," + element) * (count - 1) + b"]}"
    tracemalloc.start()
    try:
        assert refused(Answer(200, body)).result is Result.INVALID
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    finally:
        tracemalloc.stop()


def test_a_large_honest_report_is_read() -> None:
    pull = a_pull(layers=())
    report = a_report(*[replace(pull, key=pull.key._replace(digest=f"sha256:{n:064}")) for n in range(5000)])
    body = wire.encode(report, layers=False)
    assert len(body) > 2**20
    began = time.monotonic()
    assert len(read_report(Answer(200, body)).pulls) == 5000
    assert time.monotonic() - began < 20


@given(st.binary())
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    for coding in ("", "gzip"):
        refused(Answer(200, body, coding))


@pytest.mark.parametrize(
    ("tag", "usable"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('""', True),
        ("", False),
        ("abc", False),
        ('"a"b"', False),
        ('"a b"', False),
        ('"a\x01b"', False),
        ('w/"abc"', False),
        (f'"{"x" * 201}"', False),
        ('"ä"', False),
    ],
)
def test_only_a_tag_that_can_be_sent_back_is_kept(tag: str, usable: bool) -> None:
    assert usable_etag(tag) == (tag if usable else "")
