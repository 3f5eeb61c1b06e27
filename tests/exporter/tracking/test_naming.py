"""Which image a lease is pulling, and under which of the root's repositories."""

import pytest

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey
from pulltrace.model.reference import Reference
from pulltrace_exporter.model.image import Descriptor, Document, Index, Unreadable
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Lease
from pulltrace_exporter.tracking.naming import (
    REMEMBERED_ROOTS,
    Repositories,
    choose_image,
    image_of,
    matching_references,
    root_of,
)
from rig.images import digest
from rig.manifests import REGISTRY, Image, an_image
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit

ROOT = digest("root")
A, B, C = (REGISTRY, "a"), (REGISTRY, "b"), ("other.example", "a")
KEY = ImageKey(REGISTRY, "a", ROOT)


def content(name: str = "root", *sources: tuple[str, str], children: tuple[str, ...] = ("child",)) -> BlobInfo:
    return BlobInfo(digest(name), 10, NodeTime(1.0), sources, frozenset(digest(child) for child in children))


def lease(*contents: BlobInfo | None) -> Lease:
    return Lease("lease", NodeTime(1.0), {found.digest: found for found in contents if found})


# The root


def test_the_root_is_what_nothing_else_of_the_lease_refers_to() -> None:
    index = content("index", children=("manifest",))
    manifest = content("manifest", children=("layer",))

    assert root_of(lease(manifest, content("layer", children=()), index), {}) == index
    assert root_of(lease(manifest, content("layer", children=())), {}) == manifest


def test_a_layer_is_never_a_root_not_even_when_its_manifest_lost_the_label_for_it() -> None:
    manifest = content("manifest", A, children=("config",))  # discard_unpacked_layers

    assert root_of(lease(content("layer", A, children=()), manifest), {}) == manifest
    assert root_of(lease(content("layer", A, children=())), {}) is None


def test_a_manifest_named_by_an_index_is_below_it_without_a_label() -> None:
    index = content("index", A, children=("manifest",))
    other = content("other platform", A)
    named = Index("index", (Descriptor(digest("other platform"), 1, ""), Descriptor(digest("manifest"), 1, "")))
    documents: dict[str, Document] = {index.digest: named, other.digest: Unreadable("not needed")}

    assert root_of(lease(other, index), documents) == index


def test_the_root_from_a_registry_counts() -> None:
    pulled = content("pulled", A)

    assert root_of(lease(content("another"), pulled), {}) == pulled


def test_a_lease_without_described_contents_has_no_root() -> None:
    assert root_of(Lease("lease", NodeTime(1.0), {ROOT: None}), {}) is None
    assert root_of(lease(), {}) is None


# The choice of a repository


def chosen(
    *sources: tuple[str, str],
    before: tuple[tuple[str, str], ...] = (),
    fresh: bool = False,
    final: bool = True,
    intents: tuple[str, ...] = (),
    records: tuple[str, ...] = (),
) -> tuple[str, str] | None:
    key = choose_image(
        content("root", *sources),
        before,
        fresh=fresh,
        final=final,
        intents=[Reference.parse(intent) for intent in intents],
        records=[ImageRecord(record, NodeTime(1.0)) for record in records],
    )
    return (key.registry, key.repository) if key else None


def test_a_root_without_a_repository_was_not_pulled() -> None:
    assert chosen() is None
    assert chosen(intents=(f"{REGISTRY}/a",)) is None


def test_the_repository_added_since_the_lease_began_is_known_at_once() -> None:
    assert chosen(A, B, before=(A,), final=False) == B
    assert chosen(A, B, before=(A,), intents=(f"{REGISTRY}/a",)) == B


def test_the_only_repository_of_a_root_that_came_with_this_lease_is_known_at_once() -> None:
    assert chosen(A, before=(A,), fresh=True, final=False) == A


def test_nothing_is_chosen_while_a_label_may_still_be_added() -> None:
    assert chosen(A, before=(A,), final=False) is None
    assert chosen(A, B, C, before=(A,), final=False) is None
    assert chosen(A, before=(A,), final=True) == A


def test_an_intent_of_the_kubelet_decides_between_several() -> None:
    assert chosen(A, B, C, before=(A, B, C), intents=("elsewhere/x", f"{REGISTRY}:5000/b:2")) == B
    assert chosen(A, B, before=(A, B), intents=("b",)) == A  # of another registry: none of ours


def test_the_record_that_the_success_wrote_is_surer_than_an_intent() -> None:
    assert chosen(A, B, before=(A, B), intents=(f"{REGISTRY}/a",), records=(f"{REGISTRY}/b:1", "sha256:x")) == B


def test_the_first_in_order_is_the_last_resort_among_those_that_were_added_if_any_were() -> None:
    assert chosen(A, B, before=(A, B)) == A
    assert chosen(A, B, C, before=(A,)) == B


