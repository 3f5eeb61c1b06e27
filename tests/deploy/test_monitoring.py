"""Monitors, rules and dashboards: what the Prometheus operator and Grafana make of them."""

import json
import re
from typing import Any

import pytest
import yaml

from pulltrace_alerts.settings import chart_values
from pulltrace_chart import copies
from pulltrace_chart import needs as needs_of
from pulltrace_chart.places import ALERTS, CHART, DASHBOARDS
from pulltrace_chart.rendering import Object
from rig.chart_values import CLIENTS, EVERYTHING, KPS, PASSWORD, READY_FOR_TLS, TLS, VARIANTS, Values, each_variant
from rig.charts import NAMESPACE, README, Refused, endpoint, new_helm, of_kind, one

pytestmark = pytest.mark.unit
MONITORING = ("PodMonitor", "ServiceMonitor", "PrometheusRule", "GrafanaDashboard")
SOURCE: Object = yaml.safe_load((ALERTS / "pulltrace.rules.yaml").read_text())


def dashboards(found: tuple[Object, ...]) -> list[Object]:
    return [
        each for each in of_kind(found, "ConfigMap", "GrafanaDashboard") if "-dashboard-" in each["metadata"]["name"]
    ]


def texts(made: list[Object]) -> list[str]:
    """The JSON in objects that hold a dashboard each."""
    return [text for each in made for text in (each["data"].values() if "data" in each else [each["spec"]["json"]])]


def alerts(groups: list[Object]) -> dict[str, Object]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def groups(**values: Any) -> list[Object]:
    """The groups of rules with these values beside those for kube-prometheus-stack."""
    found: list[Object] = one(new_helm({**KPS, **values}), "PrometheusRule")["spec"]["groups"]
    return found


def rendered_alerts(**rules: Any) -> dict[str, Object]:
    return alerts(groups(rules=rules))


def test_without_an_operator_nothing_of_it_is_made() -> None:
    assert not of_kind(new_helm({}), *MONITORING)
    assert not dashboards(new_helm({}))


@pytest.mark.parametrize("release", ["kps", "monitoring", "prometheus-stack-2"])
def test_one_value_is_all_that_kube_prometheus_stack_needs(release: str) -> None:
    found = new_helm({"kubePrometheusStack": {"release": release}})
    # Its default selectors: this label, in every namespace, for the three of them.
    for kind in ("PodMonitor", "ServiceMonitor", "PrometheusRule"):
        assert one(found, kind)["metadata"]["labels"]["release"] == release
    made = dashboards(found)
    assert len(made) == len(list(DASHBOARDS.glob("*.json")))
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in made)


def test_each_can_be_turned_on_and_off_by_itself() -> None:
    for name, kinds in {"monitors": ("PodMonitor", "ServiceMonitor"), "rules": ("PrometheusRule",)}.items():
        made = new_helm({name: {"enabled": True}})
        assert of_kind(made, *MONITORING) == of_kind(made, *kinds) != []
        assert not of_kind(new_helm({**KPS, name: {"enabled": False}}), *kinds)
    assert dashboards(new_helm({"dashboards": {"enabled": True}}))
    assert not dashboards(new_helm({**KPS, "dashboards": {"enabled": False}}))


@each_variant
def test_monitors_select_the_pods_and_their_port(values: Values) -> None:
    found = new_helm(values)
    for monitor in of_kind(found, "PodMonitor", "ServiceMonitor"):
        service = one(found, "Service", monitor["metadata"]["name"])
        labels = monitor["spec"]["selector"]["matchLabels"]
        assert labels == service["spec"]["selector"]
        assert labels.items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["namespaceSelector"] == {"matchNames": [service["metadata"]["namespace"]]}
        scraped = endpoint(monitor)
        assert (scraped["port"], scraped["path"], scraped["interval"]) == ("metrics", "/metrics", "10s")


