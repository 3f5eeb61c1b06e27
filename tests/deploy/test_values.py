"""Wrong values are refused before anything is installed, in words that name them."""

from typing import Any

import pytest

from rig.charts import HELMS, Refused, Renderer, new_helm, notes
from rig.variants import HASH, KPS, TLS, VARIANTS

both_helms = pytest.mark.parametrize(
    "helm",
    [
        pytest.param(HELMS["helm-3.10"], id="helm-3.10", marks=pytest.mark.integration),
        pytest.param(HELMS["helm-4"], id="helm-4", marks=pytest.mark.unit),
    ],
)
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
    "value of a flag": ({"exporter": {"flags": {"pull.linger": "5 minutes"}}}, ("pull.linger", "pattern")),
    "unknown alert": ({"rules": {"alerts": {"PulltraceNo": {"for": "1m"}}}}, ("PulltraceNo", "not allowed")),
    "change of an alert": ({"rules": {"alerts": {"PulltracePullStalled": {"expr": "1"}}}}, ("expr", "not allowed")),
    "password instead of its hash": ({"basicAuth": {**LOGIN, "users": {"me": "secret"}}}, ("users", "pattern")),
    "namespace": ({"aggregator": {"namespaces": ["A"]}}, ("namespaces", "pattern")),
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
    "client certificates without TLS": (
        {"tls": {"clientCertificates": True}},
        ("tls.clientCertificates needs tls.enabled",),
    ),
    "intents that are off": (
        {"exporter": {"kubeletIntents": {"directory": "/data/kubelet/image_manager/pulling"}}},
        ("exporter.kubeletIntents.enabled is false",),
    ),
}
PATHS = {
    "containerd.socket": ("run/c.sock", "//c.sock", "/./c.sock", "/../c.sock", "/run/../c.sock", "/run//c.sock"),
    "kubeletIntents.directory": ("/", "//", "/.", "/..", "/a/../image_manager/pulling", "/a #/image_manager/pulling"),
}
FOLDERS = {
    "containerd.socket": {"/c.sock": "whole file system"},
    "kubeletIntents.directory": dict.fromkeys(
        ("/etc", "/var/lib/kubelet", "/var/lib/kubelet/pods/image_manager", "/image_manager/pulling/x"),
        "no other folder of it is mounted",
    ),
}


@both_helms
@pytest.mark.parametrize(("values", "words"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_refused_by_name(helm: Renderer, values: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as refused:
        helm(values)
    text = str(refused.value)
    assert all(word in text for word in words), text
    assert "oneOf" not in text
    assert "anyOf" not in text


def exporter(name: str, value: str) -> dict[str, Any]:
    group, key = name.split(".")
    switch = {"enabled": True} if group == "kubeletIntents" else {}
    return {"exporter": {group: {**switch, key: value}}}


@pytest.mark.unit
@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in PATHS.items() for path in paths])
def test_paths_that_lead_elsewhere_are_refused(name: str, path: str) -> None:
    with pytest.raises(Refused, match="pattern"):
        new_helm(exporter(name, path))


@both_helms
@pytest.mark.parametrize(
    ("name", "path", "words"), [(name, path, words) for name, each in FOLDERS.items() for path, words in each.items()]
)
def test_no_folder_is_mounted_but_that_of_the_socket_and_that_of_the_intents(
    helm: Renderer, name: str, path: str, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        helm(exporter(name, path))
    assert f"exporter.{name}={path}: " in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.unit
def test_a_chart_that_this_one_is_a_part_of_may_set_global_values_and_its_switch() -> None:
    assert new_helm({"global": {"theirs": True, "imageRegistry": "m.example"}, "enabled": True})


@pytest.mark.unit
def test_notes_name_what_to_run_next() -> None:
    text = notes({})
    assert "kubectl --namespace monitoring rollout status daemonset/pulltrace-exporter" in text
    assert "rollout status deployment/pulltrace-aggregator" in text
    assert "helm --namespace monitoring test pulltrace" in text
    assert "NOTHING SCRAPES PULLTRACE YET" in text
    assert "--set kubePrometheusStack.release=<name>" in text
    assert "without encryption" in text


@pytest.mark.unit
def test_notes_follow_the_values() -> None:
    assert "statefulset/pulltrace-aggregator" in notes(VARIANTS["sharded"])
    assert "NOTHING SCRAPES" not in notes(KPS)
    assert "release=kps" in notes(KPS)
    assert "without encryption" not in notes(TLS)
    assert "https://localhost:10302/" in notes(TLS)
