"""The series of the exporters."""

from collections.abc import Iterator

from pulltrace_exporter.model.view import POLL_BUCKETS
from pulltrace_exporter.tracking.counters import DURATION_BUCKETS
from rig.images import OCI, digest
from rig.sample_hour.timelines import PullTimeline, Scenario

Sample = tuple[str, dict[str, str], float]
STATES = ("waiting", "downloading", "downloaded", "unpacking", "unpacked", "cached", "remote")
MANIFESTS = 4096


def exporter(
    scenario: Scenario, node: str, t: float, epoch: float, began: float = 0.0, version: str = "1.0.0"
) -> Iterator[Sample]:
    """What the exporter of a node, started at `began`, shows at a time; the hour begins at `epoch` of Unix."""
    pulls = scenario.of_node(node)
    shown = {pull.image: pull for pull in pulls if pull.phase(t) not in ("", "resolving")}
    for pull in shown.values():
        yield from _pull(pull, t, epoch)
        yield from _layers(pull, t)
    yield from _node(pulls, t, epoch)
    yield "pulltrace_containerd_up", {}, int(scenario.reads(node, t))
    yield "pulltrace_exporter_last_poll_timestamp_seconds", {}, epoch + scenario.last_reading(node, t)
    for image, since in scenario.line(node, t):
        own = {"registry": image.registry, "repository": image.repository, "reference": image.reference}
        yield "pulltrace_queued_pull_start_time_seconds", own, epoch + since
    yield from _counters(pulls, t, began)
    yield from histogram("pulltrace_exporter_poll_duration_seconds", {}, _polls(node, t, began), POLL_BUCKETS)
    if not scenario.reads(node, t):
        call = {"call": "Leases/List", "code": "UNAVAILABLE"}
        yield "pulltrace_exporter_poll_errors_total", call, 1 + (t - scenario.down[0][1]) // 5
    faulty, since = scenario.faulty
    if node == faulty and t > since:
        yield "pulltrace_exporter_scrape_errors_total", {"family": "pulltrace_pull_info"}, (t - since) // 30
    yield "pulltrace_web_config_last_reload_successful", {}, int(node != faulty)
    yield "pulltrace_exporter_build_info", {"version": version, "python_version": "3.11.2"}, 1
    yield "process_resident_memory_bytes", {}, 40e6 + 1e6 * len(node) + 8e4 * len(pulls)
    yield "process_cpu_seconds_total", {}, 0.002 * (t - began) + 0.05 * len(pulls)


def _pull(pull: PullTimeline, t: float, epoch: float) -> Iterator[Sample]:
    key, phase, speed = labels(pull), pull.phase(t), pull.speed(t)
    info = {"reference": pull.image.reference, "media_type": OCI.index, "snapshotter": pull.snapshotter or "overlayfs"}
    yield "pulltrace_pull_info", {**key, **info}, 1
    yield "pulltrace_pull_phase", {**key, "phase": phase}, 1
    yield "pulltrace_pull_size_bytes", key, pull.image.size
    yield "pulltrace_pull_cached_bytes", key, pull.cached
    yield "pulltrace_pull_downloaded_bytes", key, pull.downloaded(t)
    yield "pulltrace_pull_unpacked_bytes", key, pull.unpacked(t)
    if not pull.snapshotter:
        yield "pulltrace_pull_progress_ratio", key, pull.downloaded(t) / pull.wanted
    if speed is not None:
        yield "pulltrace_pull_bytes_per_second", key, speed
    if speed:
        yield "pulltrace_pull_eta_seconds", key, (pull.wanted - pull.downloaded(t)) / speed
    yield "pulltrace_pull_start_time_seconds", key, epoch + pull.start
    if t >= pull.end:
        yield "pulltrace_pull_end_time_seconds", key, epoch + pull.end
    moved = min(t, pull.end) if not pull.stall[0] <= t < pull.stall[1] else pull.stall[0]
    yield "pulltrace_pull_last_progress_timestamp_seconds", key, epoch + moved
    yield "pulltrace_pull_requests", key, pull.requests
    states = [state for _, _, state in pull.layers(t)]
    for state in STATES:
        yield "pulltrace_pull_layers", {**key, "state": state}, states.count(state)


def _layers(pull: PullTimeline, t: float) -> Iterator[Sample]:
    active = sum(state == "downloading" for _, _, state in pull.layers(t))
    for index, (size, there, state) in enumerate(pull.layers(t)):
        own = {"layer": str(index), "layer_digest": digest(f"{pull.image.reference} {index}"), "media_type": OCI.layer}
        key = {**labels(pull), **own}
        yield "pulltrace_layer_size_bytes", key, size
        yield "pulltrace_layer_downloaded_bytes", key, there
        yield "pulltrace_layer_state", {**key, "state": state}, 1
        if state == "downloading" and (speed := pull.speed(t)) is not None:
            yield "pulltrace_layer_bytes_per_second", key, speed / active


