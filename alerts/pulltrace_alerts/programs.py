"""Alerts about Pulltrace itself: what it does not see."""

from collections.abc import Iterator
from typing import Final

from pulltrace_alerts.levels import names
from pulltrace_alerts.model import PLATFORM, Alert, Group, Labels
from pulltrace_alerts.recorded import TIME
from pulltrace_alerts.settings import MINUTE, Settings

AGGREGATORS: Final = 'up{job=~".*pulltrace-aggregator"}'
"""The chart's monitors and the documented scrape configuration name the job so."""


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.pulltrace", (*_absent(), _blind(settings), *_faults(settings)))


def _absent() -> Iterator[Alert]:
    yield Alert(
        "PulltraceExporterAbsent",
        "critical",
        PLATFORM,
        "absent_for",
        ("cluster",),
        "itself",
        'sum by (cluster) (pulltrace_aggregator_exporters{state="ok"}) > 0\n'
        f"unless on (cluster) count by (cluster) ({TIME})\n"
        "or absent(pulltrace_exporter_build_info)",
        "Prometheus scrapes no exporter.",
        "Prometheus scrapes no exporter, so no pull is seen, and alerts about pulls, registries and nodes cannot fire."
        " Next: do the exporters run; do the labels of the PodMonitor match what this Prometheus selects (the value"
        " kubePrometheusStack.release); does its page of targets show errors?",
    )
    yield Alert(
        "PulltraceAggregatorAbsent",
        "critical",
        PLATFORM,
        "absent_for",
        ("cluster",),
        "itself",
        f"count by (cluster) ({TIME})\n"
        "unless on (cluster) count by (cluster) (pulltrace_aggregator_build_info)\n"
        "or absent(pulltrace_aggregator_build_info)",
        "Prometheus scrapes no aggregator.",
        "Prometheus scrapes no aggregator, so no waiting pod and no reason of a failure is seen, and alerts about pods"
        " cannot fire. Next: does the aggregator run; do the labels of the ServiceMonitor match what this Prometheus"
        " selects; does its page of targets show errors?",
    )


def _problem(name: str, expr: str) -> str:
    return f'label_replace({expr}, "problem", "{name}", "", "")'


def _blind(settings: Settings) -> Alert:
    unreachable = 'sum by (cluster) (pulltrace_aggregator_exporters{state="unreachable"})'
    known = "sum by (cluster) (pulltrace_aggregator_exporters)"
    problems = (
        ("kubernetes", "min by (cluster) (pulltrace_aggregator_kubernetes_up) == 0"),
        ("exporters", f"{unreachable} / {known} > {settings.number('blind_share')}"),
        # That none is left is another alert.
        ("down", f"min by (cluster) ({AGGREGATORS}) == 0 and on (cluster) max by (cluster) ({AGGREGATORS}) == 1"),
        # A shard that was never started is not a target.
        ("shards", f"{known} / count by (cluster) ({TIME}) < {settings.number('covered_share')}"),
    )
    return Alert(
        "PulltraceAggregatorBlind",
        "warning",
        PLATFORM,
        "blind_for",
        ("cluster", "problem"),
        "itself",
        "\nor ".join(_problem(name, expr) for name, expr in problems),
        "The aggregator does not see everything: {{ $labels.problem }}.",
        "Pods that wait, and the causes, may be missing or old."
        ' {{ if eq $labels.problem "kubernetes" }}An aggregator cannot list or watch everything it needs in Kubernetes.'
        " Next: read its log, which names the missing right or address."
        '{{ else if eq $labels.problem "exporters" }}Most exporters do not answer the aggregator. Next: read its log,'
        " which names the network policy's, the certificate's or the password's error."
        '{{ else if eq $labels.problem "down" }}Of several aggregators one cannot be scraped. Next: is its pod waiting,'
        " restarting or out of memory?"
        "{{ else }}All aggregators together know too few of the nodes that have an exporter. Next: does every shard"
        " run, and does each find the Service of the exporters?{{ end }}",
    )


def _faults(settings: Settings) -> Iterator[Alert]:
    program = ("cluster", "job", "node")
    yield Alert(
        "PulltraceWebConfigInvalid",
        "warning",
        PLATFORM,
        "fault_for",
        program,
        "itself",
        f"min by ({names(program)}) (pulltrace_web_config_last_reload_successful) == 0",
        "{{ $labels.job }} could not read its web configuration again.",
        "{{ $labels.job }}{{ if $labels.node }} on node {{ $labels.node }}{{ end }} serves with its old certificate and"
        " passwords, because the new web configuration or a file that it names is wrong. A restart would fail. Next:"
        " read the log of the program, which names the file and the error.",
    )
    yield Alert(
        "PulltraceSeriesMissing",
        "warning",
        PLATFORM,
        "fault_for",
        (*program, "kind", "family"),
        "itself",
        _missing(settings, (*program, "kind"), (*program, "family")),
        "{{ $labels.job }} leaves out series of {{ $labels.kind }}{{ $labels.family }}.",
        "{{ $labels.job }}{{ if $labels.node }} on node {{ $labels.node }}{{ end }} leaves out series."
        " {{ if $labels.kind }}Beyond a limit {{ $value }} of kind {{ $labels.kind }} have none of their own; sums stay"
        " whole. Next: raise --limit.pulls, --limit.layers or --limit.label-values, or use --layer.min-size."
        "{{ else }}A fault keeps it from writing {{ $labels.family }}. Next: read its log, and report the error."
        "{{ end }}",
    )


def _missing(settings: Settings, limited: Labels, faulty: Labels) -> str:
    window = settings.fixed(15 * MINUTE)
    faults = (
        f"sum by ({names(faulty)}) (increase(pulltrace_{program}_scrape_errors_total[{window}])) > 0"
        for program in ("exporter", "aggregator")
    )
    return "\nor ".join((f"max by ({names(limited)}) (pulltrace_exporter_suppressed_series) > 0", *faults))
