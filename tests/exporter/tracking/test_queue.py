"""The kubelet's queue as its intents show it."""

import pytest

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey
from pulltrace_exporter.model.observation import Intent
from pulltrace_exporter.tracking.queue import parse_intents, queued, references_of
from rig.images import digest
from rig.manifests import REGISTRY, an_image
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit

ROOT = digest("root")
A = ImageKey(REGISTRY, "team/a", ROOT)


def waiting(*references: str, running: tuple[ImageKey, ...] = (), resolving: int = 0) -> list[str]:
    intents = parse_intents(Intent(reference, NodeTime(1.0 + number)) for number, reference in enumerate(references))
    return [image.reference for image in queued(intents, running, resolving)]


def test_an_intent_that_no_pull_serves_is_queued_as_it_was_written() -> None:
    (image,) = queued(parse_intents([Intent(f"{REGISTRY}:5000/team/a:1", NodeTime(7.0))]), (), 0)

    assert (image.registry, image.repository, image.reference, image.since) == (
        REGISTRY,
        "team/a",
        f"{REGISTRY}:5000/team/a:1",
        7.0,
    )


def test_a_reference_that_nobody_understands_is_passed_over() -> None:
    assert waiting("team/UPPER", "", "alpine") == ["alpine"]


def test_a_running_pull_serves_the_oldest_intent_that_it_may_be_for() -> None:
    one, two = f"{REGISTRY}/team/a:1", f"{REGISTRY}/team/a:2"

    assert waiting(one, two, running=(A,)) == [two]
    assert waiting(one, f"{REGISTRY}/team/b:1", running=(A,)) == [f"{REGISTRY}/team/b:1"]


def test_an_intent_with_the_digest_of_the_pull_is_surely_the_one() -> None:
    exact, other = f"{REGISTRY}/team/a@{ROOT}", f"{REGISTRY}/team/a@{digest('other')}"

    assert waiting(f"{REGISTRY}/team/a:1", exact, running=(A,)) == [f"{REGISTRY}/team/a:1"]
    assert waiting(other, running=(A,)) == [other]


def test_pulls_whose_registry_has_not_answered_are_the_oldest_that_are_left() -> None:
    assert waiting("a", "b", "c", resolving=2) == ["c"]


def test_a_tag_is_known_only_when_one_intent_alone_can_be_it() -> None:
    one, two = Intent(f"{REGISTRY}/team/a:1", NodeTime(1.0)), Intent(f"{REGISTRY}/team/a:2", NodeTime(2.0))

    assert references_of(parse_intents([one]), A) == (one.reference,)
    assert references_of(parse_intents([one, two]), A) == ()
    assert references_of(parse_intents([Intent("alpine", NodeTime(1.0))]), A) == ()


def test_of_several_spellings_of_one_image_the_oldest_is_the_reference() -> None:
    spellings = ("alpine", "docker.io/library/alpine:latest")
    intents = parse_intents([Intent(text, NodeTime(float(at))) for at, text in enumerate(spellings)])
    assert references_of(intents, ImageKey("docker.io", "library/alpine", digest("root"))) == ("alpine",)


def test_a_running_pull_bears_the_tag_that_the_kubelet_asked_for_and_others_wait() -> None:
    node = Node()
    exporter = Exporter(node)
    image = an_image()
    node.begin(image)
    exporter.look(0.1, image.reference, "alpine:3")

    assert exporter.pull.references == (image.reference,)
    assert [queued.reference for queued in exporter.shown.queued] == ["alpine:3"]
