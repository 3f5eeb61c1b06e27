"""Pulltrace itself: does it see everything, and what does it cost?"""

from grafana_foundation_sdk.models.dashboard import Panel

from pulltrace_dashboards import variables
from pulltrace_dashboards.look import BLUE, GREY, ORANGE, RED, SKY, STALE, UP_DOWN, steps
from pulltrace_dashboards.page import Heading, Page, band, link
from pulltrace_dashboards.panels import About, Line, bars, lines, number
from pulltrace_dashboards.promql import CLUSTER, NODES, grown, known_by, latest, rate
from pulltrace_dashboards.tables import Column, rows

ONE = ("cluster", "node")
EXPORTER = f"pulltrace_exporter_build_info{{{NODES}}}"
AGGREGATOR = f"pulltrace_aggregator_build_info{{{CLUSTER}}}"
SAME = "on (cluster, job, instance)"
JOBS = f'{CLUSTER}, job=~"$job"'
"""What every program in the cluster exposes, of those that are ours."""
TO_NODE = link("pulltrace-node", node="node")
NO_EXPORTER = "no exporter"
NO_AGGREGATOR = "no aggregator"


def page() -> Page:
    """The dashboard of those who look after Pulltrace."""
    return Page(
        uid="pulltrace-itself",
        title="Pulltrace / Pulltrace itself",
        question="Does Pulltrace see everything, and what does it cost?",
        variables=(variables.datasource(), variables.cluster(), variables.nodes(), variables.jobs()),
        content=(
            band(
                4,
                (4, _exporters()),
                (4, _blind()),
                (4, _kubernetes()),
                (4, _reached()),
                (4, _missing()),
                (4, _dropped()),
            ),
            band(7, (12, _troubled()), (12, _versions())),
            band(7, (12, _polls()), (12, _questions())),
            Heading(20, "Faults"),
            band(7, (8, _errors()), (8, _restarts()), (8, _faults())),
            Heading(21, "Cost"),
            band(7, (8, _memory()), (8, _cpu()), (8, _series())),
            band(7, (12, _clocks()), (12, _stale())),
        ),
    )


def _exporters() -> Panel:
    about = About(
        1, "Exporters", "Nodes whose exporter Prometheus scrapes. Good is the number of your nodes.", "no exporter"
    )
    return number(about, f"count({latest('pulltrace_exporter_build_info', ONE, NODES)})", "short", decimals=0)


def _blind() -> Panel:
    about = About(
        2,
        "containerd down",
        "Exporters that cannot read their containerd. Good is 0: pulls of those nodes are not seen.",
        NO_EXPORTER,
    )
    expr = f"sum(1 - {latest('pulltrace_containerd_up', ONE, NODES)})"
    return number(about, expr, "short", bounds=steps((1, RED)), decimals=0)


def _kubernetes() -> Panel:
    about = About(
        3,
        "API watches",
        "Whether the aggregator, every shard of it, lists and watches all that it has to. Down: who waits is not "
        "known, or is old.",
        NO_AGGREGATOR,
    )
    return number(about, f"min(pulltrace_aggregator_kubernetes_up{{{CLUSTER}}})", "short", words=UP_DOWN)


def _reached() -> Panel:
    about = About(
        4,
        "Exporters down",
        "Nodes that did not answer the aggregator's last question. Good is 0: causes on those nodes are guesses.",
        NO_AGGREGATOR,
    )
    # Each shard has nodes of its own, and no two generations of an aggregator run at once.
    expr = f'sum(pulltrace_aggregator_exporters{{{CLUSTER}, state="unreachable"}})'
    return number(about, expr, "short", bounds=steps((1, RED)), decimals=0)


def _missing() -> Panel:
    about = About(
        5,
        "Nodes unseen",
        "Nodes where a pod waits for an image and no exporter answers. Good is 0: look for taints, selectors and "
        "network policies that keep it away.",
        NO_AGGREGATOR,
    )
    expr = f"count({latest('pulltrace_node_exporter_missing', ONE, NODES)})"
    return number(
        about,
        known_by(expr, f"pulltrace_aggregator_kubernetes_up{{{CLUSTER}}}"),
        "short",
        bounds=steps((1, RED)),
        decimals=0,
    )


