"""The journal: one line for each event, valid by its schema."""

import io
import json
from importlib import resources
from typing import Any

import jsonschema
import pytest

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey
from pulltrace_exporter.journal import Journal
from pulltrace_exporter.model.events import Event, EventKind, LayerLabels

pytestmark = pytest.mark.unit

KEY = ImageKey("registry.example", "team/app", "sha256:" + "a" * 64)
LAYER = LayerLabels(3, "sha256:" + "b" * 64, "application/vnd.oci.image.layer.v1.tar+gzip")
EVENTS = (
    Event(EventKind.PULL_STARTED, NodeTime(1_700_000_000.0), KEY),
    Event(EventKind.PULL_RESOLVED, NodeTime(1_700_000_000.5), KEY, size=1000),
    Event(EventKind.LAYER_STARTED, NodeTime(1_700_000_001.0), KEY, size=600, layer=LAYER),
    Event(EventKind.LAYER_COMPLETED, NodeTime(1_700_000_002.0), KEY, size=600, seconds=1.0, layer=LAYER),
    Event(EventKind.PULL_SUCCEEDED, NodeTime(1_700_000_003.0), KEY, "registry.example/team/app:v1", 1000, 3.0),
    Event(EventKind.PULL_FAILED, NodeTime(1_700_000_004.0), KEY, seconds=1.25),
    Event(EventKind.PULL_ORPHANED, NodeTime(1_700_000_005.0), KEY, seconds=9.0, reason="abandoned"),
)


def journal_schema() -> Any:
    return json.loads(resources.files("pulltrace_exporter").joinpath("schema/journal.schema.json").read_text())


def written(*events: Event) -> list[str]:
    stream = io.StringIO()
    Journal("node-1", stream.write).write(events)
    return stream.getvalue().splitlines()


def test_each_event_is_one_json_line_that_its_schema_accepts() -> None:
    lines = [json.loads(line) for line in written(*EVENTS)]
    validator = jsonschema.Draft202012Validator(journal_schema())
    for line in lines:
        validator.validate(line)
    assert {line["event"] for line in lines} == {kind.value for kind in EventKind}


def test_a_layer_is_named_with_its_pull() -> None:
    (line,) = written(EVENTS[3])
    assert json.loads(line) == {
        "ts": "2023-11-14T22:13:22.000Z",
        "event": "layer.completed",
        "node": "node-1",
        "registry": "registry.example",
        "repository": "team/app",
        "digest": KEY.digest,
        "layer": 3,
        "layerDigest": LAYER.digest,
        "mediaType": LAYER.media_type,
        "bytes": 600,
        "durationSeconds": 1.0,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "pull.paused"},
        {"bytes": -1},
        {"durationSeconds": -0.5},
        {"digest": "latest"},
        {"reason": "because"},
        {"pod": "app-0"},
        {"layer": 1},
    ],
)
def test_the_schema_refuses_mistakes(wrong: dict[str, object]) -> None:
    line = json.loads(written(EVENTS[4])[0]) | wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(journal_schema()).validate(line)


def test_nothing_is_written_when_nothing_happens() -> None:
    assert written() == []
