"""The events of pulls and layers: each once, in the order in which things happen."""

import pytest

from pulltrace_exporter.tracking.event_log import MAX_EVENTS
from rig.manifests import a_blob, an_image, for_platforms
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit


def told(exporter: Exporter) -> list[str]:
    return [event.kind.value + (f" {event.layer.index}" if event.layer else "") for event in exporter.tracked.events]


def test_a_pull_and_its_layers_are_told_as_they_go(node: Node, exporter: Exporter) -> None:
    pull = node.pull(an_image())
    assert told(exporter.look(0.1)) == []
    pull.find_root()
    assert told(exporter.look(0.1)) == ["pull.started"]
    pull.resolve()
    assert told(exporter.look(0.1)) == ["pull.resolved"]
    pull.fetch(0, 10)
    assert told(exporter.look()) == ["layer.started 0"]
    pull.fetch(0, 20)
    assert told(exporter.look()) == []
    pull.finish(0)
    pull.fetch(1, 1)
    assert told(exporter.look()) == ["layer.completed 0", "layer.started 1"]
    assert [event.seconds for event in exporter.tracked.events] == [pytest.approx(2), None]
    pull.run()
    assert told(exporter.look()) == ["layer.completed 1", "pull.succeeded"]
    assert told(exporter.look()) == []


@pytest.mark.parametrize("seen", ["nothing", "root"])
def test_layers_that_came_between_two_looks_are_told_too(node: Node, exporter: Exporter, seen: str) -> None:
    exporter.look()
    pull = node.pull(an_image())
    events = []
    if seen == "root":
        pull.find_root()
        events = told(exporter.look(0.1))
    node.sleep(0.1)
    pull.run()

    assert events + told(exporter.look()) == [
        "pull.started",
        "pull.resolved",
        "layer.started 0",
        "layer.completed 0",
        "layer.started 1",
        "layer.completed 1",
        "pull.succeeded",
    ]


def test_cached_layers_are_not_told_of(node: Node, exporter: Exporter) -> None:
    image = an_image()
    node.pulled(image)
    exporter.look()
    pull = node.begin(image)
    exporter.look(0.1)
    assert told(exporter) == ["pull.started", "pull.resolved"]
    pull.fail()

    assert told(exporter.look()) == ["pull.failed"]


def test_a_blob_in_two_places_or_two_pulls_is_told_once(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 100)
    first = node.begin(an_image("team/a", (base, base)))
    node.begin(an_image("team/b", (base,)))
    exporter.look(0.1)
    first.fetch(0, 50)
    events = told(exporter.look())
    first.finish(0)
    events += told(exporter.look())

    assert events == ["layer.started 0", "layer.completed 0"]


def test_a_retry_tells_of_the_layer_again_and_times_its_own_part(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(), 100)
    exporter.look(0.1)
    pull.fail()
    assert told(exporter.look()) == ["pull.failed"]
    exporter.look(60)
    retry = node.begin(pull.image, 200)
    assert told(exporter.look(0.1)) == ["pull.started", "pull.resolved", "layer.started 0"]
    retry.finish(0)
    assert told(exporter.look(2)) == ["layer.completed 0"]
    assert [event.seconds for event in exporter.tracked.events] == [pytest.approx(2)]


def test_a_layer_that_another_pull_goes_on_with_has_one_beginning(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 100)
    first, second = node.begin(an_image("team/a", (base,))), node.begin(an_image("team/b", (base,)))
    first.fetch(0, 50)
    events = told(exporter.look(0.1))
    first.fail()
    second.fetch(0, 60)
    events += told(exporter.look())
    second.finish(0)
    events += told(exporter.look())
    assert [event for event in events if event.startswith("layer.")] == ["layer.started 0", "layer.completed 0"]


def test_the_reference_is_told_from_the_start_on_when_the_kubelet_says_it(node: Node, exporter: Exporter) -> None:
    image = an_image("team/app")
    node.begin(image)
    exporter.look(0.1, image.reference)
    assert told(exporter) == ["pull.started", "pull.resolved"]
    assert {event.reference for event in exporter.tracked.events} == {image.reference}


def test_a_pull_by_another_tag_is_not_told_by_the_tag_of_the_one_before(node: Node, exporter: Exporter) -> None:
    image = an_image("team/app")
    pull = node.begin(image)
    exporter.look(0.1, f"{image.registry}/{image.repository}:other")
    pull.fail()
    exporter.look()
    node.begin(image)
    exporter.look(0.1, image.reference)
    assert {event.reference for event in exporter.tracked.events} == {image.reference}


def test_an_image_of_several_platforms_is_resolved_once(node: Node, exporter: Exporter) -> None:
    pull = node.begin(for_platforms("team/app", an_image("a", indexes=0), an_image("b", indexes=0)), 1)
    events = told(exporter.look(0.1))
    pull.fetch(2, 1)
    events += told(exporter.look())

    assert events.count("pull.resolved") == 1


def test_a_pull_older_than_the_exporter_has_only_an_end_in_the_journal(node: Node) -> None:
    pull = node.begin(an_image(), 500)
    node.sleep(1)
    exporter = Exporter(node)
    events = told(exporter.look())
    pull.finish(0, 1)
    events += told(exporter.look())
    pull.run()
    events += told(exporter.look())

    assert events == ["layer.completed 0", "layer.started 1", "layer.completed 1", "pull.succeeded"]


def test_an_orphan_says_why(node: Node, exporter: Exporter) -> None:
    node.begin(an_image())
    exporter.look(0.1)
    node.crash()
    reasons = []
    for _ in range(5):
        exporter.look()
        reasons += [(event.kind.value, event.reason) for event in exporter.tracked.events]

    assert reasons == [("pull.orphaned", "containerd crashed")]


def test_a_hostile_image_does_not_fill_the_journal(node: Node, exporter: Exporter) -> None:
    layers = tuple(a_blob(f"layer {number}", 1) for number in range(MAX_EVENTS))
    pull = node.begin(an_image(layers=layers))
    pull.finish(*range(MAX_EVENTS))
    exporter.look(0.1)

    assert len(exporter.tracked.events) == MAX_EVENTS
