import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from pulltrace.clock import NodeTime
from pulltrace.model import wire
from pulltrace.model.json_reader import JsonFault
from pulltrace.model.pull import Daemon, ImageKey, Layer, LayerState, NodeReport, Phase, Pull, QueuedImage
from rig.images import digest
from rig.sample_views import NOW, a_layer, a_pull, a_report, an_ended_pull, busy_report

pytestmark = pytest.mark.unit

VALIDATOR = Draft202012Validator(wire.schema())


def encoded(report: NodeReport, *, layers: bool = True) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(wire.encode(report, layers=layers))
    return document


def test_the_whole_form() -> None:
    report = a_report(
        a_pull(),
        resolving=(NOW - 2.5,),
        queued=(QueuedImage("registry.example", "team/next", "registry.example:5000/team/next:1", NodeTime(NOW - 20)),),
    )
    assert encoded(report) == {
        "schema": "pulltrace/v1",
        "node": "node-1",
        "version": "1.2.3",
        "nodeNow": NOW,
        "containerd": {"up": True, "version": "2.1.9", "startedAgeSeconds": 86_400},
        "resolving": [{"ageSeconds": 2.5}],
        "queued": [{"reference": "registry.example:5000/team/next:1", "ageSeconds": 20}],
        "pulls": [
            {
                "registry": "registry.example",
                "repository": "team/app",
                "repositories": ["team/app"],
                "digest": digest("team/app"),
                "references": ["registry.example:5000/team/app:1.2"],
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "snapshotter": "overlayfs",
                "phase": "downloading",
                "requests": 1,
                "sizeBytes": 1100,
                "cachedBytes": 100,
                "downloadedBytes": 250,
                "unpackedBytes": 0,
                "bytesPerSecond": 50,
                "etaSeconds": 15,
                "startedAt": NOW - 60,
                "ageSeconds": 60,
                "lastProgressAgeSeconds": 0.25,
                "layers": [
                    {
                        "index": 0,
                        "digest": digest("layer 0"),
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                        "sizeBytes": 1000,
                        "downloadedBytes": 250,
                        "bytesPerSecond": 50,
                        "state": "downloading",
                    }
                ],
            }
        ],
    }


def test_unknown_fields_are_absent() -> None:
    report = busy_report()
    early = next(pull for pull in encoded(report)["pulls"] if pull["repository"] == "team/early")
    assert early.keys() == {
        *("registry", "repository", "repositories", "digest", "references", "phase", "requests"),
        *("startedAt", "ageSeconds", "lastProgressAgeSeconds"),
    }
    assert encoded(a_report(daemon=Daemon()))["containerd"] == {"up": False}


def test_layers_can_be_left_out() -> None:
    report = busy_report()
    assert not [pull for pull in encoded(report, layers=False)["pulls"] if "layers" in pull]


def test_an_age_is_never_negative_though_the_clock_was_stepped_back() -> None:
    document = encoded(a_report(a_pull(started_at=NOW + 60), now=NOW))
    assert document["pulls"][0]["ageSeconds"] == 0
    assert document["pulls"][0]["startedAt"] == NOW + 60


def test_odd_texts_are_published_as_labels_are() -> None:
    odd = a_pull(layers=(a_layer(media_type="\ud800" + "x" * 100_000),), references=("a\x00",))
    body = wire.encode(a_report(odd))
    assert len(body) < 4000
    pull = wire.decode(body).pulls[0]
    assert pull.layers[0].media_type.startswith("?xxx")
    assert pull.references[0].startswith("a\ufffd…")


def later(report: NodeReport) -> NodeReport:
    return replace(report, now=NodeTime(report.now + 30))


def test_the_tag_stays_while_nothing_but_time_passes() -> None:
    assert wire.etag(busy_report()) == wire.etag(later(busy_report()))
    assert encoded(busy_report()) != encoded(later(busy_report()))


