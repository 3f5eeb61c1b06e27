"""What is read of `/v1/pulls`, and what is refused."""

import json
from typing import Any

import pytest

from pulltrace_kubectl.model.pulls import Answer, Report
from pulltrace_kubectl.model.reading import UnreadableAnswer, merged, read

pytestmark = pytest.mark.unit


def answer(**fields: Any) -> Any:
    return read(json.dumps({"schema": "pulltrace/v1", "pods": [], "pulls": [], "nodes": [], **fields}).encode())


WAIT = {"namespace": "shop", "pod": "web", "container": "main", "image": "web:1", "phase": "queued"}
PULL = {"registry": "docker.io", "repository": "library/web", "phase": "downloading"}


def test_absent_fields_are_unknown_and_unknown_ones_are_kept_for_json() -> None:
    (wait,) = answer(pods=[{**WAIT, "colour": "red", "phase": "warping"}]).waits
    assert (wait.phase, wait.waiting, wait.reason, wait.pull, wait.ratio) == ("warping", None, "", None, None)
    assert wait.raw["colour"] == "red"


def test_the_ratio_is_of_what_had_to_be_fetched() -> None:
    fetched = {**PULL, "sizeBytes": 100, "cachedBytes": 60, "downloadedBytes": 10, "unpackedBytes": 60}
    (wait,) = answer(pods=[{**WAIT, "phase": "downloading", "pull": fetched}]).waits
    assert wait.ratio == 0.25
    (wait,) = answer(pods=[{**WAIT, "phase": "unpacking", "pull": {**fetched, "phase": "unpacking"}}]).waits
    assert wait.ratio == 0.6
    (wait,) = answer(pods=[{**WAIT, "phase": "queued", "pull": fetched}]).waits
    assert wait.ratio is None


def test_an_exporter_is_told_from_an_aggregator() -> None:
    body = {"schema": "pulltrace/v1", "node": "node-1", "containerd": {"up": False}, "pulls": [PULL]}
    report = read(json.dumps({**body, "queued": [{"reference": "a:1"}], "resolving": [{}]}).encode())
    assert isinstance(report, Report)
    assert (report.node, report.up, report.queued, report.resolving) == ("node-1", False, (("a:1", None),), (0.0,))
    assert report.pulls[0].node == "node-1"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "is not an object"),
        (b"{}", "not one of Pulltrace's"),
        (b'{"schema": "pulltrace/v2"}', "'pulltrace/v2', and this client reads 'pulltrace/v1'"),
        (b'{"schema": "pulltrace/v1", "pods": [{"namespace": 7}]}', "pods[0].namespace: is not text"),
        (b'{"schema": "pulltrace/v1", "pods": 7}', "pods: is not an array"),
        (b'{"schema": "pulltrace/v1", "containerd": 7}', "containerd: is not an object"),
    ],
)
def test_a_wrong_answer_is_refused_and_named(body: bytes, said: str) -> None:
    with pytest.raises(UnreadableAnswer) as error:
        read(body)
    assert said in str(error.value)


def test_shards_are_one_answer_and_a_wait_that_two_tell_of_is_told_once() -> None:
    first, second = answer(pods=[WAIT]), answer(pods=[WAIT, {**WAIT, "pod": "db"}])
    together = merged([first, second])
    assert isinstance(together, Answer)
    assert [wait.pod for wait in together.waits] == ["web", "db"]


def test_a_container_and_a_volume_of_one_name_are_two_waits() -> None:
    rows = [{**WAIT, "containerType": kind} for kind in ("container", "volume")]
    assert len(merged([answer(pods=rows)]).waits) == 2
