"""Reading containerd's messages: a status that is the same as before is not parsed again."""

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from pulltrace.clock import NodeTime
from pulltrace_exporter.containerd.api import content_pb2
from pulltrace_exporter.containerd.messages import IngestReader
from pulltrace_exporter.model.observation import Ingest

pytestmark = pytest.mark.unit

LAYER, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def answer(*statuses: bytes) -> content_pb2.ListStatusesResponse:
    return content_pb2.ListStatusesResponse(statuses=statuses)


def status(digest: str, offset: int, *, kind: str = "layer") -> bytes:
    written = content_pb2.Status(
        ref=f"{kind}-{digest}", offset=offset, started_at=Timestamp(seconds=1), updated_at=Timestamp(seconds=2)
    )
    return written.SerializeToString()


def test_an_ingest_is_read_anew_when_it_moves_and_kept_while_it_stands_still() -> None:
    reader = IngestReader()
    first = reader.by_digest(answer(status(LAYER, 5), status(OTHER, 0)))
    second = reader.by_digest(answer(status(LAYER, 7), status(OTHER, 0)))
    assert first == {
        LAYER: Ingest(LAYER, 5, NodeTime(1), NodeTime(2)),
        OTHER: Ingest(OTHER, 0, NodeTime(1), NodeTime(2)),
    }
    assert second == {**first, LAYER: Ingest(LAYER, 7, NodeTime(1), NodeTime(2))}
    assert second[OTHER] is first[OTHER]


def test_what_is_written_no_more_is_forgotten() -> None:
    reader = IngestReader()
    first = reader.by_digest(answer(status(LAYER, 5)))
    assert reader.by_digest(answer()) == {}
    assert reader.by_digest(answer(status(LAYER, 5)))[LAYER] is not first[LAYER]


def test_an_ingest_without_a_digest_in_its_ref_is_left_out() -> None:
    assert IngestReader().by_digest(answer(status("something", 5), status("", 1, kind="other"))) == {}


def test_a_status_that_is_no_message_is_an_error() -> None:
    with pytest.raises(DecodeError):
        IngestReader().by_digest(answer(b"\xff\xff"))