def test_roots_are_remembered_in_a_bounded_number() -> None:
    repositories = Repositories()
    for name in ("first", *(f"root {number}" for number in range(REMEMBERED_ROOTS))):
        repositories.remember(digest(name), (A,))

    assert repositories.sources_before(content("first", A, B)) == (A, B)  # forgotten: what it bears now
    assert repositories.sources_before(content("root 7", A, B)) == (A,)


# Records


def test_references_are_the_names_in_the_images_own_repository_those_with_a_tag_first() -> None:
    names = [
        f"{REGISTRY}/a@{ROOT}",
        f"{REGISTRY}:5000/a:2",
        f"{REGISTRY}/b:1",
        "other.example/a:1",
        digest("config"),
        "not a reference!",
        f"{REGISTRY}/a:1",
    ]

    found = matching_references(KEY, [ImageRecord(name, NodeTime(1.0)) for name in names])

    assert found == (f"{REGISTRY}/a:1", f"{REGISTRY}:5000/a:2", f"{REGISTRY}/a@{ROOT}")


@pytest.mark.parametrize(
    ("name", "image"),
    [
        (f"{REGISTRY}/a:1", KEY),
        (f"{REGISTRY}:5000/a:1", KEY),
        (f"{REGISTRY}/b:1", ImageKey(REGISTRY, "b", ROOT)),
        ("other.example/a:1", ImageKey("other.example", "a", ROOT)),
        (digest("config"), None),
    ],
)
def test_a_record_is_named_after_an_image(name: str, image: ImageKey | None) -> None:
    assert image_of(ImageRecord(name, NodeTime(1.0)), ROOT) == image


# Seen from outside


def test_a_repository_whose_label_comes_a_moment_after_the_root_is_the_one_that_is_pulled(node: Node) -> None:
    image = an_image()
    node.pulled(image)
    exporter = Exporter(node).look()
    pull = node.pull(image.under("team/copy"))
    pull.find_root(labelled=False)
    assert exporter.look(0.1).shown.pulls == ()
    pull.find_root()

    assert exporter.look(0.1).pull.key.repository == "team/copy"


def test_no_series_before_the_repository_is_known_and_then_always_the_same(node: Node) -> None:
    image = an_image()
    node.pulled(image)
    exporter = Exporter(node).look()
    pull = node.pull(image.under("team/copy"))
    assert exporter.look(0.1).shown.pulls == ()
    pull.find_root()
    assert exporter.look(0.1).shown.pulls == ()  # both labels are there, and nobody saw which was first
    pull.resolve()
    assert exporter.look(0.1).pull.key.repository == "team/app"

    exporter.look(0.1, f"{REGISTRY}/team/copy:1")
    assert exporter.pull.key.repository == "team/app"
    assert exporter.pull.repositories == ("team/app", "team/copy")


def test_a_repository_added_to_a_known_root_names_the_pull_before_anything_else_is_seen(
    node: Node, exporter: Exporter
) -> None:
    image = an_image()
    pull = node.pull(image)
    pull.find_root()
    exporter.look(0.1)
    pull.run()
    exporter.look()
    exporter.look(300)

    pull = node.pull(image.under("team/another"))
    pull.find_root()
    exporter.look(0.1)

    assert exporter.pull.key.repository == "team/another"


def test_the_kubelets_intent_names_a_pull_of_a_root_with_several_repositories(node: Node) -> None:
    image = an_image()
    node.pulled(image)
    exporter = Exporter(node).look()
    node.begin(image.under("team/copy"))

    exporter.look(0.1, f"{REGISTRY}/team/copy:1")

    assert exporter.pull.key.repository == "team/copy"


def test_a_root_that_shows_nothing_else_for_two_seconds_is_named_by_what_it_bears(node: Node) -> None:
    image = an_image()
    node.pulled(image)
    exporter = Exporter(node).look()
    node.pull(image).find_root()
    exporter.look(0.1)
    assert exporter.look(1.5).shown.pulls == ()
    assert exporter.shown.resolving == ()  # the registry has answered

    assert exporter.look(0.6).pull.key.repository == "team/app"


@pytest.mark.parametrize("failing", [0, 1], ids=["the first fails", "the second fails"])
@pytest.mark.parametrize(
    "copy",
    [an_image().under("team/copy"), an_image().under("team/app", registry="mirror.example")],
    ids=["another repository", "another registry"],
)
def test_two_pulls_of_one_image_from_two_places_are_told_apart(
    node: Node, exporter: Exporter, copy: Image, failing: int
) -> None:
    one = node.pull(an_image())
    one.find_root()
    exporter.look(0.1)
    pulls = [one, node.begin(copy)]
    exporter.look(0.1)
    assert sorted((pull.key.registry, pull.key.repository, pull.requests) for pull in exporter.shown.pulls) == sorted(
        (pull.image.registry, pull.image.repository, 1) for pull in pulls
    )

    for pull in pulls:
        pull.complete()
    failed = pulls.pop(failing)
    failed.fail()
    pulls[0].succeed()
    exporter.look()

    phases = {(pull.key.registry, pull.key.repository): pull.phase.value for pull in exporter.shown.pulls}
    assert phases.pop((failed.image.registry, failed.image.repository)) == "failed"
    assert list(phases.values()) == ["succeeded"]


