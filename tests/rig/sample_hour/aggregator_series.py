"""The series of the aggregator."""

from collections import Counter
from collections.abc import Iterator

from pulltrace_aggregator.controller.counters import DURATION_BUCKETS
from pulltrace_aggregator.model.states import StaleReason
from rig.sample_hour.exporter_series import Sample, histogram, labels
from rig.sample_hour.timelines import LINGER, Scenario, WaitTimeline


def aggregator(scenario: Scenario, t: float, began: float = 0.0, version: str = "1.0.0") -> Iterator[Sample]:
    """What the aggregator, started at `began`, shows at a time."""
    for wait in scenario.waits:
        if wait.phase(t):
            yield from _wait(wait, t, began)
    yield from _cluster(scenario, t, began)
    yield from _ended(scenario, t, began)
    yield "pulltrace_aggregator_kubernetes_up", {}, 1
    silent = sum(not scenario.answers(node, t) for node in scenario.nodes)
    for state, count in (("ok", len(scenario.nodes) - silent), ("unreachable", silent)):
        yield "pulltrace_aggregator_exporters", {"state": state}, count
    for result, rate in (("ok", 3.0), ("not_modified", 1.5), ("timeout", 0.1 * silent)):
        yield "pulltrace_aggregator_exporter_requests_total", {"result": result}, rate * (t - began)
    restarts = {"resource": "pods", "reason": "expired"}
    yield "pulltrace_aggregator_watch_restarts_total", restarts, (t - began) // 1500
    yield "pulltrace_aggregator_build_info", {"version": version, "python_version": "3.11.2"}, 1
    yield "process_resident_memory_bytes", {}, 75e6 + 2e5 * len(scenario.waits)
    yield "process_cpu_seconds_total", {}, 0.01 * (t - began)


def _wait(wait: WaitTimeline, t: float, began: float) -> Iterator[Sample]:
    key = wait.labels
    phase, pull = wait.phase(t), wait.pull
    matched = pull if pull and pull.named <= t <= pull.end + LINGER else None
    found = {
        "uid": f"uid-{wait.pod}",
        "registry": wait.image.registry,
        "repository": wait.image.repository,
        "digest": wait.image.digest if matched else "",
        "match": "exact" if matched else "none",
    }
    yield "pulltrace_pod_pull_info", {**key, **found}, 1
    yield "pulltrace_pod_pull_phase", {**key, "phase": phase}, 1
    if phase != "pulled":
        yield "pulltrace_pod_pull_waiting_seconds", key, t - wait.asked
        yield "pulltrace_pod_pull_blocked_by", {**key, "cause": wait.cause_at(t, began)}, 1
    if matched:
        if not matched.snapshotter:
            yield "pulltrace_pod_pull_progress_ratio", key, matched.downloaded(t) / matched.wanted
        yield "pulltrace_pod_pull_size_bytes", key, matched.image.size
        yield "pulltrace_pod_pull_downloaded_bytes", key, matched.downloaded(t)
        speed = matched.speed(t)
        if speed is not None:
            yield "pulltrace_pod_pull_bytes_per_second", key, speed
        if speed:
            yield "pulltrace_pod_pull_eta_seconds", key, (matched.wanted - matched.downloaded(t)) / speed


def _cluster(scenario: Scenario, t: float, began: float) -> Iterator[Sample]:
    became: Counter[str] = Counter()
    for pull, reason, since in scenario.stale:
        if since <= t <= pull.end + LINGER:
            yield "pulltrace_pull_stale", {"node": pull.node, **labels(pull), "reason": reason}, 1
        became[reason] += began <= since <= t
    for reason in StaleReason:
        yield "pulltrace_stale_pulls_total", {"reason": reason}, became[reason]
    images = Counter(
        (*labels(pull).items(), ("phase", phase))
        for pull in scenario.pulls
        if (phase := pull.phase(t)) not in ("", "resolving")
    )
    for pairs, count in images.items():
        yield "pulltrace_image_nodes", dict(pairs), count
    for node in scenario.nodes:
        yield from _of_node(scenario, node, t)


def _of_node(scenario: Scenario, node: str, t: float) -> Iterator[Sample]:
    waits = [wait for wait in scenario.waits_on(node) if wait.phase(t) not in ("", "pulled")]
    pulls = [pull for pull in scenario.of_node(node) if pull.phase(t) in ("resolving", "downloading", "unpacking")]
    if waits or pulls:
        queued = {wait.image for wait in waits if wait.phase(t) == "queued"}
        yield "pulltrace_node_queued_images", {"node": node}, len(queued)
    silent = sum(pull.phase(t) == "resolving" and t - pull.start > 30 for pull in pulls)
    if any(pull.phase(t) == "resolving" for pull in pulls):
        yield "pulltrace_node_resolving_stale", {"node": node}, silent
    if waits and not scenario.answers(node, t):
        yield "pulltrace_node_exporter_missing", {"node": node}, 1


def _ended(scenario: Scenario, t: float, began: float) -> Iterator[Sample]:
    failed: Counter[tuple[str, str, str]] = Counter()
    for wait in scenario.waits:
        count = sum(began <= at <= t for at in wait.failures)
        if count:
            failed[wait.namespace, wait.image.registry, wait.reason] += count
    for (namespace, registry, reason), count in failed.items():
        own = {"namespace": namespace, "registry": registry, "reason": reason}
        yield "pulltrace_pod_pull_failures_total", own, count
    good = [wait for wait in scenario.waits if began <= wait.came <= t]
    for namespace in sorted({wait.namespace for wait in good}):
        here = [wait for wait in good if wait.namespace == namespace]
        yield from _durations(namespace, here)


def _durations(namespace: str, waits: list[WaitTimeline]) -> Iterator[Sample]:
    own = {"namespace": namespace}
    for registry in sorted({wait.image.registry for wait in waits}):
        times = [wait.pull.end - wait.pull.start for wait in waits if wait.pull and wait.image.registry == registry]
        labelled = {**own, "registry": registry}
        yield from histogram("pulltrace_pod_pull_duration_seconds", labelled, times, DURATION_BUCKETS)
    queues = [wait.stages["queue"] for wait in waits]
    yield from histogram("pulltrace_pod_pull_queue_seconds", own, queues, DURATION_BUCKETS)
    for stage in waits[0].stages:
        times = [wait.stages[stage] for wait in waits]
        yield from histogram("pulltrace_pod_pull_stage_seconds", {**own, "stage": stage}, times, DURATION_BUCKETS)
