"""What a pod waits for when it waits for no image."""

from typing import Any

import pytest

from pulltrace_kubectl.core.pod_status import explain
from pulltrace_kubectl.sources.cluster import read_pod, rolled_out, selector_text

pytestmark = pytest.mark.unit


def pod(status: dict[str, Any], **spec: Any) -> str:
    item = {"metadata": {"namespace": "shop", "name": "web"}, "status": status}
    return explain(read_pod({**item, "spec": {"nodeName": "node-1", "containers": [{"name": "main"}], **spec}}))


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "main", "state": state, "imageID": ""}]}


UNSCHEDULED = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]}
SANDBOX = {"conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]}
RUNNING = {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}, "imageID": "x"}]}
INIT = {"initContainerStatuses": [{"name": "migrate", "state": {"running": {}}, "imageID": "x"}]}


@pytest.mark.parametrize(
    ("said", "status", "spec"),
    [
        ("for a node: 0/3 nodes are available", UNSCHEDULED, {"nodeName": ""}),
        ("container main waits: CrashLoopBackOff: back-off 10s", waiting("CrashLoopBackOff", "back-off 10s"), {}),
        ("container main waits: CreateContainerConfigError: no secret",
         waiting("CreateContainerConfigError", "no secret"), {}),
        ("for its sandbox", {**SANDBOX, **waiting("ContainerCreating")}, {}),
        ("for init container migrate", {**INIT, **waiting("PodInitializing")},
         {"initContainers": [{"name": "migrate"}]}),
        ("all its containers have theirs", RUNNING, {}),
        ("has ended (Failed: Evicted)", {"phase": "Failed", "reason": "Evicted"}, {}),
        ("it is being set up", waiting("ContainerCreating"), {}),
    ],
)  # fmt: skip
def test_its_status_tells(said: str, status: dict[str, Any], spec: dict[str, Any]) -> None:
    told = pod(status, **spec)
    assert told.startswith("shop/web ")
    assert said in told


def test_a_selector_is_put_as_kubectl_takes_it() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "app", "operator": "Exists"},
    ]
    given = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    assert selector_text(given) == "app=web,tier in (a,b),!old,app"


def stateful(wanted: int, made: int, updated: int, **strategy: Any) -> dict[str, Any]:
    status = {"replicas": made, "updatedReplicas": updated}
    return {"kind": "StatefulSet", "spec": {"replicas": wanted, "updateStrategy": strategy}, "status": status}


def daemons_on_delete(made: int) -> dict[str, Any]:
    status = {"desiredNumberScheduled": 3, "currentNumberScheduled": made, "updatedNumberScheduled": 0}
    return {"kind": "DaemonSet", "spec": {"updateStrategy": {"type": "OnDelete"}}, "status": status}


@pytest.mark.parametrize(
    ("item", "done"),
    [
        ({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"updatedReplicas": 1}}, False),
        ({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"updatedReplicas": 2}}, True),
        ({"kind": "Deployment", "metadata": {"generation": 2}, "status": {"observedGeneration": 1}}, False),
        ({"kind": "Deployment", "spec": {"replicas": 0}, "status": {}}, True),
        ({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 3, "updatedNumberScheduled": 2}}, False),
        (stateful(5, 5, 4), False),
        (stateful(5, 5, 5, rollingUpdate={"maxUnavailable": 1}), True),
        (stateful(5, 5, 1, rollingUpdate={"partition": 3}), False),
        (stateful(5, 5, 2, rollingUpdate={"partition": 3}), True),
        (stateful(5, 3, 2, rollingUpdate={"partition": 3}), False),
        (stateful(5, 5, 0, type="OnDelete"), True),
        (stateful(5, 3, 0, type="OnDelete"), False),
        (daemons_on_delete(3), True),
        (daemons_on_delete(2), False),
        ({"kind": "Job"}, True),
    ],
)
def test_a_rollout_has_begun_everywhere(item: dict[str, Any], done: bool) -> None:
    assert rolled_out(item) is done
