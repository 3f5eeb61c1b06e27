"""The notes that a user reads after an installation."""

import pytest

from rig.chart_values import CLIENTS, KPS, NOTHING, OFF, PASSWORD, READY_FOR_TLS, TLS, VARIANTS
from rig.charts import notes

pytestmark = pytest.mark.unit


def test_they_name_what_to_run_next() -> None:
    text = notes({})
    assert "kubectl --namespace monitoring rollout status daemonset/pulltrace-exporter" in text
    assert "rollout status deployment/pulltrace-aggregator" in text
    assert "helm --namespace monitoring test pulltrace" in text
    assert "NOTHING SCRAPES PULLTRACE YET" in text
    assert "--set kubePrometheusStack.release=<name>" in text
    assert "without encryption" in text


def test_they_say_what_pod_security_asks_for() -> None:
    assert "kubectl label namespace monitoring pod-security.kubernetes.io/enforce=privileged" in notes({})
    assert "/run/k3s/containerd" in notes({"runtime": "k3s"})
    assert "Pod Security" not in notes(VARIANTS["aggregator-only"])


def test_they_follow_the_values() -> None:
    sharded = notes(VARIANTS["sharded"])
    assert "statefulset/pulltrace-aggregator" in sharded
    # A Service is forwarded to one pod only, and so the answer is of one shard.
    assert "port-forward pod/pulltrace-aggregator-0 10302\n(the nodes of this shard; 3 share them)" in sharded
    assert "port-forward service/pulltrace-aggregator 10302\nand open" in notes({})
    assert "NOTHING SCRAPES" not in notes(KPS)
    assert "release=kps" in notes(KPS)
    assert "without encryption" not in notes(TLS)
    assert "https://localhost:10302/" in notes(TLS)
    assert "runtime` has to be one of" in notes({"runtime": "k3s"})
    assert "look at `exporter.containerd.socket`" in notes(VARIANTS["own-socket"])


def test_they_name_the_client_where_it_gets_through_the_proxy() -> None:
    assert "kubectl pulltrace" in notes(TLS)
    assert "rbac.viewer.create=true" in notes({})
    assert "rbac.viewer" not in notes({"rbac": {"viewer": {"create": True}}})
    assert "kubectl pulltrace" not in notes(CLIENTS)


def test_they_do_not_tell_to_turn_on_what_is_on() -> None:
    text = notes({"scrapeAnnotations": True})
    assert "annotations prometheus.io/… of pods finds both programs" in text
    assert "NOTHING SCRAPES" not in text
    text = notes({"scrapeAnnotations": True, **CLIENTS, **KPS, "monitors": OFF})
    assert "They cannot tell it\nwhich authority to trust, which certificate to show: its own" in text
    text = notes({**KPS, "monitors": OFF})
    assert "NOTHING SCRAPES PULLTRACE YET. `monitors.enabled` is false" in text
    assert "--set kubePrometheusStack.release" not in text
    text = notes({"monitors": OFF})
    assert "--set kubePrometheusStack.release=<name> --set monitors.enabled=auto" in text


def test_they_speak_of_nothing_that_is_off() -> None:
    assert "helm --namespace monitoring test" not in notes({"tests": OFF})
    for values in (NOTHING, {"exporter": OFF, "aggregator": OFF}):
        text = notes(values)
        assert "neither the exporter nor the aggregator" in text
        for word in ("kubectl", "helm ", "NOTHING SCRAPES", "Metrics are served", "Prometheus"):
            assert word not in text
    assert "finds it by a monitor" in notes({**KPS, "exporter": OFF})
    assert "port-forward" not in notes({"aggregator": OFF})


def test_they_warn_of_an_aggregator_that_reads_nothing() -> None:
    warning = "READS NO EXPORTERS"
    assert warning in notes({"exporter": OFF})
    assert warning not in notes({})
    assert warning not in notes(VARIANTS["aggregator-only"])
    assert warning not in notes({"exporter": OFF, "aggregator": {"extraArgs": ["--exporter.target=n=http://n:1"]}})
    assert warning not in notes({"exporter": OFF, "aggregator": OFF})


def test_they_tell_how_to_come_in() -> None:
    text = notes(CLIENTS)
    assert "files of the Secret pulltrace-prometheus-tls" in text
    assert "--cert tls.crt --key tls.key --resolve pulltrace-aggregator.monitoring.svc:10302:127.0.0.1" in text
    assert "localhost" not in text
    assert "--user" not in text
    assert "--user NAME https://" in notes({**CLIENTS, **PASSWORD})
    assert "it asks for a user" in notes(PASSWORD)
    assert "the certificate is for pulltrace-aggregator.monitoring.svc" in notes(TLS)
    text = notes(READY_FOR_TLS)
    assert "open http://localhost:10302/" in text
    assert "`tls.serve=true` encrypts them" in text
