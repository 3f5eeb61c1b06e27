"""values.schema.json: every value with its type; whatever is not there is refused by name.

One type for each place and no alternatives of objects, for Helm's messages say "must validate one and only one schema"
about these. What depends on two values at once is refused by the templates.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pulltrace.flags import Flag
from pulltrace_aggregator import config as aggregator
from pulltrace_chart.valuesfile import Value
from pulltrace_exporter import config as exporter

Schema = dict[str, Any]

DURATION: Final = r"^([0-9]+(ms|[smhdwy]))+$"
_NAME: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_NAME_OR_EMPTY: Final = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$"
_PATH_OR_EMPTY: Final = r"^(/\.{0,2}[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)*$"
"""From the root, without `//`, `.` and `..`: what is written is what is mounted."""
_BCRYPT: Final = r"^\$2[abxy]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$"

_COMMON: Final = ("web.listen-address", "web.telemetry-path", "web.config.file")
SET_BY_CHART: Final = {
    "exporter": {
        *_COMMON,
        "containerd.address",
        "containerd.allow-directory",
        "kubelet.intents-directory",
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
    return _object(
        enabled=_BOOLEAN,
        runtime=_one_of("containerd", "k3s", "rke2", "k0s", "microk8s"),
        kubePrometheusStack=_object(release=_text(_NAME_OR_EMPTY)),
        # Parent charts keep values of their own there.
        **{"global": {**_object(imageRegistry=_text(), imagePullSecrets=_list(_pull_secret())), **_OPEN}},
        imagePullSecrets=_list(_pull_secret()),
        nameOverride=_text(_NAME_OR_EMPTY),
        fullnameOverride=_text(_NAME_OR_EMPTY),
        namespaceOverride=_text(_NAME_OR_EMPTY),
        commonLabels=_texts(),
        commonAnnotations=_texts(),
        exporter=_exporter(),
        aggregator=_aggregator(),
        rbac=_object(create=_BOOLEAN),
        networkPolicy=_network_policy(),
        monitors=_object(
            enabled=_SWITCH, labels=_texts(), annotations=_texts(), exporter=_scrape(), aggregator=_scrape()
        ),
        scrapeAnnotations=_BOOLEAN,
        rules=_rules(alerts),
        dashboards=_dashboards(),
        tls=_tls(),
        basicAuth=_basic_auth(),
        tests=_object(enabled=_BOOLEAN),
        extraManifests=_list({"type": ["object", "string"]}),
    )


def _exporter() -> Schema:
    containerd = _object(socket=_text(_PATH_OR_EMPTY), recursiveReadOnly=_one_of("", "IfPossible", "Enabled"))
    return _object(
        **_program("exporter", exporter.FLAGS.flags),
        containerd=containerd,
        kubeletIntents=_object(enabled=_BOOLEAN, directory=_text(_PATH_OR_EMPTY)),
        minReadySeconds=_number(0),
    )


def _aggregator() -> Schema:
    budget = _object(enabled=_SWITCH, maxUnavailable={"type": ["integer", "string"], "pattern": r"^[0-9]{1,3}%$"})
    return _object(
        **_program("aggregator", aggregator.FLAGS.flags),
        shards=_number(1),
        namespaces=_list(_text(_NAME)),
        exporterService=_text(r"^([a-z0-9-]+/[a-z0-9-]+)?$"),
        topologySpreadConstraints=_ANYTHING_LISTED,
        podDisruptionBudget=budget,
    )


def _program(name: str, flags: Iterable[Flag[Any]]) -> dict[str, Schema]:
    """What both programs have."""
    lists = ("extraEnv", "extraEnvFrom", "extraVolumes", "extraVolumeMounts", "extraInitContainers", "extraContainers")
    objects = ("resources", "podSecurityContext", "securityContext", "updateStrategy", "affinity")
    return {
        "enabled": _BOOLEAN,
        "image": _object(
            registry=_text(),
            repository={**_text(), "minLength": 1},
            tag=_text(r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"),
            digest=_text(r"^(sha256:[0-9a-f]{64})?$"),
            pullPolicy=_one_of("Always", "IfNotPresent", "Never"),
        ),
        "port": {**_number(1), "maximum": 65535},
        "flags": _flags(flag for flag in flags if flag.name not in SET_BY_CHART[name]),
        "extraArgs": _list(_text()),
        **dict.fromkeys(lists, _ANYTHING_LISTED),
        **dict.fromkeys(objects, _ANYTHING),
        "serviceAccount": _object(create=_BOOLEAN, name=_text(_NAME_OR_EMPTY), annotations=_texts()),
        "service": _object(annotations=_texts()),
        **dict.fromkeys(("podLabels", "podAnnotations", "annotations", "nodeSelector"), _texts()),
        "tolerations": _ANYTHING_LISTED,
        **dict.fromkeys(("priorityClassName", "runtimeClassName"), _text(_NAME_OR_EMPTY)),
        **dict.fromkeys(("revisionHistoryLimit", "terminationGracePeriodSeconds"), _number(0)),
        **dict.fromkeys(("livenessProbe", "readinessProbe"), _probe()),
        "verticalPodAutoscaler": _object(
            enabled=_BOOLEAN,
            updateMode=_one_of("Off", "Initial", "Recreate", "InPlaceOrRecreate", "Auto"),
            resourcePolicy=_ANYTHING,
        ),
    }


def _flags(flags: Iterable[Flag[Any]]) -> Schema:
    return _object(**{flag.name: {**_flag(flag), "description": flag.help} for flag in flags})


def _flag(flag: Flag[Any]) -> Schema:
    if flag.switch:
        return _BOOLEAN
    if flag.metavar == "DURATION":
        return _text(DURATION)
    if flag.metavar == "COUNT":
        return _number(1)
    if flag.metavar == "SIZE":
        return {"type": ["string", "integer"], "pattern": r"^[0-9]+ ?([KMG]iB)?$", "minimum": 0}
    return _text()


def _probe() -> Schema:
    names = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold")
    return _object(**dict.fromkeys(names, _number(0)))


def _network_policy() -> Schema:
    port = {**_number(1), "maximum": 65535}
    return _object(
        enabled=_BOOLEAN,
        prometheus=_ANYTHING_LISTED,
        extraIngressFrom=_ANYTHING_LISTED,
        apiServer=_object(ports=_list(port), cidrs=_list(_text(r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"))),
        extraAggregatorEgress=_ANYTHING_LISTED,
    )


def _scrape() -> Schema:
    return _object(
        interval=_text(DURATION),
        scrapeTimeout=_text(_or_empty(DURATION)),
        sampleLimit=_number(1),
        relabelings=_ANYTHING_LISTED,
        metricRelabelings=_ANYTHING_LISTED,
        spec=_ANYTHING,
    )


def _rules(alerts: Iterable[str]) -> Schema:
    change = {
        "disabled": _BOOLEAN,
        "for": _text(DURATION),
        "keepFiringFor": _text(DURATION),
        "severity": _text(r"^[a-z]+$"),
        "labels": _texts(),
        "annotations": _texts(),
    }
    return _object(
        enabled=_SWITCH,
        labels=_texts(),
        annotations=_texts(),
        alertLabels=_texts(),
        alertAnnotations=_texts(),
        runbookBaseUrl=_text(r"^(https?://.+)?$"),
        alerts=_object(**{name: _object(**change) for name in alerts}),
        extraGroups=_ANYTHING_LISTED,
    )


def _dashboards() -> Schema:
    return _object(
        enabled=_SWITCH,
        mode=_one_of("sidecar", "operator"),
        namespace=_text(_NAME_OR_EMPTY),
        labels=_texts(),
        annotations=_texts(),
        folder=_text(),
        folderAnnotation=_text(),
        multicluster=_BOOLEAN,
        operator=_object(instanceSelector=_ANYTHING, allowCrossNamespaceImport=_BOOLEAN, resyncPeriod=_text(DURATION)),
    )


def _tls() -> Schema:
    issuer = _object(**dict.fromkeys(("name", "kind", "group"), _text()))
    return _object(
        enabled=_BOOLEAN,
        existingSecret=_text(_NAME_OR_EMPTY),
        clientCertificates=_BOOLEAN,
        minVersion=_one_of("TLS12", "TLS13"),
        certManager=_object(issuerRef=issuer, duration=_text(DURATION), renewBefore=_text(DURATION)),
    )


def _basic_auth() -> Schema:
    return _object(
        enabled=_BOOLEAN,
        existingSecret=_text(_NAME_OR_EMPTY),
        users={"type": "object", "additionalProperties": _text(_BCRYPT)},
        webConfigSecret=_text(_NAME_OR_EMPTY),
    )


_OPEN: Final[Schema] = {"additionalProperties": True}
_BOOLEAN: Final[Schema] = {"type": "boolean"}
_SWITCH: Final[Schema] = {"enum": ["auto", True, False]}
_ANYTHING: Final[Schema] = {"type": "object"}
_ANYTHING_LISTED: Final[Schema] = {"type": "array", "items": {"type": "object"}}


def _object(**properties: Schema) -> Schema:
    # Each place its own copy: descriptions are put in.
    own = {name: dict(each) for name, each in properties.items()}
    return {"type": "object", "additionalProperties": False, "properties": own}


def _text(pattern: str = "") -> Schema:
    return {"type": "string", "pattern": pattern} if pattern else {"type": "string"}


def _number(minimum: int) -> Schema:
    return {"type": "integer", "minimum": minimum}


def _one_of(*texts: str) -> Schema:
    return {"type": "string", "enum": list(texts)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _texts() -> Schema:
    return {"type": "object", "additionalProperties": {"type": "string"}}


def _pull_secret() -> Schema:
    return {
        "type": ["object", "string"],
        "properties": {"name": {"type": "string", "minLength": 1}},
        "required": ["name"],
        "additionalProperties": False,
    }


def _or_empty(pattern: str) -> str:
    return re.sub(r"^\^(.*)\$$", r"^(\1)?$", pattern)


def places(found: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    """The places of a schema that hold one value each, for comparison with values.yaml."""
    for name, each in found["properties"].items():
        here = (*path, name)
        yield here
        if each.get("properties"):
            yield from places(each, here)
