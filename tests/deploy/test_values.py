"""Wrong values are refused before anything is installed, in words that name them."""

from typing import Any

import pytest
from helm_python import HelmError

from pulltrace_chart.places import CHART
from pulltrace_chart.rendering import render
from rig.chart_values import HASH, KPS
from rig.charts import Refused, Renderer, both_helms, new_helm

LOGIN = {"enabled": True, "existingSecret": "login"}
WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown value": ({"exporters": {}}, ("exporters", "not allowed")),
    "unknown value within": ({"exporter": {"imge": {}}}, ("exporter", "imge", "not allowed")),
    "runtime": ({"runtime": "docker"}, ("runtime", "containerd", "microk8s")),
    "type": ({"aggregator": {"shards": "three"}}, ("aggregator", "shards", "integer", "string")),
    "too small": ({"aggregator": {"shards": 0}}, ("shards", "1")),
    "switch": ({"monitors": {"enabled": "yes"}}, ("monitors", "enabled", "auto")),
    "digest": ({"exporter": {"image": {"digest": "1234"}}}, ("digest", "sha256")),
    "port": ({"exporter": {"port": 70000}}, ("port", "535")),
    "release": ({"kubePrometheusStack": {"release": "Not A Name"}}, ("release", "pattern")),
    "interval": ({"monitors": {"exporter": {"interval": "10"}}}, ("interval", "pattern")),
    "unknown flag": ({"exporter": {"flags": {"pull.lingr": "5m"}}}, ("pull.lingr", "not allowed")),
    "flag of the other": ({"exporter": {"flags": {"stale.unpack": "5m"}}}, ("stale.unpack", "not allowed")),
    "flag of the chart": ({"aggregator": {"flags": {"shard": "0/2"}}}, ("shard", "not allowed")),
    "unknown alert": ({"rules": {"alerts": {"PulltraceNo": {"for": "1m"}}}}, ("PulltraceNo", "not allowed")),
    "change of an alert": ({"rules": {"alerts": {"PulltracePullStalled": {"expr": "1"}}}}, ("expr", "not allowed")),
    "password instead of its hash": ({"basicAuth": {**LOGIN, "users": {"me": "secret"}}}, ("users", "pattern")),
    "namespace": ({"aggregator": {"namespaces": ["A"]}}, ("namespaces", "pattern")),
    "namespace twice": ({"aggregator": {"namespaces": ["a", "b", "a"]}}, ("namespaces", "0", "2", "items")),
    "dotted namespace": ({"namespaceOverride": "a.b"}, ("namespaceOverride", "pattern")),
    "dotted name": ({"nameOverride": "a.b"}, ("nameOverride", "pattern")),
    "name that begins with a digit": ({"fullnameOverride": "1st"}, ("fullnameOverride", "pattern")),
    "namespace of dashboards": ({"dashboards": {"namespace": "a.b"}}, ("namespace", "pattern")),
    "name of an account": ({"exporter": {"serviceAccount": {"name": "a..b"}}}, ("name", "pattern")),
    "value of a label": ({"commonLabels": {"a": "b c"}}, ("commonLabels", "pattern")),
    "name of an alert's label": ({"rules": {"alertLabels": {"a.b": "c"}}}, ("alertLabels", "a.b", "not allowed")),
    "severity": ({"rules": {"alerts": {"PulltracePullStalled": {"severity": "P 2"}}}}, ("severity", "pattern")),
    "no ports": ({"networkPolicy": {"apiServer": {"ports": []}}}, ("ports", "1")),
    "ports taken away": (
        {"networkPolicy": {"apiServer": {"ports": None}}},
        ("networkPolicy.apiServer.ports is empty: a rule without ports would let the aggregator reach everything",),
    ),
    "too many addresses": ({"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.0/33"]}}}, ("cidrs", "pattern")),
    "percentage": ({"aggregator": {"podDisruptionBudget": {"maxUnavailable": "101%"}}}, ("maxUnavailable", "pattern")),
    "probe": ({"exporter": {"livenessProbe": {"successThreshold": 2}}}, ("successThreshold", "1")),
    "image": ({"exporter": {"image": {"repository": "a b"}}}, ("repository", "pattern")),
    "registry that ends with a slash": ({"global": {"imageRegistry": "m.example/hub/"}}, ("imageRegistry", "pattern")),
    "empty part of an image": ({"exporter": {"image": {"repository": "team//exporter"}}}, ("repository", "pattern")),
    "no interval": ({"monitors": {"exporter": {"interval": "0s"}}}, ("interval", "pattern")),
    "units in another order": ({"monitors": {"aggregator": {"interval": "1s1m"}}}, ("interval", "pattern")),
    "timeout": (
        {"monitors": {"aggregator": {"interval": "1m", "scrapeTimeout": "61s"}}},
        ("monitors.aggregator.scrapeTimeout=61s is longer than its interval, 1m: Prometheus refuses that",),
    ),
    "days for cert-manager": ({"tls": {"certManager": {"duration": "90d"}}}, ("duration", "pattern")),
    "days for Grafana's operator": ({"dashboards": {"operator": {"resyncPeriod": "1d"}}}, ("resyncPeriod", "pattern")),
    "renewed before it is made": (
        {"tls": {"certManager": {"duration": "100h", "renewBefore": "100h"}}},
        ("tls.certManager.duration=100h and renewBefore=100h",),
    ),
    "short certificate": (
        {"tls": {"certManager": {"duration": "59m", "renewBefore": "5m"}}},
        ("tls.certManager.duration=59m and renewBefore=5m: cert-manager wants",),
    ),
    "issuer without a name": (
        {"tls": {"certManager": {"issuerRef": {"kind": "ClusterIssuer"}}}},
        ("tls.certManager.issuerRef has no name",),
    ),
    "authority that the other release does not know": (
        {"tls": {"enabled": True}, "aggregator": {"exporterService": "nodes/other-exporter"}},
        ("tls.enabled with aggregator.exporterService needs tls.certManager.issuerRef or tls.existingSecret",),
    ),
    "service": ({"aggregator": {"exporterService": "name"}}, ("exporterService", "pattern")),
    "extra manifest": ({"extraManifests": [1]}, ("extraManifests", "object")),
    "no secret to log in with": (
        {"basicAuth": {"enabled": True, "users": {"me": HASH}}},
        ("basicAuth.enabled needs basicAuth.existingSecret",),
    ),
    "nobody let in": ({"basicAuth": LOGIN}, ("basicAuth.enabled needs basicAuth.users",)),
    "let in twice": (
        {"basicAuth": {**LOGIN, "users": {"me": HASH}, "webConfigSecret": "web"}},
        ("only one of them can be used",),
    ),
    "field of a monitor that is the chart's": (
        {"monitors": {"aggregator": {"spec": {"sampleLimit": 1}}}},
        ("monitors.aggregator.spec.sampleLimit is set by the chart",),
    ),
    "field of an endpoint that is the chart's": (
        {**KPS, "monitors": {"exporter": {"endpoint": {"port": "other"}}}},
        ("monitors.exporter.endpoint.port is set by the chart",),
    ),
    "users that are not asked for": (
        {"basicAuth": {"users": {"me": HASH}}},
        ("basicAuth.users or basicAuth.webConfigSecret is given, but basicAuth.enabled is false",),
    ),
    "web configuration that is not read": (
        {"basicAuth": {"webConfigSecret": "web"}},
        ("basicAuth.users or basicAuth.webConfigSecret is given, but basicAuth.enabled is false",),
    ),
    "certificate that is not shown": (
        {"tls": {"existingSecret": "given"}},
        ("tls.existingSecret is given, but tls.enabled is false",),
    ),
    "folder that the sidecar is not told": (
        {"dashboards": {"folder": "Images", "folderAnnotation": ""}},
        ("dashboards.folder needs dashboards.folderAnnotation",),
    ),
    "one account for both": (
        {program: {"serviceAccount": {"name": "one"}} for program in ("exporter", "aggregator")},
        ("exporter.serviceAccount.name and aggregator.serviceAccount.name are both one",),
    ),
    "the other's account by its default name": (
        {"aggregator": {"serviceAccount": {"name": "pulltrace-exporter"}}},
        ("exporter.serviceAccount.name and aggregator.serviceAccount.name are both pulltrace-exporter",),
    ),
    "client certificates without TLS": (
        {"tls": {"clientCertificates": True}},
        ("tls.clientCertificates needs tls.enabled",),
    ),
    "first step to TLS without TLS": ({"tls": {"serve": False}}, ("tls.serve=false needs tls.enabled",)),
    "intents that are off": (
        {"exporter": {"kubeletIntents": {"directory": "/data/kubelet/image_manager/pulling"}}},
        ("exporter.kubeletIntents.enabled is false",),
    ),
}
WRONG |= {
    f"{program} --{name}={value}": ({program: {"flags": {name: value}}}, (program, name))
    for program, name, value in (
        ("exporter", "pull.linger", "5 minutes"),
        ("exporter", "poll.interval", "0s"),
        ("exporter", "log.level", "verbose"),
        ("exporter", "log.format", "text"),
        ("exporter", "layer.min-size", "1 MiB"),
        ("exporter", "containerd.namespace", "k8s..io"),
        ("exporter", "limit.pulls", 0),
        ("aggregator", "exporter.timeout", "0"),
        ("aggregator", "pod.linger", ""),
    )
}
PATHS = {
    "containerd.socket": ("run/c.sock", "//c.sock", "/./c.sock", "/../c.sock", "/run/../c.sock", "/run//c.sock"),
    "soci.directory": ("", "unpack", "/a/../unpack"),
    "kubeletIntents.directory": ("/", "//", "/.", "/..", "/a/../image_manager/pulling", "/a #/image_manager/pulling"),
}
FOLDERS = {
    "containerd.socket": {"/c.sock": "whole file system"},
    "soci.directory": dict.fromkeys(("/unpack", "/var/lib/soci-snapshotter-grpc"), "no other folder of it is mounted"),
    "kubeletIntents.directory": dict.fromkeys(
        ("/etc", "/var/lib/kubelet", "/var/lib/kubelet/pods/image_manager", "/image_manager/pulling/x"),
        "no other folder of it is mounted",
    ),
}


