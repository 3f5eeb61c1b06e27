"""Pods on a real node: what they wait for is shown under them, with the right phase and the right verdict."""

import pytest

from rig.aggregator import Document
from rig.images import MIB
from rig.kubernetes.lookout import Lookout

pytestmark = pytest.mark.integration

POD = "pulltrace_pod_pull_"
ONCE = ("/bin/busybox", "true")


def downloaded(entry: Document) -> int:
    return int(entry.get("pull", {}).get("downloadedBytes", 0))


def test_a_pull_progresses_under_its_pod_and_leaves_with_it(out: Lookout) -> None:
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
    aggregator.wait(lambda _: out.running(pod))
    scrape = out.metrics(aggregator)
    assert scrape.total(f"{POD}duration_seconds_count", namespace=out.namespace) == 1
    assert scrape.total(f"{POD}stage_seconds_count", namespace=out.namespace, stage="download") == 1
    out.delete(pod, grace=None)
    out.wait_nothing(aggregator)
    assert not out.metrics(aggregator).find(f"{POD}phase", namespace=out.namespace)
    aggregator.wait(lambda _: not out.exists(pod))


def test_who_stands_in_the_kubelets_line_is_told_who_is_ahead(out: Lookout) -> None:
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
    scrape = out.metrics(aggregator)
    assert scrape.value("pulltrace_node_queued_images", node=out.node.name) == 2
    stall.release()
    for name in images:
        out.wait(aggregator, name, phase="pulled")
    scrape = out.metrics(aggregator)
    assert not scrape.value("pulltrace_node_queued_images", node=out.node.name)
    assert scrape.total(f"{POD}stage_seconds_count", namespace=out.namespace, stage="queue") == 3


def test_init_containers_wait_before_the_others(out: Lookout) -> None:
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
    aggregator.wait(lambda _: out.running(pod))


def test_a_missing_a_refused_and_a_limited_image_each_has_its_verdict(out: Lookout) -> None:
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
    failures = out.metrics(aggregator).by("reason", f"{POD}failures_total", namespace=out.namespace)
    assert {reason for reason, count in failures.items() if count} == {"not_found", "unauthorized", "rate_limited"}
    out.registry.allow(images["limited"].repository)
    out.wait(aggregator, "missing", blockedBy="not_found", phase="backoff")
    out.wait(aggregator, "refused", blockedBy="credentials", phase="backoff")
    out.wait(aggregator, "limited", phase="pulled")
    assert out.shown(aggregator)["missing", "main"]["blockedBy"] == "not_found"


def test_a_stalled_download_is_told_and_its_recovery_too(out: Lookout) -> None:
    aggregator = out.aggregator("--stale.no-progress=3s")
    image = out.push("app", 3 * MIB)
    stall = out.hold(image, after=2 * MIB)
    out.pod("web", image)
    stalled = out.wait(aggregator, "web", blockedBy="stalled")
    assert stalled["phase"] == "downloading"
    assert downloaded(stalled) >= MIB
    scrape = out.metrics(aggregator)
    (stale,) = scrape.find("pulltrace_pull_stale", repository=image.repository)
    assert (stale.labels["reason"], stale.labels["node"]) == ("no_progress", out.node.name)
    stall.release()
    out.wait(aggregator, "web", phase="pulled")
    scrape = out.metrics(aggregator)
    assert not scrape.find("pulltrace_pull_stale")
    assert scrape.value("pulltrace_stale_pulls_total", reason="no_progress") == 1
    assert not scrape.total(f"{POD}failures_total")


def test_a_registry_that_does_not_answer_is_the_verdict(out: Lookout) -> None:
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
    assert not out.metrics(aggregator).value("pulltrace_node_resolving_stale", node=out.node.name)
