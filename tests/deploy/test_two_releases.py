"""Exporters of one release and the aggregator of another, with the values that the README gives for it."""

from typing import Any

import pytest
import yaml

from pulltrace_chart.places import CHART
from pulltrace_chart.rendering import Object, objects, render
from pulltrace_exporter.config import ExporterConfig
from rig.chart_values import PASSWORD
from rig.charts import one
from rig.pages import Page

pytestmark = pytest.mark.unit

NODES, PULLTRACE = "nodes", "pulltrace"
"""The namespaces."""


def release(values: Object, namespace: str) -> list[Object]:
    rendered = render(CHART, values, name="pulltrace", namespace=namespace)
    return objects("\n---\n".join(text for path, text in rendered.items() if path.endswith(".yaml")))


@pytest.fixture(params=[{}, PASSWORD, {"tls": {"clientCertificates": True}}], ids=["plain", "password", "clients"])
def both(request: pytest.FixtureRequest) -> tuple[list[Object], list[Object]]:
    path = CHART / "README.md"
    blocks = [each.text for each in Page(path, path.read_text()).blocks if each.language == "yaml"]
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
    pods: Object = peer.get("podSelector", {})
    found = {"kubernetes.io/metadata.name": namespace}
    return _fits(names, found) and _fits(pods, labels)


def _fits(selector: Object, labels: Object) -> bool:
    wanted: Object = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def labels_of(workload: Object) -> Any:
    return workload["spec"]["template"]["metadata"]["labels"]


def test_the_networks_let_the_aggregator_through_on_both_sides(both: tuple[list[Object], list[Object]]) -> None:
    exporters, aggregator = both
    asked, asking = one(exporters, "DaemonSet"), one(aggregator, "Deployment")
    (coming,) = one(exporters, "NetworkPolicy")["spec"]["ingress"]
    going = one(aggregator, "NetworkPolicy")["spec"]["egress"][0]
    assert any(selects(peer, PULLTRACE, NODES, labels_of(asking)) for peer in coming["from"])
    assert any(selects(peer, NODES, PULLTRACE, labels_of(asked)) for peer in going["to"])
    port = ExporterConfig.from_argv(asked["spec"]["template"]["spec"]["containers"][0]["args"], {}).listen_address.port
    assert [each["port"] for each in coming["ports"]] == [each["port"] for each in going["ports"]] == [port]


def test_nobody_else_is_let_in_for_it(both: tuple[list[Object], list[Object]]) -> None:
    exporters, aggregator = both
    (coming,) = one(exporters, "NetworkPolicy")["spec"]["ingress"]
    assert not any(selects(peer, "other", NODES, labels_of(one(aggregator, "Deployment"))) for peer in coming["from"])


def test_the_certificate_is_for_the_name_that_is_compared_and_of_one_authority(
    both: tuple[list[Object], list[Object]],
) -> None:
    exporters, aggregator = both
    shown, showing = one(exporters, "Certificate", "exporter"), one(aggregator, "Certificate", "aggregator")
    config = yaml.safe_load(one(aggregator, "ConfigMap", "http-config")["data"]["http-config.yaml"])
    assert shown["spec"]["dnsNames"] == [config["tls_config"]["server_name"]] == ["pulltrace-exporter.nodes.svc"]
    assert shown["spec"]["issuerRef"] == showing["spec"]["issuerRef"] == {"kind": "ClusterIssuer", "name": "company"}


def test_slices_are_read_where_the_exporters_are(both: tuple[list[Object], list[Object]]) -> None:
    exporters, aggregator = both
    service = one(exporters, "Service")["metadata"]
    assert one(aggregator, "Role", "-exporters")["metadata"]["namespace"] == service["namespace"]
    args = one(aggregator, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--exporter.service={service['namespace']}/{service['name']}" in args


def test_exporters_have_certificates_of_their_own_name_whoever_the_aggregator_asks() -> None:
    issuer = {"issuerRef": {"kind": "ClusterIssuer", "name": "company"}}
    found = release(
        {
            "tls": {"enabled": True, "certManager": issuer},
            "monitors": {"enabled": True},
            "aggregator": {"exporterService": "nodes/other-exporter"},
        },
        PULLTRACE,
    )
    own = "pulltrace-exporter.pulltrace.svc"
    assert one(found, "Certificate", "exporter")["spec"]["dnsNames"] == [own]
    assert one(found, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["tlsConfig"]["serverName"] == own
    assert f"{own}:10301" in one(found, "Pod")["spec"]["containers"][0]["args"]
    config = one(found, "ConfigMap", "http-config")["data"]["http-config.yaml"]
    assert "server_name: other-exporter.nodes.svc\n" in config
