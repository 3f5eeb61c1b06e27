"""What is written of an image besides the record that ends its pull."""

import pytest

from pulltrace_exporter.containerd.api import events_pb2, payloads_pb2
from pulltrace_exporter.containerd.event_watch import image_write
from pulltrace_exporter.containerd.inferred.cri_image_writes import (
    LASTING_SECONDS,
    CriImageWrites,
    ImageWrite,
)

pytestmark = pytest.mark.unit

ROOT = "sha256:" + "a" * 64
TAG, DIGEST = "registry.example:5000/team/app:v1", f"registry.example:5000/team/app@{ROOT}"


def a_write(name: str, at: float, *, created: bool = False, managed: bool = True) -> ImageWrite:
    return ImageWrite(name, at, created, managed)


def test_a_write_of_cri_explains_one_write() -> None:
    writes = CriImageWrites()
    writes.expect(a_write(TAG, 1), ROOT, rewriting=True)
    assert writes.due(TAG)
    assert [writes.hear(a_write(TAG, at)) for at in (1.1, 1.2)] == [True, False]
    assert [writes.hear(a_write(DIGEST, at)) for at in (1.3, 1.4)] == [True, False]
    assert not writes.due(TAG)


def test_a_digest_is_added_once_and_only_where_it_was_not() -> None:
    writes = CriImageWrites()
    writes.expect(a_write(TAG, 1, created=True), ROOT, rewriting=False)
    assert not writes.hear(a_write(DIGEST, 1.1))
    assert [writes.hear(a_write(DIGEST, at, created=True)) for at in (1.2, 1.3)] == [True, False]


@pytest.mark.parametrize("later", [LASTING_SECONDS, -3600])
def test_a_write_that_never_comes_is_not_waited_for(later: float) -> None:
    """The clock may be set back in the meantime, too."""
    writes = CriImageWrites()
    writes.expect(a_write(TAG, 1), ROOT, rewriting=True)
    writes.expect_digest(TAG, ROOT, 1)
    assert not writes.hear(a_write(TAG, 1 + later))
    assert not writes.due(TAG)
    assert not writes.due(DIGEST)


def test_a_pull_that_failed_after_it_wrote_its_record_explains_no_write() -> None:
    writes = CriImageWrites()
    writes.expect(a_write(TAG, 1, managed=False), ROOT, rewriting=True)
    for rewriting in (True, False):
        writes.expect(a_write(TAG, 2), ROOT, rewriting=rewriting)
        writes.cancel(TAG, ROOT)
    assert not writes.hear(a_write(DIGEST, 2.1, created=True))
    assert [writes.hear(a_write(TAG, at)) for at in (2.2, 2.3)] == [True, False], "the other client's is marked"


def test_an_image_that_cri_does_not_mark_causes_no_second_write() -> None:
    writes = CriImageWrites()
    writes.expect(a_write(TAG, 1, managed=False), ROOT, rewriting=False)
    assert not writes.hear(a_write(TAG, 1.1, managed=False))
    assert writes.hear(a_write(TAG, 1.2))


@pytest.mark.parametrize("topic", ["/images/create", "/images/update"])
@pytest.mark.parametrize("labels", [{}, {"io.cri-containerd.image": "managed", "a": "b"}])
def test_an_event_says_what_was_written(topic: str, labels: dict[str, str]) -> None:
    envelope = events_pb2.Envelope(topic=topic)
    envelope.timestamp.FromNanoseconds(1_500_000_000)
    envelope.event.value = payloads_pb2.ImageChange(name=TAG, labels=labels).SerializeToString()
    assert image_write(envelope) == a_write(TAG, 1.5, created=topic == "/images/create", managed=bool(labels))


def test_an_event_that_cannot_be_read_is_none() -> None:
    envelope = events_pb2.Envelope(topic="/images/update")
    envelope.event.value = b"\xff\xff"
    assert image_write(envelope) is None
