"""Exporters of one release and the aggregator of another, with the values that the README gives for it."""

from typing import Any

import pytest
import yaml

from pulltrace_chart.rendering import Object
from pulltrace_exporter.config import ExporterConfig
from rig.chart_values import PASSWORD, VARIANTS
from rig.charts import README, endpoint, one, pod_specs, release

pytestmark = pytest.mark.unit

NODES, PULLTRACE = "nodes", "pulltrace"
"""The namespaces."""
Objects = tuple[Object, ...]
Both = tuple[Objects, Objects]


@pytest.fixture(
    scope="module", params=[{}, PASSWORD, {"tls": {"clientCertificates": True}}], ids=["plain", "password", "clients"]
)
def both(request: pytest.FixtureRequest) -> Both:
    """What Helm makes of the values for the exporters, and of those for the aggregator."""
    blocks = README.texts("yaml")
    (exporters,) = (yaml.safe_load(each) for each in blocks if "aggregator:\n  enabled: false" in each)
    (aggregator,) = (yaml.safe_load(each) for each in blocks if "exporterService" in each)
    return release(merged(exporters, request.param), NODES), release(merged(aggregator, request.param), PULLTRACE)


def merged(first: Object, second: Object) -> Object:
    return {
        key: merged(first[key], second[key])
        if isinstance(first.get(key), dict) and isinstance(second.get(key), dict)
        else second.get(key, first.get(key))
        for key in first | second
    }


def selects(peer: Object, namespace: str, own: str, labels: Object) -> bool:
    """Whether a peer of a policy in the namespace `own` is a pod with these labels; empty selectors are all."""
    names: Object = peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": own}})
    wanted: Object = {**names.get("matchLabels", {}), **peer.get("podSelector", {}).get("matchLabels", {})}
    return wanted.items() <= {**labels, "kubernetes.io/metadata.name": namespace}.items()


def labels_of(workload: Object) -> Any:
    return workload["spec"]["template"]["metadata"]["labels"]


def test_the_networks_let_the_aggregator_through_on_both_sides(both: Both) -> None:
    exporters, aggregator = both
    asked, asking = one(exporters, "DaemonSet"), one(aggregator, "Deployment")
    (coming,) = one(exporters, "NetworkPolicy")["spec"]["ingress"]
    going = one(aggregator, "NetworkPolicy")["spec"]["egress"][0]
    assert any(selects(peer, PULLTRACE, NODES, labels_of(asking)) for peer in coming["from"])
    assert any(selects(peer, NODES, PULLTRACE, labels_of(asked)) for peer in going["to"])
    args = pod_specs(exporters)["pulltrace-exporter"]["containers"][0]["args"]
    port = ExporterConfig.from_argv(args, {}).listen_address.port
    assert [each["port"] for each in coming["ports"]] == [each["port"] for each in going["ports"]] == [port]


def test_nobody_else_is_let_in_for_it(both: Both) -> None:
    exporters, aggregator = both
    (coming,) = one(exporters, "NetworkPolicy")["spec"]["ingress"]
    assert not any(selects(peer, "other", NODES, labels_of(one(aggregator, "Deployment"))) for peer in coming["from"])


def test_the_certificate_is_for_the_name_that_is_compared_and_of_one_authority(both: Both) -> None:
    exporters, aggregator = both
    shown, showing = one(exporters, "Certificate", "exporter"), one(aggregator, "Certificate", "aggregator")
    config = yaml.safe_load(one(aggregator, "ConfigMap", "http-config")["data"]["http-config.yaml"])
    assert shown["spec"]["dnsNames"] == [config["tls_config"]["server_name"]] == ["pulltrace-exporter.nodes.svc"]
    assert shown["spec"]["issuerRef"] == showing["spec"]["issuerRef"] == {"kind": "ClusterIssuer", "name": "company"}


def test_slices_are_read_where_the_exporters_are(both: Both) -> None:
    exporters, aggregator = both
    service = one(exporters, "Service")["metadata"]
    assert one(aggregator, "Role", "-exporters")["metadata"]["namespace"] == service["namespace"]
    args = pod_specs(aggregator)["pulltrace-aggregator"]["containers"][0]["args"]
    assert f"--exporter.service={service['namespace']}/{service['name']}" in args


def test_exporters_have_certificates_of_their_own_name_whoever_the_aggregator_asks() -> None:
    found = release({**VARIANTS["tls-of-others"], "monitors": {"enabled": True}}, PULLTRACE)
    own = "pulltrace-exporter.pulltrace.svc"
    assert one(found, "Certificate", "exporter")["spec"]["dnsNames"] == [own]
    assert endpoint(one(found, "PodMonitor"))["tlsConfig"]["serverName"] == own
    assert f"{own}:10301" in one(found, "Pod")["spec"]["containers"][0]["args"]
    config = one(found, "ConfigMap", "http-config")["data"]["http-config.yaml"]
    assert "server_name: other-exporter.nodes.svc\n" in config