def _node(pulls: list[PullTimeline], t: float, epoch: float) -> Iterator[Sample]:
    phases = [pull.phase(t) for pull in pulls]
    for phase in ("resolving", "downloading", "unpacking"):
        yield "pulltrace_pulls_in_progress", {"phase": phase}, phases.count(phase)
    resolving = [pull.start for pull in pulls if pull.phase(t) == "resolving" and t - pull.start > 1]
    if resolving:
        yield "pulltrace_oldest_resolving_start_time_seconds", {}, epoch + min(resolving)
    yield "pulltrace_containerd_info", {"version": "2.1.9"}, 1
    yield "pulltrace_containerd_start_time_seconds", {}, epoch - 86400
    yield "pulltrace_exporter_time_seconds", {}, epoch + t + 0.2
    for kind in ("pull", "layer", "registry", "media_type"):
        yield "pulltrace_exporter_suppressed_series", {"kind": kind}, 0


def _counters(pulls: list[PullTimeline], t: float, began: float) -> Iterator[Sample]:
    unresolved = sum(began <= pull.end <= t and pull.named > pull.end for pull in pulls)
    yield "pulltrace_unresolved_pulls_total", {}, unresolved
    named = [pull for pull in pulls if pull.named <= t]
    for registry in sorted({pull.image.registry for pull in named}):
        known = [pull for pull in named if pull.image.registry == registry]
        yield from _registry_counters(registry, known, t, began)


def _registry_counters(registry: str, pulls: list[PullTimeline], t: float, began: float) -> Iterator[Sample]:
    own = {"registry": registry}
    ended = [pull for pull in pulls if began <= pull.end <= t]
    for result in ("succeeded", "failed", "orphaned"):
        yield "pulltrace_pulls_total", {**own, "result": result}, sum(pull.result == result for pull in ended)
    fetched = sum(pull.downloaded(t) - pull.downloaded(began) for pull in pulls)
    yield "pulltrace_downloaded_bytes_total", {**own, "media_type": OCI.layer}, fetched
    yield "pulltrace_downloaded_bytes_total", {**own, "media_type": OCI.index}, MANIFESTS * len(pulls)
    yield "pulltrace_cached_bytes_total", own, sum(pull.cached for pull in pulls)
    brought = sum(pull.unpacked(t) - pull.unpacked(began) for pull in pulls if pull.snapshotter)
    yield "pulltrace_remote_bytes_total", own, brought
    busy = sum(max(min(t, pull.fetched_at, pull.end) - max(pull.named, began), 0.0) for pull in pulls)
    yield "pulltrace_active_seconds_total", {**own, "stage": "download"}, busy
    busy = sum(max(min(t, pull.end) - max(pull.fetched_at, began), 0.0) for pull in pulls)
    yield "pulltrace_active_seconds_total", {**own, "stage": "unpack"}, busy
    good = [pull for pull in ended if pull.result == "succeeded"]
    whole = [pull.end - pull.start for pull in good]
    yield from histogram("pulltrace_pull_duration_seconds", own, whole, DURATION_BUCKETS)
    times = {
        "resolve": [pull.resolve for pull in good],
        "download": [pull.fetched_at - pull.named for pull in good],
        "unpack": [pull.end - pull.fetched_at for pull in good],
    }
    for stage, values in times.items():
        yield "pulltrace_pull_stage_seconds_sum", {**own, "stage": stage}, sum(values)
        yield "pulltrace_pull_stage_seconds_count", {**own, "stage": stage}, len(values)


def histogram(name: str, own: dict[str, str], values: list[float], bounds: tuple[float, ...]) -> Iterator[Sample]:
    """A histogram's samples."""
    for bound in bounds:
        yield f"{name}_bucket", {**own, "le": str(float(bound))}, sum(value <= bound for value in values)
    yield f"{name}_bucket", {**own, "le": "+Inf"}, len(values)
    yield f"{name}_sum", own, sum(values)
    yield f"{name}_count", own, len(values)


def _polls(node: str, t: float, began: float) -> list[float]:
    """A few hundred polls stand for all."""
    return [0.002 + 0.0004 * ((index * 7 + len(node)) % 11) for index in range(int((t - began) / 10))]


def labels(pull: PullTimeline) -> dict[str, str]:
    """What a pull is known by on its node."""
    return {"registry": pull.image.registry, "repository": pull.image.repository, "digest": pull.image.digest}
