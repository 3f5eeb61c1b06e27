"""Every variant of the chart, by the oldest and the newest Helm, against the oldest and the newest Kubernetes."""

import json
from collections.abc import Iterator
from functools import cache

import kubernetes_validate
import pytest
from helm_python import lint

from pulltrace_chart import valuesfile
from pulltrace_chart.places import CHART
from rig.chart_values import NOTHING, VARIANTS, Values, each_variant
from rig.charts import FOREIGN, NAMESPACE, Renderer, both_helms, new_helm, of_kind, old_helm, one, pod_specs, release

KUBERNETES = ("1.34", "1.37")
RENAMED = ("renamed", "numbers-for-names")
WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")


@cache
def check(text: str, version: str) -> None:
    kubernetes_validate.validate(json.loads(text), version, strict=True)


NAMES = {
    "name",
    "namespace",
    "secretName",
    "serviceAccountName",
    "serviceName",
    "priorityClassName",
    "runtimeClassName",
}


def wrong_names(value: object, path: str = "") -> Iterator[str]:
    """Where a name, a label or a namespace is not text."""
    if isinstance(value, dict):
        for key, each in value.items():
            in_labels = path.endswith(("matchLabels", "labels"))
            if (key in NAMES or in_labels) and not isinstance(each, (str, dict)):
                yield f"{path}.{key}: {each!r}"
            yield from wrong_names(each, f"{path}.{key}")
    if isinstance(value, list):
        for each in value:
            if path.endswith("matchNames") and not isinstance(each, str):
                yield f"{path}: {each!r}"
            yield from wrong_names(each, path)


@both_helms
@each_variant
def test_names_are_texts_whatever_they_look_like(helm: Renderer, values: Values) -> None:
    assert not [wrong for item in helm(values) for wrong in wrong_names(item, item["kind"])]


@both_helms
@each_variant
def test_kubernetes_knows_every_field(helm: Renderer, values: Values) -> None:
    for item in helm(values):
        if item["kind"] in FOREIGN:
            assert item["apiVersion"] == FOREIGN[item["kind"]]
            continue
        for version in KUBERNETES:
            check(json.dumps(item), version)


@pytest.mark.integration
@each_variant
def test_both_helms_render_the_same(values: Values) -> None:
    assert old_helm(values) == new_helm(values)


def emptied(values: Values, path: tuple[str, ...]) -> Values:
    """The values with a key below which nothing stands, as when all of it is commented out."""
    key, *rest = path
    return {**values, key: emptied(values.get(key, {}), tuple(rest)) if rest else None}


COLLECTIONS = [
    value.path
    for value in valuesfile.values((CHART / "values.yaml").read_text())
    if isinstance(value.default, (dict, list))
    and value.name not in ("networkPolicy.apiServer.ports", "basicAuth.users")
]


@pytest.mark.unit
@pytest.mark.parametrize("path", COLLECTIONS, ids=".".join)
@pytest.mark.parametrize("variant", ["default", "everything-on", "tls"])
def test_a_list_or_mapping_may_be_left_empty(variant: str, path: tuple[str, ...]) -> None:
    assert new_helm(emptied(VARIANTS[variant], path))


@pytest.mark.unit
def test_nothing_is_left_when_everything_is_off() -> None:
    assert new_helm(NOTHING) == ()


@pytest.mark.unit
def test_with_everything_on_every_kind_is_there() -> None:
    elsewhere = {"GrafanaDashboard", "Issuer", "Deployment"}
    kinds = {item["kind"] for item in new_helm(VARIANTS["everything-on"])} | elsewhere
    assert kinds >= {*FOREIGN, *WORKLOADS, "Pod", "NetworkPolicy", "PodDisruptionBudget", "Role", "Service", "Secret"}


@pytest.mark.unit
@each_variant
def test_no_object_is_there_twice_and_each_has_its_namespace(values: Values) -> None:
    found = new_helm(values)
    places = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found]
    assert len(set(places)) == len(places)
    ours = [item for item in found if "app.kubernetes.io/part-of" in item["metadata"].get("labels", {})]
    assert all(item["metadata"].get("namespace") for item in ours if not item["kind"].startswith("ClusterRole"))


@pytest.mark.unit
@each_variant
def test_names_fit_whatever_kubernetes_makes_of_them(values: Values) -> None:
    for item in of_kind(new_helm(values), *WORKLOADS):
        assert len(item["metadata"]["name"]) <= 52  # a StatefulSet's pods have a label of it and ten characters
    for item in of_kind(new_helm(values), "Service"):
        assert len(item["metadata"]["name"]) <= 63


def names_of(name: str, namespace: str = "a", **values: object) -> set[tuple[str, str, str]]:
    """Every object of a release that has its own place in the cluster: kind, namespace, name."""
    found = release(values, namespace, name)
    return {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in found}