def test_exporters_get_their_node_from_the_pod() -> None:
    monitor = one(new_helm(KPS), "PodMonitor")
    scraped = endpoint(monitor)
    node = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node", "action": "replace"}
    assert node in scraped["relabelings"]
    assert monitor["spec"]["sampleLimit"] == 50000
    assert not scraped.get("honorLabels")
    assert scraped["scheme"] == "http"
    assert "tlsConfig" not in scraped


def test_what_the_aggregator_says_goes_before_what_is_known_of_it() -> None:
    monitor = one(new_helm(KPS), "ServiceMonitor")
    assert endpoint(monitor)["honorLabels"] is True
    assert {"regex": "pod|container", "action": "labeldrop"} in endpoint(monitor)["relabelings"]
    assert monitor["spec"]["sampleLimit"] == 250000


def test_monitors_take_what_users_add() -> None:
    found = new_helm(EVERYTHING)
    pods, service = endpoint(one(found, "PodMonitor")), one(found, "ServiceMonitor")
    assert pods["relabelings"][-1] == {"targetLabel": "zone", "replacement": "a"}
    assert pods["scrapeTimeout"] == "5s"
    assert service["spec"]["labelLimit"] == 50
    assert endpoint(service)["metricRelabelings"] == [{"action": "labeldrop", "regex": "uid"}]
    assert {"prometheus": "main", "release": "kps"}.items() <= service["metadata"]["labels"].items()


def test_scrapes_are_encrypted_and_know_the_name_and_who_signed_it() -> None:
    found = new_helm(TLS)
    for kind, component in (("PodMonitor", "exporter"), ("ServiceMonitor", "aggregator")):
        scraped = endpoint(one(found, kind))
        secret = one(found, "Certificate", f"pulltrace-{component}")["spec"]["secretName"]
        assert scraped["scheme"] == "https"
        assert scraped["tlsConfig"] == {
            "ca": {"secret": {"name": secret, "key": "ca.crt"}},
            "serverName": f"pulltrace-{component}.{NAMESPACE}.svc",
        }


def test_the_first_step_to_tls_changes_all_but_the_programs() -> None:
    plain, ready, served = new_helm(KPS), new_helm(READY_FOR_TLS), new_helm(CLIENTS)
    for kind in ("DaemonSet", "Deployment"):
        assert one(ready, kind) == one(plain, kind)
        assert one(served, kind) != one(plain, kind)
    for kind in ("PodMonitor", "ServiceMonitor"):
        known, asked = (endpoint(one(found, kind)) for found in (ready, served))
        assert known == {**asked, "scheme": "http"}
    assert of_kind(ready, "Certificate", "Issuer") == of_kind(served, "Certificate", "Issuer")


def test_values_of_an_older_chart_that_are_reused_do_not_turn_tls_off() -> None:
    assert new_helm({**KPS, "tls": {"enabled": True, "serve": None}}) == new_helm(TLS)


@each_variant
def test_each_pod_says_by_which_scheme_it_is_scraped(values: Values) -> None:
    found = new_helm(values)
    by_scheme = {
        "sourceLabels": ["__meta_kubernetes_pod_annotation_prometheus_io_scheme"],
        "regex": "(https?)",
        "targetLabel": "__scheme__",
        "action": "replace",
    }
    for monitor in of_kind(found, "PodMonitor", "ServiceMonitor"):
        assert by_scheme in endpoint(monitor)["relabelings"]
    for workload in of_kind(found, "DaemonSet", "Deployment", "StatefulSet"):
        template = workload["spec"]["template"]
        scheme = template["metadata"]["annotations"]["prometheus.io/scheme"]
        probe = template["spec"]["containers"][0]["readinessProbe"]
        assert probe.get("httpGet", {"scheme": "HTTPS"})["scheme"] == scheme.upper()


def test_scrapes_present_what_the_secret_holds() -> None:
    for kind in ("PodMonitor", "ServiceMonitor"):
        assert endpoint(one(new_helm(PASSWORD), kind))["basicAuth"] == {
            "username": {"name": "pulltrace-login", "key": "username"},
            "password": {"name": "pulltrace-login", "key": "password"},
        }