@pytest.mark.parametrize(
    "other",
    [
        a_report(a_pull(downloaded=251)),
        a_report(a_pull(bytes_per_second=51.0)),
        a_report(a_pull(last_progress_at=NOW)),
        a_report(a_pull(requests=2)),
        a_report(an_ended_pull()),
        a_report(a_pull(), a_pull("team/other")),
        a_report(a_pull(), resolving=(NOW,)),
        a_report(a_pull(), queued=(QueuedImage("", "", "x", NodeTime(NOW)),)),
        a_report(a_pull(), daemon=Daemon()),
        a_report(a_pull(), node="node-2"),
    ],
    ids=lambda report: "",
)
def test_any_change_of_state_is_another_tag(other: NodeReport) -> None:
    assert wire.etag(other, layers=False) != wire.etag(a_report(a_pull()), layers=False)


def test_layers_are_in_the_tag_of_an_answer_with_layers_only() -> None:
    before = a_report(a_pull())
    after = a_report(a_pull(layers=(a_layer(state=LayerState.WAITING),)))
    assert wire.etag(before) != wire.etag(after)
    assert wire.etag(before, layers=False) == wire.etag(after, layers=False)
    assert wire.etag(before) != wire.etag(before, layers=False)


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)
sizes = st.integers(0, 2**60)
rates = st.none() | st.just(0.0) | st.floats(0.001, 1e12)
instants = st.floats(NOW - 1e6, NOW).map(NodeTime)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    size = draw(sizes)
    return Layer(
        index=draw(st.integers(0, 10_000)),
        digest=draw(texts),
        media_type=draw(texts),
        size=size,
        downloaded=draw(st.none() | st.integers(0, size)),
        bytes_per_second=draw(rates),
        state=draw(st.sampled_from(LayerState)),
    )


@st.composite
def pulls(draw: st.DrawFn) -> Pull:
    cached, downloaded, rest = draw(st.tuples(sizes, sizes, sizes))
    described = draw(st.booleans())
    return Pull(
        key=ImageKey(draw(texts), draw(texts), draw(texts)),
        repositories=tuple(draw(st.lists(texts, min_size=1, max_size=3))),
        references=tuple(draw(st.lists(texts, max_size=3))),
        media_type=draw(texts),
        snapshotter=draw(texts),
        phase=draw(st.sampled_from(Phase)),
        requests=draw(st.integers(0, 9)),
        size=(size := cached + downloaded + rest) if described else None,
        cached=cached if described else None,
        downloaded=downloaded if described else None,
        unpacked=draw(st.integers(0, size)) if described else None,
        bytes_per_second=draw(rates),
        started_at=draw(instants),
        ended_at=draw(st.none() | instants),
        last_progress_at=draw(instants),
        layers=tuple(draw(st.lists(layers(), max_size=3))) if described else (),
        remote=draw(st.integers(0, rest)) if described else 0,
        remote_pending=draw(st.integers(0, rest)) if described else 0,
    )


queued = st.builds(
    QueuedImage,
    registry=st.just("registry.example"),
    repository=st.just("team/app"),
    reference=st.from_regex(r"registry\.example(:5000)?/team/app(:[a-z]{1,9})?", fullmatch=True),
    since=instants,
)
reports = st.builds(
    NodeReport,
    node=texts,
    version=texts,
    now=st.just(NOW),
    daemon=st.builds(Daemon, up=st.booleans(), version=texts, started_at=st.none() | instants),
    resolving=st.lists(instants, max_size=3).map(tuple),
    unidentified=st.integers(0, 3),
    queued=st.lists(queued, max_size=3).map(tuple),
    pulls=st.lists(pulls(), max_size=3).map(tuple),
)


@settings(max_examples=100)
@given(reports)
def test_what_was_written_is_read_again(report: NodeReport) -> None:
    read = wire.decode(wire.encode(report))
    assert to_the_millisecond(read) == to_the_millisecond(report)


def to_the_millisecond(value: Any) -> Any:
    """Ages have milliseconds; everything else has to be equal."""
    if isinstance(value, float) and value > NOW - 2e6:
        return pytest.approx(value, abs=0.002)
    if isinstance(value, tuple):
        return tuple(to_the_millisecond(each) for each in value)
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: to_the_millisecond(getattr(value, field.name)) for field in fields(value)}
    return value


