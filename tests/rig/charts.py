"""The chart as users render it: with the newest Helm, in this process, and with the oldest one that is supported."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from helm_python import HelmError

from pulltrace_chart import rendering
from pulltrace_chart.places import CHART
from pulltrace_chart.rendering import Object
from rig import needs, npm
from rig.kubernetes.api import Rule
from rig.pages import Page

NAMESPACE: Final = "monitoring"
RELEASE: Final = "pulltrace"
README: Final = Page.at(CHART / "README.md")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Renderer = Callable[[Mapping[str, Any]], tuple[Object, ...]]
FOREIGN: Final = {
    "Certificate": "cert-manager.io/v1",
    "Issuer": "cert-manager.io/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "GrafanaDashboard": "grafana.integreatly.org/v1beta1",
    "VerticalPodAutoscaler": "autoscaling.k8s.io/v1",
}
"""Kinds that Kubernetes itself does not know."""


class Refused(Exception):
    """Helm refuses the values; the text is what a user reads."""


def new_helm(values: Mapping[str, Any]) -> tuple[Object, ...]:
    return _new(json.dumps(values))


def old_helm(values: Mapping[str, Any]) -> tuple[Object, ...]:
    return _old(json.dumps(values))


both_helms = pytest.mark.parametrize(
    "helm",
    [
        pytest.param(old_helm, id="helm-3.10", marks=pytest.mark.integration),
        pytest.param(new_helm, id="helm-4", marks=pytest.mark.unit),
    ],
)


def release(values: Mapping[str, Any], namespace: str, name: str = RELEASE) -> tuple[Object, ...]:
    """The objects of a release in a namespace, as Helm 4 renders them."""
    rendered = rendering.render(CHART, dict(values), name=name, namespace=namespace)
    return objects(text for path, text in rendered.items() if path.endswith(".yaml"))


def notes(values: Mapping[str, Any]) -> str:
    """What the user reads after an installation."""
    return _texts(json.dumps(values))["templates/NOTES.txt"]


def one(found: Iterable[Object], kind: str, name: str = "") -> Object:
    """The only object of this kind, and with a name the only one whose name ends so."""
    (item,) = (each for each in of_kind(found, kind) if each["metadata"]["name"].endswith(name))
    return item


def of_kind(found: Iterable[Object], *kinds: str) -> list[Object]:
    return [each for each in found if each["kind"] in kinds]


def pod_specs(found: Iterable[Object]) -> dict[str, Object]:
    """The specification of each pod that the objects make, by the name of what makes it."""
    made = {each["metadata"]["name"]: each["spec"] for each in of_kind(found, "DaemonSet", "Deployment", "StatefulSet")}
    pods = {each["metadata"]["name"]: each["spec"] for each in of_kind(found, "Pod")}
    return {name: spec["template"]["spec"] for name, spec in made.items()} | pods


def rights(found: Iterable[Object]) -> list[Rule]:
    """One for each right that the roles give; those of the chart's test are left out."""
    return [
        Rule((verb,), resource, group, role["metadata"].get("namespace"), tuple(rule.get("resourceNames", ())))
        for role in of_kind(found, "Role", "ClusterRole")
        if not role["metadata"]["name"].endswith("-test")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def endpoint(monitor: Object) -> Object:
    """The only endpoint of a PodMonitor or ServiceMonitor."""
    (found,) = monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]
    only: Object = found
    return only


@cache
def _new(values: str) -> tuple[Object, ...]:
    return objects(text for path, text in _texts(values).items() if path.endswith(".yaml"))


@cache
def _texts(values: str) -> dict[str, str]:
    try:
        return rendering.render(CHART, json.loads(values), name=RELEASE, namespace=NAMESPACE)
    except HelmError as error:
        raise Refused(str(error)) from error


@cache
def _old(values: str) -> tuple[Object, ...]:
    helm = needs.npm_file(npm.HELM)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "values.yaml").write_text(values)
        homes = {f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        options = [f"--namespace={NAMESPACE}", f"--values={folder / 'values.yaml'}", "--kube-version=1.34.0"]
        command: list[str | Path] = [helm, "template", RELEASE, CHART, *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=homes)
    if result.returncode:
        raise Refused(result.stderr)
    return objects([result.stdout])


def objects(texts: Iterable[str]) -> tuple[Object, ...]:
    """The objects of these templates, in one order whoever rendered them."""
    found = [each for text in texts for each in yaml.load_all(text, _LOADER) if each]
    return tuple(sorted(found, key=_place))


def _place(item: Object) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]
