"""What is counted: failures and durations, each once, and nothing that a list or a restart shows again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pulltrace.model.histogram import Histogram
from pulltrace_aggregator.controller.counters import MOST_REGISTRIES, OTHER
from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.model.cluster import Change, EventSeen
from pulltrace_aggregator.model.view import FailureLabels, NamespaceRegistry
from rig.simulated_cluster import IMAGE, Cluster

pytestmark = pytest.mark.unit


def failures(cluster: Cluster) -> Mapping[FailureLabels, int]:
    return cluster.tick().totals.failures


def counted(histograms: Mapping[Any, Histogram]) -> dict[Any, tuple[int, float]]:
    """Of each its number and its sum."""
    return {labels: (found.count, found.total) for labels, found in histograms.items()}


def durations(cluster: Cluster) -> dict[tuple[str, str], tuple[int, float]]:
    return counted(cluster.tick().totals.durations)


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("alpine", "docker.io"),
        ("localhost:5000/a:1", "localhost"),
        ("NOT a reference", ""),
        (IMAGE, "registry.example"),
    ],
)
def test_the_registry_is_that_of_the_reference(cluster: Cluster, image: str, registry: str) -> None:
    pod = cluster.pod(image=image)
    pod.failed("not found")
    pod.pulled()
    assert list(failures(cluster)) == [("shop", registry, "not_found")]
    assert list(durations(cluster)) == [("shop", registry)]


def test_made_up_registries_are_bounded(cluster: Cluster) -> None:
    for number in range(MOST_REGISTRIES + 5):
        cluster.pod(f"pod-{number}", f"r{number}.example/a:1").failed("not found")
    found = failures(cluster)
    assert len(found) == MOST_REGISTRIES + 1
    assert found[FailureLabels("shop", OTHER, "not_found")] == 5


def test_durations_are_what_the_kubelet_says(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulled(took="2.5s", total="4s")
    pod.pulled(took="1m0.5s")
    pod.present()
    assert durations(cluster) == {NamespaceRegistry("shop", "registry.example"): (2, 63.0)}
    assert counted(cluster.view.totals.queues) == {"shop": (1, 1.5)}


def test_durations_count_once_however_often_they_are_told(cluster: Cluster) -> None:
    pod = cluster.pod()
    event = pod.pulled(took="2s", total="3s")
    for again in (
        event,
        replace(event, change=Change.MODIFIED),
        replace(event, change=Change.LISTED),
        replace(event, change=Change.LISTED, count=2),
    ):
        cluster.observe(again)
    assert durations(cluster)["shop", "registry.example"] == (1, 2.0)
    cluster.observe(replace(event, change=Change.MODIFIED, count=3))
    assert durations(cluster)["shop", "registry.example"] == (2, 4.0)
    assert cluster.view.totals.queues["shop"].count == 2
    cluster.restart()
    assert durations(cluster) == {}


def test_a_change_of_an_event_whose_start_was_not_seen_is_not_counted(cluster: Cluster) -> None:
    seen: EventSeen = cluster.pod().pulled(change=Change.LISTED)
    cluster.restart(lists=False)
    cluster.observe(replace(seen, change=Change.MODIFIED, count=7))
    assert durations(cluster) == {}


def waits(cluster: Cluster) -> dict[str, tuple[int, float]]:
    return counted(cluster.tick().totals.waits)


def test_a_wait_is_timed_from_its_first_evidence_over_all_its_attempts(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(10)
    pod.failed()
    pod.status("ErrImagePull")
    cluster.pass_time(20)
    assert waits(cluster) == {}
    pod.pulling()
    cluster.pass_time(10)
    pod.pulled()
    assert waits(cluster) == {"shop": (1, 40.0)}
    cluster.pass_time(10)
    pod.run()
    cluster.relist()
    assert waits(cluster) == {"shop": (1, 40.0)}


@pytest.mark.parametrize("refused", [False, True])
def test_a_wait_that_the_pull_of_another_pod_seemed_to_end_counts_once(refused: bool) -> None:
    cluster = Cluster(Limits(pod_linger=10))
    pod = cluster.pod()
    pod.pulling()
    cluster.node().pull(known=True)
    cluster.pass_time(5)
    cluster.node().end()
    cluster.pass_time(20)
    if refused:
        pod.failed("unauthorized")
        cluster.pass_time(5)
    pod.pulled(took="2s", total="25s")
    cluster.pass_time(5)
    assert cluster.view.totals.waits["shop"].count == 1
    cluster.pass_time(60)
    pod.pulled(took="1s", total="3s")
    cluster.pass_time(5)
    assert cluster.view.totals.waits["shop"].count == 2


def test_an_image_that_was_there_is_no_wait(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.present()
    pod.run()
    cluster.pass_time(10)
    assert waits(cluster) == {}


RAW = "failed to record image pull intent: write /var/lib/kubelet/image_manager/pulling: no space left on device"


@pytest.mark.parametrize("status_first", [True, False])
def test_an_error_that_the_status_tells_too_is_a_failure_of_the_image(cluster: Cluster, status_first: bool) -> None:
    pod = cluster.pod()
    if status_first:
        pod.status(RAW, RAW)
    pod.event("Failed", f"Error: {RAW}")
    if not status_first:
        pod.status(RAW, RAW)
    assert failures(cluster) == {FailureLabels("shop", "registry.example", "disk_full"): 1}
    pod.event("Failed", f"Error: {RAW}")
    assert set(failures(cluster).values()) == {2}


def test_an_error_of_a_later_step_is_no_failure_of_the_image(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.event("Failed", "Error: failed to create containerd task: not found")
    pod.status("CreateContainerError", "failed to create containerd task: not found")
    pod.status(RAW, RAW)
    assert failures(cluster) == {}


@pytest.mark.parametrize("known_first", [True, False])
def test_a_failure_without_an_image_counts_under_the_registry_of_its_container(
    cluster: Cluster, known_first: bool
) -> None:
    pod = cluster.pod(told=known_first)
    pod.event(
        "InspectFailed", 'Failed to inspect image "": rpc error: code = Unknown desc = short name mode is enforcing'
    )
    pod.tell()
    assert failures(cluster) == {FailureLabels("shop", "registry.example", "invalid_name"): 1}
