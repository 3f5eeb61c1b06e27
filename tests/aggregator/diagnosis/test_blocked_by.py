"""What blocks an image: the table of rules, and each cause in a cluster."""

from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace.model.pull import LayerState, Phase
from pulltrace_aggregator.controller.node_reconciler import FIRST_SECONDS
from pulltrace_aggregator.diagnosis.blocked_by import RULES, Facts, PeerRates, diagnose, page
from pulltrace_aggregator.model.states import Cause, FailureReason, PodPhase, StaleReason
from rig.sample_views import a_pull
from rig.simulated_cluster import IMAGE, Cluster, SimulatedPod, a_layer

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[3]
DOWN = [PodPhase.BACKOFF, PodPhase.FAILED]
CASES = st.builds(
    Facts,
    phase=st.sampled_from([phase for phase in PodPhase if phase is not PodPhase.PULLED]),
    failure=st.none() | st.sampled_from(list(FailureReason)),
    silent=st.booleans(),
    runtime_up=st.booleans(),
    stale=st.none() | st.sampled_from(list(StaleReason)),
    unresolved=st.booleans(),
    behind=st.sampled_from(["", IMAGE]),
    shared=st.booleans(),
    remote=st.booleans(),
    share=st.none() | st.floats(0, 10),
)


@given(CASES)
def test_every_case_has_a_cause(case: Facts) -> None:
    cause = diagnose(case)
    first = next(rule for rule in RULES if rule.holds(case))
    assert cause is first.cause
    if case.phase not in DOWN:
        assert diagnose(replace(case, failure=None)) is cause


def test_every_cause_has_a_rule_and_advice() -> None:
    assert {rule.cause for rule in RULES} == set(Cause)
    assert all(rule.when.endswith(".") and rule.advice.endswith(".") for rule in RULES)
    assert RULES[-1].holds(Facts(PodPhase.UNKNOWN))


@pytest.mark.parametrize("phase", DOWN)
@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (FailureReason.UNAUTHORIZED, Cause.CREDENTIALS),
        (FailureReason.NOT_FOUND, Cause.NOT_FOUND),
        (FailureReason.INVALID_NAME, Cause.NOT_FOUND),
        (FailureReason.NEVER_PULL, Cause.NOT_FOUND),
        (FailureReason.RATE_LIMITED, Cause.RATE_LIMITED),
        (FailureReason.KUBELET_RATE_LIMIT, Cause.RATE_LIMITED),
        (FailureReason.REGISTRY_UNAVAILABLE, Cause.REGISTRY),
        (FailureReason.TIMEOUT, Cause.REGISTRY),
        (FailureReason.DNS, Cause.REGISTRY),
        (FailureReason.TLS, Cause.REGISTRY),
        (FailureReason.DISK_FULL, Cause.BACKOFF),
        (FailureReason.SIGNATURE, Cause.BACKOFF),
        (FailureReason.CANCELED, Cause.BACKOFF),
        (FailureReason.OTHER, Cause.BACKOFF),
        (None, Cause.BACKOFF),
    ],
)
def test_a_failure_has_a_cause(phase: PodPhase, failure: FailureReason | None, cause: Cause) -> None:
    assert diagnose(Facts(phase, failure)) is cause
    # A failure is told by the runtime; what else there is lies further away.
    assert diagnose(Facts(phase, failure, silent=True, stale=StaleReason.NO_PROGRESS, behind=IMAGE)) is cause


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        (Facts(PodPhase.DOWNLOADING, silent=True, stale=StaleReason.EXPORTER_UNREACHABLE), Cause.NO_EXPORTER),
        (Facts(PodPhase.UNKNOWN, runtime_up=False), Cause.STALLED),
        (Facts(PodPhase.DOWNLOADING, stale=StaleReason.NO_PROGRESS, shared=True, share=0.0), Cause.STALLED),
        (Facts(PodPhase.FAILED, stale=StaleReason.ORPHANED), Cause.STALLED),
        (Facts(PodPhase.FAILED, stale=StaleReason.ORPHANED, silent=True), Cause.NO_EXPORTER),
        (Facts(PodPhase.FAILED, FailureReason.CANCELED, stale=StaleReason.ORPHANED), Cause.BACKOFF),
        (Facts(PodPhase.BACKOFF, stale=StaleReason.ORPHANED), Cause.BACKOFF),
        (Facts(PodPhase.UNPACKING, stale=StaleReason.UNPACK_NO_PROGRESS), Cause.SLOW_UNPACK),
        (Facts(PodPhase.DOWNLOADING, stale=StaleReason.REMOTE_NO_PROGRESS), Cause.STALLED),
        (Facts(PodPhase.DOWNLOADING, remote=True), Cause.PROGRESSING),
        (Facts(PodPhase.DOWNLOADING, shared=True, share=0.1), Cause.SHARED_LAYER),
        (Facts(PodPhase.DOWNLOADING, share=0.2499), Cause.SLOW_DOWNLOAD),
        (Facts(PodPhase.DOWNLOADING, share=0.25), Cause.PROGRESSING),
        (Facts(PodPhase.DOWNLOADING, stale=StaleReason.SLOW), Cause.PROGRESSING),
        (Facts(PodPhase.DOWNLOADING, failure=FailureReason.NOT_FOUND), Cause.PROGRESSING),
        (Facts(PodPhase.UNPACKING, share=0.1), Cause.PROGRESSING),
        (Facts(PodPhase.RESOLVING), Cause.PROGRESSING),
        (Facts(PodPhase.RESOLVING, unresolved=True), Cause.REGISTRY),
        (Facts(PodPhase.QUEUED, behind=IMAGE), Cause.QUEUE),
        (Facts(PodPhase.QUEUED), Cause.PROGRESSING),
        (Facts(PodPhase.UNKNOWN), Cause.PROGRESSING),
    ],
)
def test_the_nearest_cause(case: Facts, cause: Cause) -> None:
    assert diagnose(case) is cause


