"""The JSON form of the view, its schema, and the filters."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import pulltrace.model.wire
from pulltrace import __version__
from pulltrace_aggregator.api import json_v1
from pulltrace_aggregator.api.filters import FILTERS, UnknownFilter, filtered
from pulltrace_aggregator.model.states import Cause, ContainerType, FailureReason, PodPhase, StaleReason
from pulltrace_aggregator.model.view import View
from rig.images import digest
from rig.sample_cluster import NOW, ODD, busy_cluster
from rig.simulated_cluster import IMAGE, MIB, Cluster

pytestmark = pytest.mark.unit

VALIDATOR = Draft202012Validator(json_v1.schema())


def encoded(view: View, now: float = NOW) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json_v1.encode(view, now))
    return document


def selected(**query: str | tuple[str, ...]) -> dict[str, Any]:
    given = {name: (values,) if isinstance(values, str) else values for name, values in query.items()}
    return encoded(filtered(busy_cluster().view, given))


def counts(document: dict[str, Any]) -> tuple[int, int, int]:
    return len(document["pods"]), len(document["pulls"]), len(document["nodes"])


def test_the_tag_follows_what_is_known_and_not_the_time(cluster: Cluster) -> None:
    cluster.pod().pulling()
    cluster.node().pull(known=True)
    cluster.tick()
    before = json_v1.etag(cluster.view)
    cluster.sleep(1)
    cluster.tick()
    assert json_v1.etag(cluster.view) == before
    cluster.node().advance(ratio=0.5, rate=MIB)
    cluster.tick()
    assert json_v1.etag(cluster.view) != before


def test_the_whole_form() -> None:
    cluster = Cluster(node_ahead=1000.0)
    pod = cluster.pod()
    pod.pulling()
    cluster.node().pull(known=True)
    second = cluster.pod("second", "registry.example/team/other:1")
    second.pulling()
    cluster.tick()
    cluster.sleep(10)
    cluster.node().advance(ratio=0.25, rate=2.5 * MIB)
    cluster.tick()
    cluster.sleep(2.5)
    pull = {
        "registry": "registry.example",
        "repository": "team/app",
        "repositories": ["team/app"],
        "digest": digest(IMAGE),
        "references": [IMAGE],
        "snapshotter": "overlayfs",
        "phase": "downloading",
        "requests": 1,
        "sizeBytes": 100 * MIB,
        "cachedBytes": 0,
        "downloadedBytes": 25 * MIB,
        "unpackedBytes": 0,
        "bytesPerSecond": 2.5 * MIB,
        "etaSeconds": 30,
        "startedAt": cluster.node().pulls[IMAGE].started_at,
        "ageSeconds": 12.5,
        "lastProgressAgeSeconds": 2.5,
    }
    assert encoded(cluster.view, cluster.now.monotonic) == {
        "schema": "pulltrace/v1",
        "version": __version__,
        "pods": [
            {
                "namespace": "shop",
                "pod": "web",
                "uid": pod.uid,
                "container": "app",
                "containerType": "container",
                "node": "node-1",
                "image": IMAGE,
                "phase": "downloading",
                "waitingSeconds": 12.5,
                "match": "exact",
                "blockedBy": "progressing",
                "pull": pull,
            },
            {
                "namespace": "shop",
                "pod": "second",
                "uid": second.uid,
                "container": "app",
                "containerType": "container",
                "node": "node-1",
                "image": "registry.example/team/other:1",
                "phase": "queued",
                "waitingSeconds": 12.5,
                "match": "none",
                "blockedBy": "queue",
                "behind": IMAGE,
            },
        ],
        "pulls": [{"node": "node-1", **pull}],
        "nodes": [{"node": "node-1", "state": "ok", "lastAnswerAgeSeconds": 2.5, "queuedImages": 1}],
    }


def test_a_busy_cluster_and_an_empty_one_are_as_the_schema_says() -> None:
    for view in (busy_cluster().view, View()):
        VALIDATOR.validate(encoded(view))
    Draft202012Validator.check_schema(json_v1.schema())


def test_the_schema_knows_every_field_that_is_sent() -> None:
    definitions = json_v1.schema()["$defs"]
    document = encoded(busy_cluster().view)
    assert {key for pod in document["pods"] for key in pod} == set(definitions["pod"]["properties"])
    assert {key for node in document["nodes"] for key in node} == set(definitions["node"]["properties"])
    sent = {key for pull in document["pulls"] for key in pull} - {"node"}
    assert sent <= set(definitions["pull"]["properties"])


def test_a_pull_is_written_as_the_exporter_writes_it() -> None:
    ours, theirs = json_v1.schema()["$defs"]["pull"], pulltrace.model.wire.schema()["$defs"]["pull"]
    not_told_by_all = {"requests", "startedAt", "ageSeconds", "lastProgressAgeSeconds"}
    assert set(ours["required"]) == set(theirs["required"]) - not_told_by_all
    assert set(ours["properties"]) - {"stale"} == set(theirs["properties"]) - {"layers"}
    for name in set(ours["properties"]) & set(theirs["properties"]) - {"startedAt"}:
        assert ours["properties"][name] == theirs["properties"][name]


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (PodPhase, ("pod", "phase")),
        (Cause, ("pod", "blockedBy")),
        (FailureReason, ("pod", "failureReason")),
        (ContainerType, ("pod", "containerType")),
        (StaleReason, ("pull", "stale")),
    ],
)
def test_the_schema_has_the_values_of_the_code(names: type[PodPhase], place: tuple[str, str]) -> None:
    definition, field = place
    assert json_v1.schema()["$defs"][definition]["properties"][field]["enum"] == [str(name) for name in names]


def test_ages_go_on_while_a_node_is_silent_and_rates_are_not_told() -> None:
    (pull,) = selected(node="node-3")["pulls"]
    assert pull["stale"] == "exporter_unreachable"
    assert pull["ageSeconds"] == pull["lastProgressAgeSeconds"] == 68
    assert pull["downloadedBytes"]
    assert not {"bytesPerSecond", "etaSeconds"} & pull.keys()


def test_an_image_that_has_come_is_not_waited_for() -> None:
    (pod,) = selected(pod="done")["pods"]
    assert pod["phase"] == "pulled"
    assert not {"waitingSeconds", "blockedBy"} & pod.keys()


def test_a_node_that_was_never_read_has_no_queue(cluster: Cluster) -> None:
    cluster.pod().pulling()
    (node,) = encoded(cluster.tick(read=[]))["nodes"]
    assert node == {"node": "node-1", "state": "unknown"}


def test_odd_texts_are_published_as_labels_are() -> None:
    (pod,) = [pod for pod in encoded(busy_cluster().view)["pods"] if pod["pod"].startswith('we"ird')]
    assert "\0" not in json.dumps(pod["image"])
    assert ODD not in pod["image"]
    assert pod["image"].startswith('we"ird\\\n\ufffd…')


# Filters


def test_without_a_filter_everything_is_there() -> None:
    view = busy_cluster().view
    assert filtered(view, {}) is view


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"namespace": "jobs"}, (2, 0, 0)),
        ({"namespace": ("jobs", "shop")}, (8, 0, 0)),
        ({"namespace": "job"}, (0, 0, 0)),
        ({"node": "node-3"}, (1, 1, 1)),
        ({"node": ("node-3", "node-1")}, (7, 2, 2)),
        ({"node": "node-3", "phase": "unpacking"}, (0, 0, 0)),
        ({"phase": "downloading"}, (3, 2, 0)),
        ({"phase": "backoff"}, (1, 0, 0)),
        ({"containerType": ("init", "volume")}, (2, 0, 0)),
        ({"container": "setup"}, (1, 0, 0)),
        ({"image": IMAGE}, (3, 0, 0)),
        ({"image": "alpine:latest"}, (0, 0, 0)),
        ({"registry": "private.example"}, (1, 0, 0)),
        ({"repository": "team/app"}, (5, 2, 0)),
        ({"digest": digest(IMAGE)}, (3, 2, 0)),
        ({"match": "exact"}, (2, 0, 0)),
        ({"blockedBy": ("credentials", "queue")}, (3, 0, 0)),
        ({"failureReason": "unauthorized"}, (1, 0, 0)),
        ({"stale": "exporter_unreachable"}, (1, 1, 0)),
        ({"stale": "orphaned"}, (0, 1, 0)),
        ({"state": "unreachable"}, (0, 0, 1)),
        ({"pod": "lost", "uid": "nobody"}, (0, 0, 0)),
    ],
)
def test_filters_are_exact_and_repeatable(query: dict[str, Any], expected: tuple[int, int, int]) -> None:
    assert counts(selected(**query)) == expected


def test_every_field_of_the_form_can_be_filtered_by() -> None:
    assert set(FILTERS) == {
        *("namespace", "pod", "uid", "container", "containerType", "node", "image", "phase", "match", "blockedBy"),
        *("registry", "repository", "digest", "stale", "state", "failureReason"),
    }


@pytest.mark.parametrize("name", ["", "Namespace", "layers", "name space", "pods"])
def test_an_unknown_filter_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownFilter, match="namespace, pod, uid") as caught:
        filtered(busy_cluster().view, {"namespace": ("a",), name: ("b",)})
    assert repr(name) in str(caught.value)