def test_annotations_are_there_for_those_who_scrape_by_them() -> None:
    for name, port in (("DaemonSet", "10301"), ("Deployment", "10302")):
        template = one(new_helm({"scrapeAnnotations": True}), name)["spec"]["template"]
        assert template["metadata"]["annotations"] == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": port,
            "prometheus.io/path": "/metrics",
            "prometheus.io/scheme": "http",
        }
        only = one(new_helm({}), name)["spec"]["template"]["metadata"]["annotations"]
        assert only == {"prometheus.io/scheme": "http"}


def test_rules_come_unchanged() -> None:
    assert one(new_helm(KPS), "PrometheusRule")["spec"] == {"groups": SOURCE["groups"]}


def test_an_alert_can_be_changed_by_name() -> None:
    before = alerts(SOURCE["groups"])["PulltracePullStalled"]
    change = {
        "for": "10m",
        "keepFiringFor": "5m",
        "severity": "critical",
        "labels": {"team": "x"},
        "annotations": {"summary": "Ours"},
    }
    others = rendered_alerts(alerts={"PulltracePullStalled": change})
    after = others.pop("PulltracePullStalled")
    assert (after["for"], after["keep_firing_for"], after["expr"]) == ("10m", "5m", before["expr"])
    assert after["labels"] == {**before["labels"], "severity": "critical", "team": "x"}
    assert after["annotations"] == {**before["annotations"], "summary": "Ours"}
    assert others == {name: each for name, each in alerts(SOURCE["groups"]).items() if name != "PulltracePullStalled"}


def test_an_alert_can_be_left_out_and_the_recording_rules_stay() -> None:
    found = groups(rules={"alerts": {"PulltraceImageQueued": {"disabled": True}}})
    assert set(alerts(SOURCE["groups"])) - set(alerts(found)) == {"PulltraceImageQueued"}
    assert recorded(found) == recorded(SOURCE["groups"])


def recorded(groups: list[Object]) -> list[list[str]]:
    return [[rule["record"] for rule in group["rules"] if "record" in rule] for group in groups]


def test_the_recording_rules_of_the_dashboards_can_be_left_out() -> None:
    found = groups(rules={"groups": {"dashboards": False}})
    assert found == [group for group in SOURCE["groups"] if group["name"] != "pulltrace.dashboards"]
    assert len(found) < len(SOURCE["groups"])


ALONE = {"aggregator": {"enabled": False}}
WITHOUT_EXPORTERS = {"exporter": {"enabled": False}}


def shipped(**values: Any) -> set[str]:
    return set(alerts(groups(**values)))


def test_without_the_aggregator_no_alert_needs_it() -> None:
    found = shipped(**ALONE)
    assert not found & {"PulltraceAggregatorAbsent", "PulltraceAggregatorBlind", "PulltraceExporterMissing"}
    assert not found & {"PulltraceImageQueued", "PulltraceNodeNotReady", "PulltraceNodeCannotPull"}
    # It says what pods wait, where that is known.
    assert "PulltracePullSlow" in found
    assert found >= {"PulltraceContainerdUnreachable", "PulltraceExporterAbsent", "PulltraceRegistrySlow"}
    assert found >= {"PulltraceWebConfigInvalid", "PulltraceSeriesMissing"}


def test_without_exporters_no_alert_needs_them() -> None:
    found = shipped(**WITHOUT_EXPORTERS)
    assert not found & {"PulltraceExporterMissing", "PulltraceExporterAbsent", "PulltraceContainerdUnreachable"}
    assert found >= {"PulltraceImageQueued", "PulltraceAggregatorBlind", "PulltraceImagePullFailing"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {**WITHOUT_EXPORTERS, "aggregator": {"exporterService": "nodes/pulltrace-exporter"}},
        {**WITHOUT_EXPORTERS, "aggregator": {"extraArgs": ["--exporter.target=n=http://10.0.0.1:10301"]}},
        {
            **WITHOUT_EXPORTERS,
            "aggregator": {"extraEnv": [{"name": "PULLTRACE_EXPORTER_TARGET", "value": "n=http://n"}]},
        },
        {**WITHOUT_EXPORTERS, **ALONE},
    ],
    ids=["both", "other-service", "argument", "variable", "rules-alone"],
)
def test_all_alerts_exist_when_both_programs_are_installed(values: Values) -> None:
    assert shipped(**values) == set(copies.alerts())