def _dropped() -> Panel:
    about = About(
        6,
        "Series left out",
        "Pulls, layers, registries and media types beyond the exporters' limits. Sums stay right, but these have no "
        "series of their own. Good is 0.",
        NO_EXPORTER,
    )
    expr = f"sum({latest('pulltrace_exporter_suppressed_series', (*ONE, 'kind'), NODES)})"
    return number(about, expr, "short", bounds=steps((1, ORANGE)), decimals=0)


def _troubled() -> Panel:
    about = About(
        7,
        "Nodes that are not seen well",
        "Nodes whose containerd cannot be read, whose last reading is old, or where no exporter answers. Good is an "
        "empty table.",
        "all nodes are seen well, or no exporter is scraped",
    )
    columns = (
        Column("node", "Node", link=TO_NODE),
        Column("Value #A", "containerd", width=120, words=UP_DOWN),
        Column("Value #B", "Last reading", unit="s", width=130),
        Column("Value #C", "No exporter", width=120, words={"1": ("missing", GREY)}),
    )
    read = latest("pulltrace_exporter_last_poll_timestamp_seconds", ONE, NODES)
    return rows(
        about,
        columns,
        f"{latest('pulltrace_containerd_up', ONE, NODES)} == 0",
        f"{latest('pulltrace_exporter_time_seconds', ONE, NODES)} - {read} > 30",
        latest("pulltrace_node_exporter_missing", ONE, NODES),
        sort="Node",
        descending=False,
    )


def _versions() -> Panel:
    about = About(
        8,
        "Versions",
        "How many exporters, aggregators and containerds of each version there are. Two versions of one program are "
        "an update that goes on; good is when they become one.",
        NO_EXPORTER,
    )
    exporter = f"count by (version) (max by (cluster, node, version) ({EXPORTER}))"
    runtime = f"count by (version) (max by (cluster, node, version) (pulltrace_containerd_info{{{NODES}}}))"
    return bars(
        about,
        "short",
        Line(exporter, "exporter {{version}}"),
        Line(f"count by (version) ({AGGREGATOR})", "aggregator {{version}}"),
        Line(runtime, "containerd {{version}}"),
        decimals=0,
    )


def _polls() -> Panel:
    about = About(
        9,
        "Time of reading containerd",
        "How long the polls of all exporters take. Good is far below their interval of a second.",
        NO_EXPORTER,
    )
    buckets = rate("pulltrace_exporter_poll_duration_seconds_bucket", ("le",), NODES)
    return lines(
        about,
        "s",
        Line(f"histogram_quantile(0.5, {buckets}) >= 0", "p50"),
        Line(f"histogram_quantile(0.99, {buckets}) >= 0", "p99"),
        colours={"p50": ("p50", SKY), "p99": ("p99", BLUE)},
    )


def _questions() -> Panel:
    about = About(
        10,
        "The aggregator's questions to exporters",
        "Questions per second by result. Good is ok and not_modified alone; it never exceeds its budget.",
        NO_AGGREGATOR,
    )
    asked = rate("pulltrace_aggregator_exporter_requests_total", ("result",), CLUSTER)
    return lines(about, "reqps", Line(f"{asked} > 0", "{{result}}"), stacked=True)


def _errors() -> Panel:
    about = About(
        11,
        "Failed calls to containerd",
        "By call and status code, all nodes. Good is nothing; a few while a containerd restarts are normal.",
        "no failed calls, or no exporter is scraped",
    )
    failed = grown("pulltrace_exporter_poll_errors_total", ("call", "code"), NODES, "$__rate_interval")
    return lines(about, "short", Line(f"round({failed}) > 0", "{{call}} {{code}}"), stacked=True, bars=True, decimals=0)