@settings(max_examples=50)
@given(reports)
@example(busy_report())
def test_an_encoded_report_follows_the_schema(report: NodeReport) -> None:
    for layers in (True, False):
        strict(VALIDATOR).validate(encoded(report, layers=layers))


def strict(validator: Draft202012Validator) -> Draft202012Validator:
    """The same schema for a writer: it must write no field that the schema does not know."""

    def closed(part: Any) -> Any:
        if isinstance(part, Mapping):
            own = {"additionalProperties": False} if "properties" in part else {}
            return {key: closed(value) for key, value in part.items()} | own
        return [closed(value) for value in part] if isinstance(part, list) else part

    return Draft202012Validator(closed(validator.schema))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(wire.schema())


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = encoded(a_report(a_pull(), resolving=(NOW - 1,)))
    change(document)
    return document


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(schema="pulltrace/v2"),
        lambda document: document.pop("nodeNow"),
        lambda document: document.pop("containerd"),
        lambda document: document["containerd"].pop("up"),
        lambda document: document["resolving"][0].update(ageSeconds=-1),
        lambda document: document["pulls"][0].update(phase="paused"),
        lambda document: document["pulls"][0].update(sizeBytes=1.5),
        lambda document: document["pulls"][0].update(sizeBytes=None),
        lambda document: document["pulls"][0].update(downloadedBytes=-1),
        lambda document: document["pulls"][0].update(registry="x" * 1025),
        lambda document: document["pulls"][0].pop("digest"),
        lambda document: document["pulls"][0]["layers"][0].update(state="lost"),
        lambda document: document["pulls"][0]["layers"][0].update(index="0"),
    ],
)
def test_the_schema_refuses_mistakes(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate(changed(change))


def test_unknown_fields_are_for_other_readers() -> None:
    def add(document: dict[str, Any]) -> None:
        document["colour"] = "blue"
        document["pulls"][0]["colour"] = {"of": "pull"}
        document["pulls"][0]["layers"][0]["colour"] = None

    document = changed(add)
    VALIDATOR.validate(document)
    assert wire.decode(json.dumps(document).encode()).pulls == wire.decode(wire.encode(a_report(a_pull()))).pulls


def bare(*pulls: dict[str, float], **more: Any) -> NodeReport:
    """What is read at 100 of an answer that has no fields but those, and pulls that have no others either."""
    least = {"registry": "r", "repository": "a", "digest": "d", "phase": "downloading"}
    document = {"schema": "pulltrace/v1", "pulls": [{**least, **pull} for pull in pulls], **more}
    return wire.decode(json.dumps(document).encode(), wall=100.0)


def test_absent_fields_mean_unknown() -> None:
    read = bare({"ageSeconds": 60}, resolving=[{}], queued=[{"reference": "a"}])
    assert (read.node, read.version, read.now) == ("", "", 100.0)
    assert (read.resolving, [image.since for image in read.queued]) == ((100.0,), [100.0])
    assert read.daemon == Daemon(up=True)
    assert read.pulls[0].started_at == 40.0
    assert read.pulls[0].size is None
    assert read.pulls[0].repositories == ("a",)
    assert read.pulls[0].last_progress_at is None
    assert read.pulls[0].requests is None


@pytest.mark.parametrize(
    ("node", "fields", "started_at"),
    [
        ({"nodeNow": 5000.0}, {"startedAt": 4900.0, "ageSeconds": 60.0}, 4900.0),
        ({"nodeNow": 5000.0}, {"ageSeconds": 60.0}, 4940.0),
        ({}, {"startedAt": 4900.0, "ageSeconds": 60.0}, 40.0),
        ({}, {"startedAt": 4900.0}, None),
        ({"nodeNow": 5000.0}, {}, None),
    ],
    ids=["both", "the age", "no clock of the node", "no clock to compare with", "nothing"],
)
def test_when_a_pull_began_is_told_by_one_clock_only(
    node: dict[str, float], fields: dict[str, float], started_at: float | None
) -> None:
    read = bare(fields, **node)
    assert read.pulls[0].started_at == started_at
    assert read.timed is bool(node)


def test_more_bytes_than_there_can_be_are_as_many_as_there_can_be() -> None:
    def swell(document: dict[str, Any]) -> None:
        document["pulls"][0].update(
            sizeBytes=100, cachedBytes=30, remoteBytes=10, downloadedBytes=90, unpackedBytes=101
        )
        document["pulls"][0]["layers"][0].update(sizeBytes=50, downloadedBytes=51)

    pull = wire.decode(json.dumps(changed(swell)).encode()).pulls[0]
    assert (pull.cached, pull.downloaded, pull.progress_ratio, pull.remaining) == (30, 60, 1.0, 0)
    assert pull.unpacked == 100
    assert pull.layers[0].downloaded == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("schema"), "schema: is missing"),
        (lambda document: document.update(schema="pulltrace/v2"), "schema: is 'pulltrace/v2', only"),
        (lambda document: document.update(node=7), "node: is not text"),
        (lambda document: document.update(nodeNow="now"), "nodeNow: is not a number of 0 or more"),
        (lambda document: document.update(nodeNow=10**400), "nodeNow: is not a number"),
        (lambda document: document.update(containerd=[]), "containerd: is not an object"),
        (lambda document: document["containerd"].update(up=1), "containerd.up: is neither true nor false"),
        (lambda document: document.update(pulls={}), "pulls: is not an array"),
        (lambda document: document["pulls"].append("x"), "pulls[1]: is not an object"),
        (lambda document: document["pulls"][0].pop("digest"), "pulls[0].digest: is missing"),
        (lambda document: document["pulls"][0].update(digest=None), "pulls[0].digest: is not text"),
        (lambda document: document["pulls"][0].update(phase="paused"), "pulls[0].phase: is not a pull phase"),
        (lambda document: document["pulls"][0].update(phase=["failed"]), "pulls[0].phase: is not text"),
        (lambda document: document["pulls"][0].update(sizeBytes=True), "pulls[0].sizeBytes: is not a whole number"),
        (lambda document: document["pulls"][0].update(sizeBytes=2**63), "pulls[0].sizeBytes: is not a whole number"),
        (lambda document: document["pulls"][0].update(cachedBytes=-1), "pulls[0].cachedBytes: is not a whole number"),
        (lambda document: document["pulls"][0].update(references=["a", 2]), "pulls[0].references[1]: is not text"),
        (lambda document: document["pulls"][0].update(endedAgeSeconds=-1), "pulls[0].endedAgeSeconds: is not a number"),
        (
            lambda document: document["pulls"][0]["layers"][0].update(state="lost"),
            "pulls[0].layers[0].state: is not a layer state",
        ),
        (lambda document: document["pulls"][0]["layers"][0].pop("index"), "pulls[0].layers[0].index: is missing"),
        (lambda document: document["resolving"][0].update(ageSeconds={}), "resolving[0].ageSeconds: is not a number"),
    ],
)
def test_a_wrong_report_is_refused_naming_the_place(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(JsonFault) as caught:
        wire.decode(json.dumps(changed(change)).encode())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"a":NaN}', b"[" * 100_000, b'{"nodeNow":' + b"9" * 5000 + b"}"],
    ids=["empty", "array", "null", "cut", "binary", "nan", "deep", "long number"],
)
def test_an_answer_that_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(JsonFault, match=r"^\$: is not "):
        wire.decode(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(st.data())
def test_no_value_anywhere_makes_the_reader_fail_otherwise(data: st.DataObject) -> None:
    document = encoded(busy_report())
    place = document
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    try:
        wire.decode(json.dumps(document).encode())
    except JsonFault as fault:
        assert fault.path  # noqa: PT017 - both outcomes are right


def test_a_queued_image_is_taken_apart() -> None:
    def queue(document: dict[str, Any]) -> None:
        document["queued"] = [
            {"reference": "registry.example:5000/team/app:1", "ageSeconds": 4},
            {"reference": "No Reference", "ageSeconds": 5},
        ]

    read = wire.decode(json.dumps(changed(queue)).encode())
    assert read.queued == (
        QueuedImage("registry.example", "team/app", "registry.example:5000/team/app:1", NodeTime(NOW - 4)),
        QueuedImage("", "", "No Reference", NodeTime(NOW - 5)),
    )
