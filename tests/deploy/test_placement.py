"""Where the pods run and who may scrape them, by values that a cluster may need."""

import pytest

from pulltrace_chart.rendering import Object
from rig.chart_values import KPS
from rig.charts import NAMESPACE, endpoint, new_helm, of_kind, one, pod_specs

pytestmark = pytest.mark.unit


def expressions(spec: Object) -> list[Object]:
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    found: list[Object] = term["matchExpressions"]
    return found


def test_exporters_keep_off_nodes_without_a_containerd_of_their_own() -> None:
    assert expressions(pod_specs(new_helm({}))["pulltrace-exporter"]) == [
        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
        {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
    ]


@pytest.mark.parametrize("program", ["exporter", "aggregator"])
def test_network_users_and_lifecycle_can_be_set(program: str) -> None:
    name = f"pulltrace-{program}"
    plain = pod_specs(new_helm({}))[name]
    assert not {"dnsPolicy", "hostUsers"} & plain.keys()
    hook = {"preStop": {"sleep": {"seconds": 1}}}
    given = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet", "hostUsers": False, "lifecycle": hook}
    spec = pod_specs(new_helm({program: given}))[name]
    assert (spec["hostNetwork"], spec["dnsPolicy"], spec["hostUsers"]) == (True, "ClusterFirstWithHostNet", False)
    assert spec["containers"][0]["lifecycle"] == hook


def test_any_scraper_is_let_in_by_one_value() -> None:
    peer = {
        "namespaceSelector": {},
        "podSelector": {
            "matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": ["vmagent", "alloy"]}]
        },
    }
    for policy in of_kind(new_helm({"networkPolicy": {"scrapers": ["vmagent", "alloy"]}}), "NetworkPolicy"):
        assert peer in policy["spec"]["ingress"][0]["from"]


def test_monitors_can_be_in_another_namespace_and_take_fields_of_endpoints() -> None:
    values = {**KPS, "monitors": {"namespace": "observability", "exporter": {"endpoint": {"honorTimestamps": False}}}}
    found = new_helm(values)
    for kind in ("PodMonitor", "ServiceMonitor"):
        monitor = one(found, kind)
        assert monitor["metadata"]["namespace"] == "observability"
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == [NAMESPACE]
    assert endpoint(one(found, "PodMonitor"))["honorTimestamps"] is False


def test_the_test_may_list_the_pods_of_its_namespace_and_nothing_else() -> None:
    found = new_helm({})
    roles = [each for each in of_kind(found, "Role") if each["metadata"]["name"] == "pulltrace-test"]
    assert [each["rules"] for each in roles] == [[{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]]
    assert pod_specs(found)["pulltrace-test"]["serviceAccountName"] == "pulltrace-test"
    assert "serviceAccountName" not in pod_specs(new_helm({"rbac": {"create": False}}))["pulltrace-test"]