def test_an_alert_that_needs_a_program_elsewhere_can_be_kept() -> None:
    kept = {"PulltraceAggregatorAbsent": {"disabled": False}}
    assert shipped(**ALONE, rules={"alerts": kept}) - shipped(**ALONE) == set(kept)


@pytest.mark.parametrize(
    ("expr", "needed"),
    [
        ("a", True),
        ("b", False),
        ("sum by (b) (rate(a_total_bucket[5m])) > 0", False),
        ("rate(a_bucket[5m])", True),
        ("b unless a", True),
        ("b and on (x) a", True),
        ("(b or a) > 1", True),
        ("a or b", False),
        ("a or on (b) (c + a)", True),
        ('b{x="a or a"}', False),
        ("r:a:max or a", True),
        ("r:b:max or a", False),
    ],
)
def test_an_expression_needs_what_all_its_alternatives_read(expr: str, needed: bool) -> None:
    assert needs_of.needed(expr, {"a"}, {"r:a:max": "max(a)", "r:b:max": "max(b)"}) is needed


def test_all_alerts_can_be_left_out() -> None:
    assert not rendered_alerts(alerts={name: {"disabled": True} for name in copies.alerts()})


def test_thresholds_are_values() -> None:
    found = rendered_alerts(settings={"manyPods": 50, "queueAfter": "1h30m", "failingFor": "7m", "slowShare": 0.1})
    assert ">= 50\n" in found["PulltraceManyPodsCannotStart"]["expr"]
    assert '{cause="queue"} > 5400' in found["PulltraceImageQueued"]["expr"]
    assert found["PulltraceImagePullFailing"]["for"] == "7m"
    assert "< 0.1" in found["PulltracePullSlow"]["expr"]


def test_the_chart_has_every_threshold_with_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["rules"]["settings"] == chart_values()


def test_no_place_of_a_value_is_left_over() -> None:
    assert not re.findall(r"@\w+(:s)?@", str(groups(rules={"dashboardBaseUrl": "https://grafana.example"})))


@pytest.mark.parametrize("name", ["manyPods", "queueAfter", "nodeFor"])
def test_a_threshold_that_is_missing_is_named(name: str) -> None:
    # By null, or by --reuse-values with those of a chart that did not have it yet.
    with pytest.raises(Refused, match=rf"rules\.settings\.{name} is missing"):
        new_helm({**KPS, "rules": {"settings": {name: None}}})


@pytest.mark.parametrize("group", ["pods", "pulls", "registries", "nodes", "pulltrace"])
def test_a_group_of_alerts_can_be_turned_off(group: str) -> None:
    (off,) = (alerts([each]) for each in SOURCE["groups"] if each["name"] == f"pulltrace.alerts.{group}")
    assert off
    assert shipped() - shipped(rules={"groups": {group: False}}) == set(off)


def test_an_alert_opens_its_dashboard_where_grafana_is_known() -> None:
    found = rendered_alerts(dashboardBaseUrl="https://grafana.example/")["PulltraceNodeNotReady"]
    assert found["annotations"]["dashboard_url"] == (
        "https://grafana.example/d/pulltrace-node?var-cluster={{ $labels.cluster }}&var-node={{ $labels.node }}"
    )
    assert not [name for name, each in rendered_alerts().items() if "dashboard_url" in each["annotations"]]