@pytest.mark.unit
@pytest.mark.parametrize("length", [41, 53])
def test_releases_whose_long_names_begin_alike_have_objects_of_their_own(length: int) -> None:
    begin = "x" * (length - 1)
    first, second = names_of(f"{begin}1"), names_of(f"{begin}2")
    assert first
    assert not first & second
    assert first == names_of(f"{begin}1")


@pytest.mark.unit
def test_a_name_that_fits_is_left_as_it_is() -> None:
    whole = "x" * 30 + "-pulltrace"
    assert ("DaemonSet", "a", f"{whole}-exporter") in names_of("x" * 30)
    assert ("DaemonSet", "a", f"{whole}x-exporter") not in names_of("x" * 31)


@pytest.mark.unit
def test_releases_in_several_namespaces_share_no_role() -> None:
    releases = [("a-pulltrace", "team"), ("pulltrace", "team-a"), ("pulltrace", "team")]
    made = [names_of(name, namespace, **VARIANTS["aggregator-only"]) for name, namespace in releases]
    roles = [place for names in made for place in names if "Role" in place[0]]
    # Of each release four for the aggregator, and two for the test.
    assert len(set(roles)) == len(roles) == 3 * (4 + 2)


@pytest.mark.unit
def test_selectors_are_the_same_in_all_variants() -> None:
    found: dict[str, set[str]] = {}
    for name, values in VARIANTS.items():
        for item in of_kind(new_helm(values), *WORKLOADS) if name not in RENAMED else ():
            selector = item["spec"]["selector"]["matchLabels"]
            assert selector.items() <= item["spec"]["template"]["metadata"]["labels"].items()
            found.setdefault(item["metadata"]["name"], set()).add(json.dumps(selector, sort_keys=True))
    assert set(found) == {"pulltrace-exporter", "pulltrace-aggregator"}
    assert all(len(selectors) == 1 for selectors in found.values())


@pytest.mark.unit
@each_variant
def test_services_can_be_upgraded_to_any_other_variant(values: Values) -> None:
    # What a Service cannot change: whether it has an address.
    for service in of_kind(new_helm(values), "Service"):
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert [port["name"] for port in service["spec"]["ports"]] == ["metrics"]


@pytest.mark.unit
def test_what_points_at_another_object_finds_it() -> None:
    for values in VARIANTS.values():
        found = new_helm(values)
        for binding in of_kind(found, "RoleBinding", "ClusterRoleBinding"):
            ref, where = binding["roleRef"], binding["metadata"].get("namespace")
            roles = [each for each in of_kind(found, ref["kind"]) if each["metadata"].get("namespace") == where]
            (rules,) = (each["rules"] for each in roles if each["metadata"]["name"] == ref["name"])
            assert rules
        for workload in of_kind(found, "StatefulSet"):
            assert one(found, "Service", "aggregator")["metadata"]["name"] == workload["spec"]["serviceName"]


@pytest.mark.unit
def test_one_aggregator_is_recreated_and_several_know_their_number() -> None:
    deployment = one(new_helm({}), "Deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["replicas"] == 1
    sharded = one(new_helm({"aggregator": {"shards": 3}}), "StatefulSet")
    (container,) = sharded["spec"]["template"]["spec"]["containers"]
    assert sharded["spec"]["replicas"] == 3
    assert "--shard=$(POD_NAME)/3" in container["args"]
    assert container["env"] == [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


@pytest.mark.unit
def test_images_are_named_as_users_of_charts_expect() -> None:
    def image(mirror: str = "", **given: str) -> str:
        found = new_helm({"global": {"imageRegistry": mirror}, "exporter": {"image": {"tag": "1", **given}}})
        name: str = pod_specs(found)["pulltrace-exporter"]["containers"][0]["image"]
        return name

    digest = "sha256:" + "0" * 64
    assert image() == "ghcr.io/pulltrace/pulltrace-exporter:1"
    assert image(digest=digest) == f"ghcr.io/pulltrace/pulltrace-exporter@{digest}"
    assert image("m.example") == "m.example/pulltrace/pulltrace-exporter:1"
    assert image(registry="", repository="own") == "own:1"


@pytest.mark.unit
def test_common_labels_and_pull_secrets_reach_every_object_and_pod() -> None:
    found = new_helm(VARIANTS["everything-on"])
    extra = [one(found, "ConfigMap", name) for name in ("pulltrace-more", "pulltrace-text")]
    for item in (each for each in found if each not in extra):
        assert item["metadata"]["labels"]["cost"] == "shared", item["metadata"]
        assert item["metadata"]["annotations"]["owner"] == "platform", item["metadata"]
    for item in of_kind(found, *WORKLOADS):
        template = item["spec"]["template"]
        assert template["metadata"]["labels"]["cost"] == "shared"
        assert template["metadata"]["labels"]["team"] == "platform"
        assert template["spec"]["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}, {"name": "three"}]
    assert NAMESPACE in {item["metadata"].get("namespace") for item in found}


@pytest.mark.unit
def test_helm_finds_nothing_to_complain_of() -> None:
    found = lint(CHART, {}, strict=True)
    assert not found["errors"]
    assert found["messages"] == []
