"""Pods on a real node: what they wait for is shown under them, with the right phase and the right cause."""

import pytest

from rig.aggregator import Document, RunningAggregator
from rig.images import MIB
from rig.kubernetes.real.node_setup import RealNodeSetup

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

POD = "pulltrace_pod_pull_"
ONCE = ("/bin/busybox", "true")


def downloaded(entry: Document) -> int:
    return int(entry.get("pull", {}).get("downloadedBytes", 0))


def counted_failures(out: RealNodeSetup, aggregator: RunningAggregator) -> dict[str, float]:
    counts = out.metrics(aggregator).by("reason", f"{POD}failures_total", namespace=out.namespace)
    return {reason: count for reason, count in counts.items() if count}


def test_a_pull_progresses_under_its_pod_and_leaves_with_it(out: RealNodeSetup) -> None:
    aggregator = out.aggregator()
    image = out.push("app", 4 * MIB)
    stall = out.hold(image, after=2 * MIB)
    pod = out.pod("web", image)
    busy = out.wait(aggregator, "web", phase="downloading", met=lambda entry: downloaded(entry) >= MIB)
    assert busy["uid"] == pod["metadata"]["uid"]
    assert (busy["node"], busy["image"]) == (out.node.name, out.reference(image))
    assert (busy["containerType"], busy["blockedBy"]) == ("container", "progressing")
    assert busy["match"] in ("exact", "repository")
    pull = busy["pull"]
    assert (pull["repository"], pull["digest"]) == (image.repository, image.root.digest)
    assert pull["sizeBytes"] == image.size
    assert 0 < pull["downloadedBytes"] < pull["sizeBytes"] - pull["cachedBytes"]
    scrape = out.metrics(aggregator)
    assert scrape.by("phase", f"{POD}phase", pod="web") == {"downloading": 1}
    assert scrape.by("cause", f"{POD}blocked_by", pod="web") == {"progressing": 1}
    assert 0 < scrape.value(f"{POD}progress_ratio", pod="web") < 1
    stall.release()
    done = out.wait(aggregator, "web", phase="pulled")
    assert "blockedBy" not in done
    out.wait_running(pod)
    out.wait_metrics(aggregator, lambda scrape: out.counts(scrape, "duration_seconds_count") == 1)
    out.wait_metrics(aggregator, lambda scrape: out.counts(scrape, "stage_seconds_count", stage="download") == 1)
    out.delete(pod, grace=None)
    out.wait_nothing(aggregator)
    assert not out.metrics(aggregator).find(f"{POD}phase", namespace=out.namespace)
    out.wait_gone(pod)


def test_a_pod_in_the_queue_is_behind_the_running_pull(out: RealNodeSetup) -> None:
    aggregator = out.aggregator()
    images = {name: out.push(name, 2 * MIB) for name in ("first", "second", "third")}
    stall = out.hold(images["first"])
    for name, image in images.items():
        out.pod(name, image)
        out.wait(aggregator, name)  # a kubelet works on several pods at once
    ahead = out.reference(images["first"])
    out.wait(aggregator, "first", phase="downloading", blockedBy="progressing")
    for name in ("second", "third"):
        queued = out.wait(aggregator, name, phase="queued", blockedBy="queue", behind=ahead)
        assert "pull" not in queued
    queued_images = "pulltrace_node_queued_images"
    out.wait_metrics(aggregator, lambda scrape: scrape.value(queued_images, node=out.node.name) == 2)
    stall.release()
    for name in images:
        out.wait(aggregator, name, phase="pulled")
    out.wait_metrics(aggregator, lambda scrape: not scrape.value(queued_images, node=out.node.name))
    out.wait_metrics(aggregator, lambda scrape: out.counts(scrape, "stage_seconds_count", stage="queue") == 3)


def test_pods_that_want_one_image_share_its_pull(out: RealNodeSetup) -> None:
    aggregator = out.aggregator()
    image = out.push("app", 3 * MIB)
    stall = out.hold(image, after=2 * MIB)
    pods = ("one", "two")
    for pod in pods:
        out.pod(pod, out.container(image.digest_reference(out.registry.host)))
    shown = [out.wait(aggregator, pod, phase="downloading", match="exact", met=downloaded) for pod in pods]
    assert {entry["pull"]["digest"] for entry in shown} == {image.root.digest}
    stall.release()
    for pod in pods:
        out.wait(aggregator, pod, phase="pulled")


