"""values.schema.json: every value with its type; whatever is not there is refused by name.

One type for each place and no alternatives of objects, for Helm's messages say "must validate one and only one schema"
about these. What depends on two values at once is refused by the templates.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pulltrace.cli.flags import Flag
from pulltrace_aggregator import config as aggregator
from pulltrace_alerts.settings import chart_values
from pulltrace_chart import flagtypes, shapes
from pulltrace_chart.shapes import (
    ANYTHING,
    ANYTHING_LISTED,
    BOOLEAN,
    SWITCH,
    Schema,
    listed,
    number,
    obj,
    one_of,
    text,
    texts,
)
from pulltrace_chart.valuesfile import Value
from pulltrace_exporter import config as exporter

_PATH_OR_EMPTY: Final = r"^(/\.{0,2}[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)*$"
"""A path from the root, without `//`, `.` and `..`, so that the path that is written is the one that is mounted."""
_PATH: Final = _PATH_OR_EMPTY.replace("*$", "+$")
_REGISTRY: Final = r"^([A-Za-z0-9.\[\]:-]+(/[a-z0-9._-]+)*)?$"
_REPOSITORY: Final = r"^[A-Za-z0-9][A-Za-z0-9.:_-]*(/[A-Za-z0-9.:_-]+)*$"
_SERVICE_OR_EMPTY: Final = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$"
_BCRYPT: Final = r"^\$2[abxy]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$"

_COMMON: Final = ("web.listen-address", "web.telemetry-path", "web.config.file")
SET_BY_CHART: Final = {
    "exporter": {
        *_COMMON,
        "containerd.address",
        "containerd.allow-directory",
        "kubelet.intents-directory",
        "soci.directory",
        "node.name",
    },
    "aggregator": {
        *_COMMON,
        "kubeconfig",
        "kubernetes.context",
        "kubernetes.namespaces",
        "exporter.service",
        "exporter.target",
        "exporter.http-config.file",
        "shard",
    },
}
"""Flags that are values of their own, or that would make what the chart renders untrue."""


def schema(values: Iterable[Value], alerts: Iterable[str]) -> Schema:
    """The schema with the descriptions of these values; `alerts` are the names that can be changed."""
    root = _root(alerts)
    for value in values:
        _place(root, value.path)["description"] = value.description
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the Pulltrace chart", **root}


def _place(root: Schema, path: tuple[str, ...]) -> Schema:
    for key in path:
        root = root["properties"][key]
    return root


def _root(alerts: Iterable[str]) -> Schema:
    return obj(
        enabled=BOOLEAN,
        runtime=one_of("containerd", "k3s", "rke2", "k0s", "microk8s"),
        # It is the value of a label.
        kubePrometheusStack=obj(release={**shapes.subdomain(), "maxLength": 63}),
        # Parent charts keep values of their own there.
        **{"global": {**obj(imageRegistry=text(_REGISTRY), imagePullSecrets=listed(_pull_secret())), **_OPEN}},
        imagePullSecrets=listed(_pull_secret()),
        nameOverride=shapes.label(),
        fullnameOverride=shapes.service_label(),
        namespaceOverride=shapes.label(),
        commonLabels=shapes.labels(),
        commonAnnotations=texts(),
        exporter=_exporter(),
        aggregator=_aggregator(),
        rbac=obj(create=BOOLEAN, viewer=obj(create=BOOLEAN, aggregateToView=BOOLEAN, exporters=BOOLEAN)),
        networkPolicy=_network_policy(),
        monitors=obj(
            enabled=SWITCH,
            namespace=shapes.label(),
            labels=shapes.labels(),
            annotations=texts(),
            exporter=_scrape(),
            aggregator=_scrape(),
        ),
        scrapeAnnotations=BOOLEAN,
        rules=_rules(alerts),
        dashboards=_dashboards(),
        tls=_tls(),
        basicAuth=_basic_auth(),
        tests=obj(enabled=BOOLEAN),
        extraManifests=listed({"type": ["object", "string"]}),
    )


def _exporter() -> Schema:
    containerd = obj(socket=text(_PATH_OR_EMPTY), recursiveReadOnly=one_of("", "IfPossible", "Enabled"))
    return obj(
        **_program("exporter", exporter.FLAGS.flags),
        containerd=containerd,
        kubeletIntents=obj(enabled=BOOLEAN, directory=text(_PATH_OR_EMPTY)),
        soci=obj(enabled=BOOLEAN, directory=text(_PATH)),
        minReadySeconds=number(0),
    )


def _aggregator() -> Schema:
    budget = obj(
        enabled=SWITCH, maxUnavailable={"type": ["integer", "string"], "minimum": 0, "pattern": r"^(100|[0-9]{1,2})%$"}
    )
    return obj(
        **_program("aggregator", aggregator.FLAGS.flags),
        shards=number(1),
        namespaces={**listed(shapes.given_label()), "uniqueItems": True},
        exporterService=text(_SERVICE_OR_EMPTY),
        topologySpreadConstraints=ANYTHING_LISTED,
        podDisruptionBudget=budget,
    )


def _program(name: str, flags: Iterable[Flag[Any]]) -> dict[str, Schema]:
    """What both programs have."""
    lists = ("extraEnv", "extraEnvFrom", "extraVolumes", "extraVolumeMounts", "extraInitContainers", "extraContainers")
    objects = ("resources", "podSecurityContext", "securityContext", "updateStrategy", "affinity", "lifecycle")
    return {
        "enabled": BOOLEAN,
        "image": obj(
            registry=text(_REGISTRY),
            repository=text(_REPOSITORY),
            tag=text(r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"),
            digest=text(r"^(sha256:[0-9a-f]{64})?$"),
            pullPolicy=one_of("Always", "IfNotPresent", "Never"),
        ),
        "port": shapes.port(),
        "flags": _flags(flag for flag in flags if flag.name not in SET_BY_CHART[name]),
        "extraArgs": listed(text()),
        **dict.fromkeys(lists, ANYTHING_LISTED),
        **dict.fromkeys(objects, ANYTHING),
        "serviceAccount": obj(create=BOOLEAN, name=shapes.subdomain(), annotations=texts()),
        "service": obj(annotations=texts()),
        **dict.fromkeys(("podLabels", "nodeSelector"), shapes.labels()),
        **dict.fromkeys(("podAnnotations", "annotations"), texts()),
        "tolerations": ANYTHING_LISTED,
        "hostNetwork": BOOLEAN,
        "hostUsers": SWITCH,
        "dnsPolicy": one_of("", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        **dict.fromkeys(("priorityClassName", "runtimeClassName"), shapes.subdomain()),
        **dict.fromkeys(("revisionHistoryLimit", "terminationGracePeriodSeconds"), number(0)),
        # Kubernetes lets one answer be enough for a liveness probe, and nothing else.
        "livenessProbe": _probe(1),
        "readinessProbe": _probe(),
        "verticalPodAutoscaler": obj(
            enabled=BOOLEAN,
            updateMode=one_of("Off", "Initial", "Recreate", "InPlaceOrRecreate", "Auto"),
            resourcePolicy=ANYTHING,
        ),
    }


def _flags(flags: Iterable[Flag[Any]]) -> Schema:
    return obj(**{flag.name: {**flagtypes.of(flag), "description": flag.help} for flag in flags})


def _probe(most_successes: int = 2**31 - 1) -> Schema:
    names = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold")
    return obj(**{**dict.fromkeys(names, number(0)), "successThreshold": number(0, most_successes)})


def _network_policy() -> Schema:
    return obj(
        enabled=BOOLEAN,
        prometheus=ANYTHING_LISTED,
        scrapers=listed(shapes.given_label()),
        extraIngressFrom=ANYTHING_LISTED,
        apiServer=obj(ports={**listed(shapes.port()), "minItems": 1}, cidrs=listed(shapes.address_block())),
        extraAggregatorEgress=ANYTHING_LISTED,
    )


def _scrape() -> Schema:
    return obj(
        interval=shapes.period(),
        scrapeTimeout=shapes.period_or_empty(),
        sampleLimit=number(1),
        relabelings=ANYTHING_LISTED,
        metricRelabelings=ANYTHING_LISTED,
        endpoint=ANYTHING,
        spec=ANYTHING,
    )


def _rules(alerts: Iterable[str]) -> Schema:
    change = {
        "disabled": BOOLEAN,
        "for": shapes.duration(),
        "keepFiringFor": shapes.duration(),
        "severity": text(r"^[A-Za-z0-9_-]+$"),
        "labels": shapes.of_alert(),
        "annotations": shapes.of_alert(),
    }
    return obj(
        enabled=SWITCH,
        labels=shapes.labels(),
        annotations=texts(),
        alertLabels=shapes.of_alert(),
        alertAnnotations=shapes.of_alert(),
        runbookBaseUrl=text(r"^(https?://.+)?$"),
        dashboardBaseUrl=text(r"^(https?://.+)?$"),
        groups=obj(**dict.fromkeys(("pods", "pulls", "registries", "nodes", "pulltrace", "dashboards"), BOOLEAN)),
        settings=obj(**{name: _setting(default) for name, default in chart_values().items()}),
        alerts=obj(**{name: obj(**change) for name in alerts}),
        extraGroups=ANYTHING_LISTED,
    )


def _setting(default: object) -> Schema:
    if isinstance(default, str):
        return shapes.period()
    return {"type": "number", "exclusiveMinimum": 0}


def _dashboards() -> Schema:
    return obj(
        enabled=SWITCH,
        mode=one_of("sidecar", "operator"),
        namespace=shapes.label(),
        labels=shapes.labels(),
        annotations=texts(),
        folder=text(),
        folderAnnotation=text(),
        multicluster=BOOLEAN,
        operator=obj(instanceSelector=ANYTHING, allowCrossNamespaceImport=BOOLEAN, resyncPeriod=shapes.go_period()),
    )


def _tls() -> Schema:
    issuer = obj(name=shapes.subdomain(), kind=text(r"^[A-Za-z]*$"), group=shapes.subdomain())
    return obj(
        enabled=BOOLEAN,
        serve=BOOLEAN,
        existingSecret=shapes.subdomain(),
        clientCertificates=BOOLEAN,
        minVersion=one_of("TLS12", "TLS13"),
        certManager=obj(issuerRef=issuer, duration=shapes.go_period(), renewBefore=shapes.go_period()),
    )


def _basic_auth() -> Schema:
    return obj(
        enabled=BOOLEAN,
        existingSecret=shapes.subdomain(),
        users={"type": "object", "additionalProperties": text(_BCRYPT)},
        webConfigSecret=shapes.subdomain(),
    )


_OPEN: Final[Schema] = {"additionalProperties": True}


def _pull_secret() -> Schema:
    return {
        "type": ["object", "string"],
        "properties": {"name": {"type": "string", "minLength": 1}},
        "required": ["name"],
        "additionalProperties": False,
    }


def places(found: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    """The places of a schema that hold one value each, for comparison with values.yaml."""
    for name, each in found["properties"].items():
        here = (*path, name)
        yield here
        if each.get("properties"):
            yield from places(each, here)
