"""The journal of real pulls: each event exactly once, and as its schema has it."""

import json
from collections import Counter
from importlib import resources
from typing import Any

import jsonschema
import pytest

from rig.exporter import RunningExporter
from rig.images import MIB, Image
from rig.node_setup import NodeSetup

SCHEMA = json.loads(resources.files("pulltrace_exporter").joinpath("schema/journal.schema.json").read_text())


def journal(exporter: RunningExporter, image: Image) -> list[dict[str, Any]]:
    """The events of an image's pulls, each checked against the schema."""
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    events = [line for line in exporter.logged() if "event" in line]
    for event in events:
        validator.validate(event)
    return [event for event in events if event["digest"] == image.root.digest]


def kinds(events: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((event["event"], event.get("layerDigest", "")) for event in events)


def test_each_event_of_a_pull_comes_once(setup: NodeSetup) -> None:
    journalist = setup.exporter()
    image = setup.push(layers=[3 * MIB, 300_000, 200_000])
    setup.registry.throttle(4 * MIB)
    setup.pulled(image)
    end = journalist.wait_whole(image)
    journalist.wait_polled()
    events = journal(journalist, image)
    layers = [blob.digest for blob in image.layers]
    assert kinds(events) == Counter(
        [("pull.started", ""), ("pull.resolved", ""), ("pull.succeeded", "")]
        + [(what, digest) for digest in layers for what in ("layer.started", "layer.completed")]
    )
    assert [events[0]["event"], events[1]["event"], events[-1]["event"]] == [
        "pull.started",
        "pull.resolved",
        "pull.succeeded",
    ]
    assert {(event["registry"], event["repository"]) for event in events} == {("127.0.0.1", image.repository)}
    sizes = {event["layer"]: event["bytes"] for event in events if "layer" in event}
    assert sizes == {number: blob.size for number, blob in enumerate(image.layers)}
    assert events[-1]["reference"] == setup.reference(image)
    assert events[-1]["bytes"] == image.size
    assert events[-1]["durationSeconds"] == pytest.approx(end.pull(image).end - end.pull(image).start, abs=0.01)