def test_init_containers_wait_before_the_others(out: RealNodeSetup) -> None:
    aggregator = out.aggregator()
    early, late = out.push("early", 2 * MIB, entrypoint=ONCE), out.push("late", 2 * MIB)
    holds = [out.hold(early), out.hold(late)]
    pod = out.pod("web", late, initContainers=[out.container(early, "prepare")])
    first = out.wait(aggregator, "web", "prepare", phase="downloading")
    assert (first["containerType"], first["image"]) == ("init", out.reference(early))
    assert out.shown(aggregator).keys() == {("web", "prepare")}
    holds[0].release()
    out.wait(aggregator, "web", "prepare", phase="pulled")
    second = out.wait(aggregator, "web", "main", phase="downloading")
    assert (second["containerType"], second["image"]) == ("container", out.reference(late))
    holds[1].release()
    out.wait(aggregator, "web", "main", phase="pulled")
    out.wait_running(pod)


def test_a_missing_a_refused_and_a_limited_image_each_has_its_cause(out: RealNodeSetup) -> None:
    aggregator = out.aggregator()
    images = {name: out.push(name, MIB) for name in ("refused", "limited")}
    out.registry.deny(images["refused"].repository, 401)
    out.registry.deny(images["limited"].repository, 429)
    wanted = {"missing": "not_found", "refused": "credentials", "limited": "rate_limited"}
    references = {name: out.reference(image) for name, image in images.items()}
    references["missing"] = f"{out.registry.host}/{out.namespace}/missing:v1"
    for name in wanted:
        out.pod(name, out.container(references[name]))
    for name, cause in wanted.items():
        entry = out.wait(aggregator, name, blockedBy=cause, met=lambda entry: entry["phase"] in ("failed", "backoff"))
        assert entry["image"] == references[name]
        assert "pull" not in entry
    reasons = ("not_found", "unauthorized", "rate_limited")
    out.wait_metrics(aggregator, lambda scrape: all(out.counts(scrape, "failures_total", reason=r) for r in reasons))
    assert set(counted_failures(out, aggregator)) == set(reasons)
    out.registry.allow(images["limited"].repository)
    out.wait(aggregator, "missing", blockedBy="not_found", phase="backoff")
    out.wait(aggregator, "refused", blockedBy="credentials", phase="backoff")
    out.wait(aggregator, "limited", phase="pulled")
    out.wait(aggregator, "missing", blockedBy="not_found")


def test_what_only_the_kubelet_knows_and_more_than_its_events_tell(out: RealNodeSetup) -> None:
    """Its spam filter lets 25 events about a pod through, and its own limit ten pulls at once."""
    aggregator = out.aggregator()
    out.pod("never", {**out.container("none/such:1"), "imagePullPolicy": "Never"})
    out.pod("invalid", out.container("Not/a name"))
    names = [f"main-{number}" for number in range(16)]
    out.pod("crowd", *(out.container(f"{out.registry.host}/{out.namespace}/none:{name}", name) for name in names))
    for pod in ("never", "invalid"):
        out.wait(aggregator, pod, phase="failed", blockedBy="not_found")
    # On a slow machine its limit of five pulls a second may not be reached.
    causes = ("not_found", "rate_limited")
    for name in names:
        out.wait(aggregator, "crowd", name, phase="backoff", met=lambda entry: entry["blockedBy"] in causes)
    assert set(counted_failures(out, aggregator)) >= {"never_pull", "invalid_name", "not_found"}


def test_a_stalled_download_is_told_and_its_recovery_too(out: RealNodeSetup) -> None:
    aggregator = out.aggregator("--stale.no-progress=3s")
    image = out.push("app", 3 * MIB)
    stall = out.hold(image, after=2 * MIB)
    out.pod("web", image)
    out.wait(aggregator, "web", phase="downloading", blockedBy="stalled", met=lambda entry: downloaded(entry) >= MIB)
    scrape = out.metrics(aggregator)
    (stale,) = scrape.find("pulltrace_pull_stale", repository=image.repository)
    assert (stale.labels["reason"], stale.labels["node"]) == ("no_progress", out.node.name)
    stall.release()
    out.wait(aggregator, "web", phase="pulled")
    gone = out.wait_metrics(
        aggregator, lambda scrape: not scrape.find("pulltrace_pull_stale", repository=image.repository)
    )
    assert gone.value("pulltrace_stale_pulls_total", reason="no_progress") == 1
    assert not counted_failures(out, aggregator)


def test_a_registry_that_does_not_answer_is_the_cause(out: RealNodeSetup) -> None:
    aggregator = out.aggregator("--stale.resolving=2s")
    image = out.push("app", MIB)
    hang = out.registry.hang(image.repository)
    out.finally_(hang.release)
    out.pod("web", image)
    silent = out.wait(aggregator, "web", phase="resolving", blockedBy="registry")
    assert "pull" not in silent
    assert out.metrics(aggregator).value("pulltrace_node_resolving_stale", node=out.node.name) == 1
    hang.release()
    out.wait(aggregator, "web", phase="pulled")
    out.wait_metrics(aggregator, lambda scrape: not scrape.value("pulltrace_node_resolving_stale", node=out.node.name))
