"""What is generated of the chart is fresh, and says what its sources say."""

import json

import pytest

from pulltrace_chart import generated, schema, valuesfile
from pulltrace_chart.manifests import NAMESPACE
from pulltrace_chart.places import CHART, MANIFESTS
from pulltrace_chart.rendering import objects, render

pytestmark = pytest.mark.unit


def test_generated_files_are_fresh() -> None:
    wanted = {path: text for step in generated.STEPS for path, text in step().items()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    left = [path for path in generated.present() if path not in wanted]
    assert not stale + left, "run `make chart`"


def test_every_value_is_described_and_has_its_place_in_the_schema() -> None:
    described = {value.path for value in valuesfile.values((CHART / "values.yaml").read_text())}
    places = set(schema.places(json.loads((CHART / "values.schema.json").read_text())))
    assert described <= places
    inside = {path for path in places if any(path[: len(each)] == each for each in described)}
    groups = {path for path in places if any(each[: len(path)] == path for each in described)}
    assert places == inside | groups, "values.schema.json knows values that values.yaml does not"


def test_a_value_without_a_comment_is_no_value() -> None:
    with pytest.raises(valuesfile.UndescribedValue, match=r"a\.b: no comment"):
        valuesfile.values("a:\n  # only a remark\n  b: 1\n")


def test_comments_of_several_lines_are_one_description() -> None:
    (value,) = valuesfile.values("# -- One\n# two.\na: {b: [1]}\n")
    assert (value.name, value.default, value.description) == ("a", {"b": [1]}, "One two.")


def test_the_manifests_are_what_the_chart_renders_by_default() -> None:
    switches = {name: {"enabled": True} for name in ("monitors", "rules", "dashboards")}
    rendered = render(CHART, {**switches, "tests": {"enabled": False}}, namespace=NAMESPACE)
    expected = sorted(
        (item["kind"], item["metadata"]["name"])
        for path, text in rendered.items()
        if path.endswith(".yaml")
        for item in objects(text)
    )
    found = [item for path in MANIFESTS.rglob("*.yaml") for item in objects(path.read_text())]
    plain = [item for item in found if item["kind"] not in ("Namespace", "Kustomization")]
    assert sorted((item["kind"], item["metadata"]["name"]) for item in plain) == expected
    text = "".join(path.read_text().lower() for path in MANIFESTS.glob("*-*.yaml"))
    assert "helm" not in text.replace("deploy/helm", "")


def test_kustomizations_name_every_file() -> None:
    for folder in (MANIFESTS, MANIFESTS / "monitoring"):
        (kustomization,) = objects((folder / "kustomization.yaml").read_text())
        assert {*kustomization["resources"], "kustomization.yaml"} == {path.name for path in folder.glob("*.yaml")}


def test_the_namespace_of_the_manifests_lets_the_exporter_in() -> None:
    (namespace,) = objects((MANIFESTS / "namespace.yaml").read_text())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