def _restarts() -> Panel:
    about = About(
        12,
        "Watches that ended early",
        "By resource and reason. expired now and then is normal; forbidden is a missing right, a steady stream is an "
        "API server in trouble.",
        "no watch ended early, or no aggregator is scraped",
    )
    ended = grown("pulltrace_aggregator_watch_restarts_total", ("resource", "reason"), CLUSTER, "$__rate_interval")
    line = Line(f"round({ended}) > 0", "{{resource}} {{reason}}")
    return lines(about, "short", line, stacked=True, bars=True, decimals=0)


def _faults() -> Panel:
    about = About(
        13,
        "Faults of Pulltrace",
        "Metric families left out of a scrape by a fault of ours, and web configurations that could not be read "
        "again. Good is nothing; please report the first kind.",
        "no faults, or no exporter is scraped",
    )
    faults = (
        Line(
            grown(f"pulltrace_{program}_scrape_errors_total", ("family",), where, "$__rate_interval"),
            f"{program} {{{{family}}}}",
        )
        for program, where in (("exporter", NODES), ("aggregator", CLUSTER))
    )
    config = f"count(pulltrace_web_config_last_reload_successful{{{CLUSTER}}} == 0)"
    return lines(about, "short", *faults, Line(config, "web configuration"), decimals=0)


def _memory() -> Panel:
    about = About(
        14,
        "Memory",
        "Resident memory of the largest exporter, of half of them, and of the aggregator. Good is a flat line.",
        NO_EXPORTER,
    )
    return _cost(about, "bytes", "process_resident_memory_bytes{%s}")


def _cpu() -> Panel:
    about = About(
        15,
        "CPU",
        "Cores that the busiest exporter, the median exporter and the aggregator use. An exporter at rest uses next "
        "to nothing.",
        NO_EXPORTER,
    )
    return _cost(about, "short", "rate(process_cpu_seconds_total{%s}[$__rate_interval])")


def _cost(about: About, unit: str, metric: str) -> Panel:
    exporter = f"max by {_both()} ({metric % JOBS} and {SAME} {EXPORTER})"
    aggregator = f"max by {_both()} ({metric % JOBS} and {SAME} {AGGREGATOR})"
    return lines(
        about,
        unit,
        Line(f"max({exporter})", "largest"),
        Line(f"quantile(0.5, {exporter})", "median"),
        Line(f"max({aggregator})", "aggregator"),
        colours={
            "largest": ("largest exporter", BLUE),
            "median": ("median exporter", SKY),
            "aggregator": ("aggregator", ORANGE),
        },
    )


def _both() -> str:
    return "(cluster, job, instance)"


def _series() -> Panel:
    about = About(
        16,
        "Samples of a scrape",
        "What Prometheus stores of each: the largest exporter, the median exporter, the aggregator. It grows with "
        "layers that are pulled and pods that wait, and falls back after.",
        NO_EXPORTER,
    )
    return _cost(about, "short", "scrape_samples_scraped{%s}")


def _clocks() -> Panel:
    about = About(
        17,
        "Clocks of nodes against Prometheus",
        "The largest difference between a node's clock and that of Prometheus, both ways. Good is below a second. "
        "Pulltrace does not depend on it, logs and events do.",
        NO_EXPORTER,
    )
    offset = f"pulltrace_exporter_time_seconds{{{NODES}}} - timestamp(pulltrace_exporter_time_seconds{{{NODES}}})"
    return lines(
        about,
        "s",
        Line(f"clamp_min(max({offset}), 0)", "ahead"),
        Line(f"clamp_min(max(-({offset})), 0)", "behind"),
        colours={"ahead": ("ahead", BLUE), "behind": ("behind", ORANGE)},
    )


def _stale() -> Panel:
    about = About(
        18,
        "Pulls that became stale",
        "By reason, each pull once for each reason. Orphaned comes with crashes and killed clients, "
        "no exporter with nodes that go; no bytes and slow are for the other dashboards.",
        "none became stale, or no aggregator is scraped",
    )
    became = grown("pulltrace_stale_pulls_total", ("reason",), CLUSTER, "$__rate_interval")
    line = Line(f"round({became}) > 0", "{{reason}}")
    return lines(about, "short", line, colours=STALE, stacked=True, bars=True, decimals=0)