@pytest.mark.parametrize("first", ["team/app", "team/copy"])
@pytest.mark.parametrize("intents", [True, False])
def test_two_pulls_of_one_image_that_begin_together_are_two(
    node: Node, exporter: Exporter, *, first: str, intents: bool
) -> None:
    names = ("team/app", "team/copy")
    wanted = [f"{REGISTRY}/{name}:1" for name in names] if intents else []
    image = an_image()
    pulls = {name: node.pull(image.under(name)) for name in reversed(names)}
    for pull in pulls.values():
        pull.resolve()
    exporter.look(0.1, *wanted)
    assert {name: pull.requests for name, pull in exporter.pulls.items()} == dict.fromkeys(names, 1)
    assert exporter.shown.queued == ()
    pulls.pop(first).run()
    exporter.look(1, *wanted)
    assert {name: exporter.pulls[name].phase.value for name in (first, *pulls)} == {
        first: "succeeded",
        **dict.fromkeys(pulls, "unpacking"),
    }
    for pull in pulls.values():
        pull.run()
    exporter.look()
    assert exporter.results == {"succeeded": 2}
    assert {pull.phase.value for pull in exporter.pulls.values()} == {"succeeded"}


@pytest.mark.parametrize("failing", ["team/app", "team/copy"])
def test_one_of_two_pulls_of_one_image_that_begin_together_may_fail(
    node: Node, exporter: Exporter, *, failing: str
) -> None:
    image = an_image()
    pulls = {name: node.pull(image.under(name)) for name in ("team/copy", "team/app")}
    for pull in pulls.values():
        pull.resolve()
    exporter.look(0.1)
    pulls.pop(failing).fail()
    exporter.look()
    for pull in pulls.values():
        pull.run()
    exporter.look()
    assert exporter.results == {"failed": 1, "succeeded": 1}


@pytest.mark.parametrize("later", [0.0, 0.5])
def test_a_pull_of_a_root_that_got_two_names_at_once_takes_the_other_one_later(
    node: Node, exporter: Exporter, later: float
) -> None:
    """The root of the second lease is first seen a moment after its label."""
    image = an_image()
    node.begin(image)
    node.sleep(later)
    two = node.pull(image.under("team/copy"))
    node.store(image.documents[0][0], two.image)
    exporter.look(0.1)
    assert list(exporter.pulls) == ["team/app"]
    two.resolve()
    exporter.look(0.1)
    assert {name: pull.requests for name, pull in exporter.pulls.items()} == {"team/app": 1, "team/copy": 1}


def test_a_pull_under_the_wrong_one_of_its_repositories_succeeds_all_the_same(node: Node) -> None:
    image = an_image()
    node.pulled(image)
    exporter = Exporter(node)
    node.pulled(image.under("team/copy"))
    exporter.look()
    pull = node.begin(image.under("team/copy"))
    assert exporter.look(0.1).pull.key.repository == "team/app"  # the first in order

    pull.run()
    exporter.look()

    assert exporter.results == {"succeeded": 1}
    assert exporter.pull.phase.value == "succeeded"


def test_a_success_of_another_of_its_repositories_long_ago_changes_nothing(node: Node) -> None:
    image = an_image()
    exporter = Exporter(node).look()
    node.pulled(image)
    copy = node.pull(image.under("team/copy"))
    copy.find_root()
    exporter.look(0.1, f"{REGISTRY}/team/copy:1")
    copy.run()
    exporter.look()
    pull = node.begin(image.under("team/copy"))
    exporter.look(60)
    assert exporter.results == {"succeeded": 1}
    pull.run()
    exporter.look()

    assert exporter.results == {"succeeded": 2}


def test_the_reference_is_the_one_just_pulled_and_not_an_older_tag_of_the_same_image(node: Node) -> None:
    image = an_image()
    node.pulled(image.under("team/app", tag="1.0"))
    exporter = Exporter(node).look()
    pull = node.begin(image.under("team/app", tag="latest"))
    exporter.look(0.1)
    pull.run()
    exporter.look()

    assert exporter.pull.references == (f"{REGISTRY}/team/app:latest", f"{REGISTRY}/team/app:1.0")


@pytest.mark.parametrize(
    "record",
    [f"{REGISTRY}/team/app@{an_image().root}", f"{REGISTRY}:5000/team/app:1"],
    ids=["by digest", "with a port"],
)
def test_a_pull_is_named_as_its_record_is_written(node: Node, exporter: Exporter, record: str) -> None:
    pull = node.begin(an_image())
    exporter.look(0.1)
    pull.complete()
    pull.succeed(record=record)
    exporter.look()

    assert exporter.results == {"succeeded": 1}
    assert exporter.pull.references == (record,)