def test_the_reference_page_is_the_table() -> None:
    assert (REPOSITORY / "docs" / "causes.md").read_text() == page(), "make docs"


# PeerRates


def peers(**rates: float | None) -> PeerRates:
    found = PeerRates()
    for node, rate in rates.items():
        found.update(node, [a_pull(bytes_per_second=rate)])
    return found


@pytest.mark.parametrize(
    ("others", "share"),
    [
        ({}, None),
        ({"b": 100.0}, 0.2),
        ({"b": 100.0, "c": 300.0}, 0.1),
        ({"b": 100.0, "c": 40.0, "d": 1000.0}, 0.2),
        ({"b": 20.0, "c": 20.0}, 1.0),
        ({"b": None}, None),
        ({"b": 0.0}, None),
    ],
)
def test_a_rate_is_held_against_the_median_of_the_others(others: dict[str, float | None], share: float | None) -> None:
    assert peers(a=20.0, **others).share("a", a_pull(bytes_per_second=20.0)) == share


@given(st.lists(st.floats(1, 1e9), min_size=2, max_size=9))
def test_the_median_of_the_others_is_right_whoever_is_left_out(rates: list[float]) -> None:
    found = peers(**{f"n{number}": rate for number, rate in enumerate(rates)})
    for number, rate in enumerate(rates):
        others = rates[:number] + rates[number + 1 :]
        share = found.share(f"n{number}", a_pull(bytes_per_second=rate))
        assert share == pytest.approx(rate / median(others))


def test_peers_with_the_same_digest_come_before_peers_of_the_registry() -> None:
    found = peers(a=20.0)
    found.update("b", [a_pull("team/other", bytes_per_second=1000.0), a_pull("team/third", bytes_per_second=1000.0)])
    assert found.share("a", a_pull()) == 0.01
    found.update("c", [a_pull(bytes_per_second=40.0)])
    assert found.share("a", a_pull()) == 0.5
    for node in "abc":
        found.update(node, [])
    assert (found._groups, found._rates, found._sorted) == ({}, {}, {})


# In a cluster


def cause(cluster: Cluster, pod: SimulatedPod) -> Cause | None:
    cluster.tick()
    return pod.row().cause


def test_a_node_that_is_slow_against_its_peers(cluster: Cluster) -> None:
    pods = {}
    for name, rate in (("node-1", 10.0), ("node-2", 100.0), ("node-3", 120.0)):
        pods[name] = cluster.pod(f"on-{name}", node=name)
        pods[name].pulling()
        cluster.node(name).pull()
        cluster.node(name).advance(ratio=0.1, rate=rate)
    assert cause(cluster, pods["node-1"]) is Cause.PROGRESSING, "the first moments tell nothing"
    cluster.sleep(FIRST_SECONDS)
    assert cause(cluster, pods["node-1"]) is Cause.SLOW_DOWNLOAD
    assert cause(cluster, pods["node-2"]) is Cause.PROGRESSING
    cluster.node("node-2").end()
    cluster.node("node-3").answers = False
    cluster.pass_time(65)
    assert cause(cluster, pods["node-1"]) is Cause.STALLED
    cluster.node("node-1").advance(ratio=0.2, rate=11.0)
    assert cause(cluster, pods["node-1"]) is Cause.PROGRESSING


def test_a_layer_that_another_pull_fetches(cluster: Cluster) -> None:
    node = cluster.node()
    other = "registry.example/team/base:1"
    node.pull(other, known=True)
    cluster.sleep(2)
    pod = cluster.pod()
    pod.pulling()
    node.pull(known=True)
    assert cause(cluster, pod) is Cause.PROGRESSING
    assert cluster.turn.layers == {"node-1"}
    shared, own = a_layer("shared"), a_layer("own")
    node.change(other, layers=(shared,))
    node.change(layers=(shared, own))
    assert cause(cluster, pod) is Cause.PROGRESSING
    node.change(layers=(shared, replace(own, state=LayerState.DOWNLOADED)))
    assert cause(cluster, pod) is Cause.SHARED_LAYER
    node.end(other)
    assert cause(cluster, pod) is Cause.PROGRESSING
    assert cluster.turn.layers == frozenset()


def test_an_orphaned_pull_of_which_nobody_has_told_a_failure_until_the_kubelet_pauses(cluster: Cluster) -> None:
    pod = cluster.pod()
    cluster.node().pull()
    cluster.tick()
    cluster.node().end(phase=Phase.ORPHANED)
    cluster.tick()
    row = pod.row()
    assert (row.phase, row.cause) == (PodPhase.FAILED, Cause.STALLED)
    cluster.sleep(1)
    pod.failed("in words that nobody knows")
    assert cause(cluster, pod) is Cause.BACKOFF