def test_all_alerts_take_labels_annotations_and_the_place_of_the_runbooks() -> None:
    found = rendered_alerts(
        alertLabels={"team": "platform", "severity": "page"},
        alertAnnotations={"channel": "#pulls"},
        runbookBaseUrl="https://wiki.example.org/runbooks/",
        alerts={"PulltracePullStalled": {"severity": "critical", "labels": {"team": "storage"}}},
    )
    for name, rule in found.items():
        first = name == "PulltracePullStalled"
        assert rule["labels"]["team"] == ("storage" if first else "platform")
        assert rule["labels"]["severity"] == ("critical" if first else "page")
        assert rule["annotations"]["channel"] == "#pulls"
        page = alerts(SOURCE["groups"])[name]["annotations"]["runbook_url"].rsplit("/", 1)[1]
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example.org/runbooks/{page}"


def test_dashboards_come_unchanged() -> None:
    for values in (KPS, VARIANTS["grafana-operator"]):
        made = texts(dashboards(new_helm(values)))
        found = {document["uid"]: document for document in map(json.loads, made)}
        sources = [json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")]
        assert found == {document["uid"]: document for document in sources}
        assert all(len(text) < 900_000 for text in made)  # an object of the API server ends at 1 MiB


def test_the_folder_is_only_told_when_it_is_given() -> None:
    assert "annotations" not in dashboards(new_helm(KPS))[0]["metadata"]
    found = dashboards(new_helm({**KPS, "dashboards": {"folder": "Images", "folderAnnotation": "where"}}))
    assert all(each["metadata"]["annotations"] == {"where": "Images"} for each in found)


@pytest.mark.parametrize("variant", ["sidecar", "operator"])
def test_the_choice_of_a_cluster_is_shown_where_there_are_several(variant: str) -> None:
    made = dashboards(new_helm({**KPS, "dashboards": {"multicluster": True, "mode": variant}}))
    for dashboard in map(json.loads, texts(made)):
        hidden = {item["name"] for item in dashboard["templating"]["list"] if item.get("hide", 0)}
        # Nobody chooses a job.
        assert hidden == ({"job"} if dashboard["uid"] == "pulltrace-itself" else set())


def test_the_grafana_operator_is_told_which_grafana() -> None:
    for each in dashboards(new_helm(VARIANTS["grafana-operator"])):
        assert each["metadata"]["namespace"] == "grafana"
        assert each["spec"]["instanceSelector"] == {"matchLabels": {"dashboards": "grafana"}}
        assert each["spec"]["allowCrossNamespaceImport"] is True
        assert each["spec"]["folder"] == "Images"


@pytest.fixture
def documented_jobs() -> dict[str, Object]:
    """The scrape configuration of the README, by the names of its jobs."""
    (block,) = (each for each in README.texts("yaml") if "scrape_configs:" in each)
    return {each["job_name"]: each for each in yaml.safe_load(block)["scrape_configs"]}


def test_the_scrape_configuration_of_the_readme_is_as_strict_as_the_monitors(
    documented_jobs: dict[str, Object],
) -> None:
    assert documented_jobs["pulltrace-aggregator"]["honor_labels"] is True
    for component, kind in (("exporter", "PodMonitor"), ("aggregator", "ServiceMonitor")):
        limit = one(new_helm(KPS), kind)["spec"]["sampleLimit"]
        assert documented_jobs[f"pulltrace-{component}"]["sample_limit"] == limit


def test_the_scrape_configuration_of_the_readme_leaves_out_pods_that_have_ended(
    documented_jobs: dict[str, Object],
) -> None:
    # An evicted aggregator stays as a failed pod: as a target it would be down for ever, which is an alert.
    ended = {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed", "action": "drop"}
    assert all(ended in job["relabel_configs"] for job in documented_jobs.values())


def test_values_of_the_readme_are_values() -> None:
    others = ("scrape_configs:", "resources:\n  - deploy/manifests")  # for Prometheus, for kubectl
    found = [yaml.safe_load(block) for block in README.texts("yaml") if not block.startswith(others)]
    assert len(found) == 5
    for values in found:
        assert of_kind(new_helm({**KPS, **values}), "PodMonitor", "ServiceMonitor")
