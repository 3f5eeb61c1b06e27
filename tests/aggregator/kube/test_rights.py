"""What the aggregator may not do: said with the right that is missing, while everything else goes on."""

import pytest

from aggregator.kube.adapter_setup import AdapterSetup
from pulltrace_aggregator.kube import resources
from pulltrace_aggregator.kube.errors import Forbidden
from pulltrace_aggregator.kube.reflector import Stage
from pulltrace_aggregator.model.cluster import PodSeen
from rig.kubernetes.api import READ, READ_EVERYTHING, Rule
from rig.kubernetes.fake import FakeCluster

PODS, EVENTS, SLICES = READ_EVERYTHING


def test_a_missing_right_is_named_and_the_rest_goes_on(setup: AdapterSetup) -> None:
    token = setup.cluster.user([PODS])
    following = setup.follow(resources.selections(), kubeconfig=setup.kubeconfig(token))
    following.wait_stage("events", Stage.REFUSED)
    following.wait_stage("pods", Stage.WATCHING)
    (problem,) = following.problems
    assert problem.startswith("the right to list events in all namespaces is missing: events is forbidden: User ")
    health = following.cluster.health
    assert health.awaited == tuple(watch.name for watch in health.watches if watch.resource == "events")
    assert not health.ready
    assert not health.up
    setup.pod()
    following.seen.wait(lambda: following.seen.pod("app"))
    setup.cluster.allow(token, [EVENTS])
    following.wait_up()
    assert following.cluster.health.ready
    assert not following.problems


def test_rights_in_one_namespace_are_enough_for_that_namespace(setup: AdapterSetup) -> None:
    other = setup.new_namespace()
    rules = [Rule(READ, rule.resource, rule.group, setup.namespace) for rule in (PODS, EVENTS)]
    chosen = resources.selections([setup.namespace, other])
    following = setup.follow(chosen, rules=rules)
    following.wait(lambda: any("list pods in namespace" in each for each in following.problems))
    setup.pod(namespace=other)
    setup.event(setup.pod("ours"))
    following.seen.wait(lambda: following.seen.pod("ours") and following.seen.events)
    assert {each.namespace for each in following.seen.of(PodSeen)} == {setup.namespace}
    assert any(
        each.startswith(f"the right to list pods in namespace {other} is missing") for each in following.problems
    )


def test_a_user_who_may_list_and_not_watch_sees_the_lists(setup: AdapterSetup) -> None:
    rules = [Rule(("list",), "pods", namespace=setup.namespace)]
    following = setup.follow([resources.waiting_pods(setup.namespace)], rules=rules)
    following.wait_stage("pods", Stage.REFUSED)
    assert following.problems[0].startswith(f"the right to watch pods in namespace {setup.namespace} is missing")
    pod = setup.pod()
    following.seen.wait(lambda: following.seen.pod("app"))
    setup.api.delete(pod)
    following.seen.wait(lambda: not following.seen.pods)


def test_a_look_at_a_pod_needs_its_own_right(setup: AdapterSetup) -> None:
    setup.pod()
    client = setup.client([Rule(("list", "watch"), "pods")])
    with pytest.raises(Forbidden, match=f"the right to get pods in namespace {setup.namespace} is missing"):
        client.pod(setup.namespace, "app")


@pytest.mark.contract
def test_slices_have_their_own_right(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    chosen = resources.selections(service=(fake_setup.namespace, "exporter"))
    following = fake_setup.follow(chosen, rules=[PODS, EVENTS])
    following.wait_stage("endpointslices", Stage.REFUSED)
    following.wait_stage("pods", Stage.WATCHING)
    assert following.problems[0].startswith(
        f"the right to list endpointslices.discovery.k8s.io in namespace {fake_setup.namespace} is missing"
    )
    assert fake.asked("list", "endpointslices")