def exporter(name: str, value: str) -> dict[str, Any]:
    group, key = name.split(".")
    switch = {"enabled": True} if group == "kubeletIntents" else {}
    return {"exporter": {group: {**switch, key: value}}}


@both_helms
@pytest.mark.parametrize(("values", "words"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_refused_by_name(helm: Renderer, values: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as refused:
        helm(values)
    text = str(refused.value)
    assert all(word in text for word in words), text
    assert "oneOf" not in text
    assert "anyOf" not in text


@pytest.mark.unit
@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in PATHS.items() for path in paths])
def test_paths_that_lead_elsewhere_are_refused(name: str, path: str) -> None:
    with pytest.raises(Refused, match="pattern"):
        new_helm(exporter(name, path))


@both_helms
@pytest.mark.parametrize(
    ("name", "path", "words"), [(name, path, words) for name, each in FOLDERS.items() for path, words in each.items()]
)
def test_no_folder_is_mounted_but_those_of_the_socket_of_the_intents_and_of_downloads(
    helm: Renderer, name: str, path: str, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        helm(exporter(name, path))
    assert f"exporter.{name}={path}: " in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.unit
@pytest.mark.parametrize("release", ["my.release", "1st"])
def test_a_release_whose_name_is_none_of_a_service_is_told_what_to_do(release: str) -> None:
    with pytest.raises(HelmError, match=r"cannot begin the name of a Service .*: give fullnameOverride"):
        render(CHART, {}, name=release)
    assert render(CHART, {"fullnameOverride": "pulls"}, name=release)


@pytest.mark.unit
@pytest.mark.parametrize(
    "values",
    [
        {"rules": {"alerts": {"PulltracePullStalled": {"severity": severity, "for": "1d12h", "keepFiringFor": "0s"}}}}
        for severity in ("sev1", "P2", "page-me")
    ]
    + [{"monitors": {"exporter": {"interval": "1m", "scrapeTimeout": timeout}}} for timeout in ("60s", "1m", "500ms")]
    + [{"tls": {"certManager": {"duration": "1h", "renewBefore": "5m"}}}]
    + [{"global": {"imageRegistry": registry}} for registry in ("m.example", "[::1]:5000", "m.example:5000/hub/mirror")]
    + [{"exporter": {"image": {"repository": repository}}} for repository in ("own", "a/b/c_d", "m.example:5000/a")],
    ids=str,
)
def test_right_values_are_taken(values: dict[str, Any]) -> None:
    assert new_helm(values)


@pytest.mark.unit
def test_a_chart_that_this_one_is_a_part_of_may_set_global_values_and_its_switch() -> None:
    assert new_helm({"global": {"theirs": True, "imageRegistry": "m.example"}, "enabled": True})
