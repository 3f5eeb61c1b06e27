"""What a person can choose at the top of a dashboard."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from pulltrace_dashboards.panels import SOURCE
from pulltrace_dashboards.promql import CLUSTER

ALL: Final = "$__all"
EVERYTHING: Final = ".*"
"""What All stands for. Unlike a list of all values it also takes what lacks the label."""


def datasource() -> VariableModel:
    """The Prometheus, or what speaks like one, that all queries go to."""
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus").build()


def cluster() -> VariableModel:
    """The cluster, hidden until somebody has several behind one data source and shows it."""
    chosen = _choice("cluster", "Cluster", "label_values(pulltrace_containerd_up, cluster)")
    return _with_all(chosen, multi=False).hide(VariableHide.HIDE_VARIABLE).build()


def namespaces() -> VariableModel:
    """Namespaces of pods that wait."""
    return _with_all(
        _choice("namespace", "Namespace", _values("pulltrace_pod_pull_info", CLUSTER, "namespace"))
    ).build()


def nodes() -> VariableModel:
    """Nodes that have an exporter."""
    return _with_all(_choice("node", "Node", _values("pulltrace_containerd_up", CLUSTER, "node"))).build()


def registries() -> VariableModel:
    """Registries that anything was pulled from."""
    return _with_all(_choice("registry", "Registry", _values("pulltrace_pulls_total", CLUSTER, "registry"))).build()


def images() -> VariableModel:
    """Repositories: an image whatever its tag."""
    where = f'{CLUSTER}, registry=~"$registry"'
    return _with_all(_choice("image", "Image", _values("pulltrace_pull_info", where, "repository"))).build()


def jobs() -> VariableModel:
    """The scrape jobs of Pulltrace's programs. Nobody chooses one: it keeps other programs out of the queries."""
    either = f'__name__=~"pulltrace_(exporter|aggregator)_build_info", {CLUSTER}'
    asked = _values("", either, "job")
    everything = VariableOption(selected=True, text=["All"], value=[ALL])
    chosen = _choice("job", "Job", asked).multi(True).include_all(True).current(everything)
    return chosen.hide(VariableHide.HIDE_VARIABLE).build()


def one_namespace() -> VariableModel:
    """The namespace of a pod."""
    return _choice("namespace", "Namespace", _values("pulltrace_pod_pull_info", CLUSTER, "namespace")).build()


def one_pod() -> VariableModel:
    """A pod that waits for an image, or did in the chosen time."""
    where = f'{CLUSTER}, namespace="$namespace"'
    return _choice("pod", "Pod", _values("pulltrace_pod_pull_info", where, "pod")).build()


def one_node() -> VariableModel:
    """A node that has an exporter."""
    return _choice("node", "Node", _values("pulltrace_containerd_up", CLUSTER, "node")).build()


def _values(metric: str, where: str, label: str) -> str:
    return f"label_values({metric}{{{where}}}, {label})"


def _choice(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _with_all(variable: build.QueryVariable, *, multi: bool = True) -> build.QueryVariable:
    chosen = VariableOption(selected=True, text=["All"] if multi else "All", value=[ALL] if multi else ALL)
    return variable.multi(multi).include_all(True).all_value(EVERYTHING).current(chosen)
