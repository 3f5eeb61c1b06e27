"""Overview: what is pulled now, what is stuck, who waits and why."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from pulltrace_dashboards import variables
from pulltrace_dashboards.look import CAUSES, ORANGE, REASONS, RED, SEVERITIES, STAGES, STALE, steps
from pulltrace_dashboards.page import FIRING, Heading, Page, band, link
from pulltrace_dashboards.panels import About, Line, bars, lines, number
from pulltrace_dashboards.promql import (
    CLUSTER,
    IMAGE,
    NODES,
    PULL,
    ROW,
    by_remote,
    grown,
    known_by,
    latest,
    listed,
    one,
    pod_progress,
    rate,
    running,
    short_image,
    tagged,
)
from pulltrace_dashboards.tables import Column, rows

PULLS = f'{NODES}, registry=~"$registry", repository=~"$image"'
REGISTRY = f'{NODES}, registry=~"$registry"'
PODS = f'{NODES}, namespace=~"$namespace"'
INFO = 'registry=~"$registry", repository=~"$image"'
FAILURES = f'{CLUSTER}, namespace=~"$namespace", registry=~"$registry"'
SEES = f"pulltrace_aggregator_kubernetes_up{{{CLUSTER}}}"
NOBODY = "no aggregator"

FITS = f"and on {listed(ROW)} pulltrace_pod_pull_info{{{PODS}, {INFO}}}"
SEEN = f"pulltrace_pod_pull_waiting_seconds{{{PODS}}} {FITS}"
"""What is waited for, once for each generation: enough where only pods or the greatest value are asked for."""
LONGEST = f"topk(50, {latest('pulltrace_pod_pull_waiting_seconds', ROW, PODS, FITS)})"
GOES_ON = running(PULLS)
TO_POD = link("pulltrace-pod", namespace="namespace", pod="pod")
TO_NODE = link("pulltrace-node", node="node")
TO_IMAGE = link("pulltrace-registry", registry="registry", image="repository")


def page() -> Page:
    """The dashboard to open first."""
    return Page(
        uid="pulltrace-overview",
        title="Pulltrace / Overview",
        question="What is pulled now, what is stuck, who waits for an image and why?",
        variables=(
            variables.datasource(),
            variables.cluster(),
            variables.namespaces(),
            variables.nodes(),
            variables.registries(),
            variables.images(),
        ),
        content=(
            band(3, (4, _pods()), (4, _blocked()), (4, _longest()), (4, _stuck_number()), (4, _pulls()), (4, _rate())),
            band(8, (19, _waits()), (5, _causes())),
            band(7, (16, _now()), (8, _stuck())),
            band(6, (24, _alerts())),
            Heading(20, "Over time"),
            band(8, (12, _speed()), (12, _failures())),
            band(8, (12, _over_time()), (12, _stages())),
        ),
    )


def _pods() -> Panel:
    about = About(
        1,
        "Pods waiting",
        "Pods that wait for at least one image now. 0 is calm; after a roll-out it falls within minutes. "
        "No aggregator means that nobody looks, not that nobody waits.",
        NOBODY,
    )
    expr = f"count(count by (cluster, namespace, pod) ({SEEN}))"
    return number(about, known_by(expr, SEES), "short", decimals=0)


def _blocked() -> Panel:
    about = About(
        2,
        "Pods blocked",
        "Pods with an image whose cause is neither progressing nor queue nor shared layer: "
        "something slows or stops it. Good is 0.",
        NOBODY,
    )
    blocked = f'pulltrace_pod_pull_blocked_by{{{PODS}, cause!~"progressing|queue|shared_layer"}}'
    expr = f"count(count by (cluster, namespace, pod) ({SEEN} and on {listed(ROW)} {blocked}))"
    return number(about, known_by(expr, SEES), "short", bounds=steps((1, RED)), decimals=0)


def _longest() -> Panel:
    about = About(
        3,
        "Longest wait",
        "How long the image that is waited for longest has been waited for. Good is below what your largest image "
        "takes; from 5 minutes on it is orange, from 15 minutes on red.",
        NOBODY,
    )
    return number(about, known_by(f"max({SEEN})", SEES), "s", bounds=steps((300, ORANGE), (900, RED)))


def _stuck_number() -> Panel:
    about = About(
        4,
        "Stuck pulls",
        "Pulls that do not move, are far too slow, were left behind by a crash, or whose node does not answer. "
        "Good is 0. The reasons are in the table of stuck pulls.",
        NOBODY,
    )
    expr = f"count({latest('pulltrace_pull_stale', PULL, PULLS)})"
    return number(about, known_by(expr, SEES), "short", bounds=steps((1, RED)), decimals=0)


def _pulls() -> Panel:
    about = About(
        5,
        "Pulls running",
        "Pulls in all nodes whose registry has not answered yet, that download, and that unpack. "
        "No exporter means that nobody looks.",
        "no exporter",
    )
    expr = f"sum({latest('pulltrace_pulls_in_progress', ('cluster', 'node', 'phase'), NODES)})"
    return number(about, expr, "short", decimals=0)


def _rate() -> Panel:
    about = About(
        6,
        "Download rate",
        "Bytes per second that all these nodes fetch. 0 while pulls run means that all of them unpack or stand still.",
        "no exporter",
    )
    return number(about, rate("pulltrace_downloaded_bytes_total", (), REGISTRY), "binBps")


def _waits() -> Panel:
    about = About(
        7,
        "Longest waits, and what blocks them",
        "The 50 images that pods wait for longest, each with its cause. Blue goes on by itself, orange is slow, red "
        "stands still, purple needs somebody to change something. What to do is behind the name of the pod.",
        "nobody waits for an image, or no aggregator is scraped",
    )
    only = f"and on {listed(ROW)} {LONGEST}"
    columns = (
        Column("Value #A", "Waiting", unit="s", width=80, bounds=steps((300, ORANGE), (900, RED))),
        Column("cause", "Cause", width=112, words=CAUSES),
        Column("pod", "Pod", link=TO_POD),
        Column("short", "Image"),
        Column("Value #C", "Progress", unit="percentunit", width=95, bar=True, decimals=0),
        Column("Value #D", "Time left", unit="s", width=82),
        Column("node", "Node", width=90, link=TO_NODE),
        Column("namespace", "Namespace", width=95),
    )
    return rows(
        about,
        columns,
        short_image(LONGEST),
        one("pulltrace_pod_pull_blocked_by", ROW, ("cause",), PODS, only),
        pod_progress(PODS, only),
        latest("pulltrace_pod_pull_eta_seconds", ROW, PODS, only),
        hidden=(
            "container",
            "container_type",
            "image",
        ),
        sort="Waiting",
    )


def _causes() -> Panel:
    about = About(
        8,
        "Why pods wait",
        "Images that pods wait for, by cause. Good is progressing, and queue during a roll-out. One other bar that "
        "stands out is one fault with many victims.",
        "nobody waits, or no aggregator is scraped",
    )
    causes = one("pulltrace_pod_pull_blocked_by", ROW, ("cause",), PODS, FITS)
    line = Line(f"sort_desc(count by (cause) ({causes}))", "{{cause}}")
    return bars(about, "short", line, colours=CAUSES, decimals=0)


def _now() -> Panel:
    about = About(
        9,
        "Pulled now",
        "Images that nodes download or unpack now: on how many, how far on average, how fast together, when the last "
        "node has all bytes, and how many pods wait for them.",
        "nothing is pulled, or no exporter is scraped",
    )
    nodes = "count by (cluster, registry, repository, digest)"
    going = f"and on {listed(PULL)} {GOES_ON}"
    tag = one("pulltrace_pull_info", IMAGE, ("reference",), f'{PULLS}, reference!=""')
    asked = latest("pulltrace_pod_pull_info", (*IMAGE, "image"), f"{PODS}, {INFO}")
    info = latest("pulltrace_pod_pull_info", ("cluster", "namespace", "pod", *IMAGE[1:]), f"{PODS}, {INFO}")
    still = f"pulltrace_pod_pull_waiting_seconds{{{PODS}}}"
    columns = (
        Column("repository", "Image", link=TO_IMAGE),
        Column("tag", "Tag", width=64),
        Column("registry", "Registry", width=126),
        Column("Value #A", "Nodes", width=76),
        Column("Value #B", "Progress", unit="percentunit", width=90, bar=True, decimals=0),
        Column("Value #C", "Rate", unit="binBps", width=84),
        Column("Value #D", "Time left", unit="s", width=76),
        Column("Value #F", "Pods", width=50),
    )
    return rows(
        about,
        columns,
        f"{nodes} ({GOES_ON})",
        _progress(going),
        f"sum by {listed(IMAGE)} ({latest('pulltrace_pull_bytes_per_second', PULL, PULLS)} {going})",
        f"max by {listed(IMAGE)} ({latest('pulltrace_pull_eta_seconds', PULL, PULLS)} {going})",
        f"({tagged(tag, asked, IMAGE)}) and on {listed(IMAGE)} ({GOES_ON})",
        f"{nodes} ({info} and on (cluster, namespace, pod) {still} and on {listed(IMAGE)} ({GOES_ON}))",
        hidden=(
            "digest",
            "reference",
            "image",
        ),
        sort="Nodes",
    )


def _progress(going: str) -> str:
    """The mean share where bytes are seen; what fetches the image where none are."""
    seen = f"avg by {listed(IMAGE)} ({latest('pulltrace_pull_progress_ratio', PULL, PULLS)} {going})"
    return f"{seen} or max by {listed(IMAGE)} (({by_remote(PULLS)}) {going})"


def _stuck() -> Panel:
    about = About(
        10,
        "Stuck pulls",
        "Each pull that is stale, with the one reason: no bytes for a minute, unpack stands still, no layer from its "
        "remote snapshotter for long, would take more than an hour, left behind by a crash, no answer from the node. "
        "Good is an empty table.",
        "nothing is stuck, or no aggregator is scraped",
    )
    columns = (
        Column("reason", "Reason", width=114, words=STALE),
        Column("node", "Node", width=82, link=TO_NODE),
        Column("repository", "Image", link=link("pulltrace-registry", image="repository")),
    )
    stale = one("pulltrace_pull_stale", PULL, ("reason",), PULLS)
    return rows(
        about,
        columns,
        stale,
        hidden=(
            "registry",
            "digest",
            "Value",
        ),
        sort="Reason",
        descending=False,
    )


def _alerts() -> Panel:
    about = About(
        15,
        "Alerts firing",
        "The alerts of Pulltrace that fire now, as Prometheus knows them. Good is an empty table. It stays empty where "
        "the alerts are evaluated somewhere that this data source does not reach.",
        "no alert fires, or no rules of Pulltrace are evaluated here",
    )
    columns = (
        Column("severity", "Severity", width=90, words=SEVERITIES),
        Column("alertname", "Alert", width=300),
        Column("namespace", "Namespace", width=140),
        Column("pod", "Pod"),
        Column("node", "Node", width=120, link=TO_NODE),
        Column("registry", "Registry", width=160),
    )
    return rows(about, columns, f"sort({' or '.join(_ranked())})", hidden=("Value",))


def _ranked() -> Iterator[str]:
    """The alerts that fire with a number to sort by: the words of severity have another order."""
    by = ("cluster", "severity", "alertname", "namespace", "pod", "node", "registry")
    for rank, severity in enumerate((*SEVERITIES, ".*"), start=1):
        yield f'{rank} * max by {listed(by)} (ALERTS{{{FIRING}, severity=~"{severity}"}})'


def _speed() -> Panel:
    about = About(
        11,
        "Speed by registry",
        "Bytes per second of a node while it downloads from the registry, on average over the nodes that do. It does "
        "not depend on how much is pulled: a fall for one registry is the registry, for all it is your network.",
        "nothing was downloaded, or no exporter is scraped",
    )
    fetched = rate("pulltrace_downloaded_bytes_total", ("registry",), REGISTRY)
    active = rate("pulltrace_active_seconds_total", ("registry",), f'{REGISTRY}, stage="download"')
    return lines(about, "binBps", Line(f"{fetched} / ({active} > 0)", "{{registry}}"))


def _failures() -> Panel:
    about = About(
        12,
        "Failures by reason",
        "Failed pulls as the kubelets report them, a lower bound. Good is nothing. Shades of purple are settings, "
        "shades of red and brown are the registry or the way to it, orange is the node's disk.",
        "no failures, or no aggregator is scraped",
    )
    failed = grown("pulltrace_pod_pull_failures_total", ("reason",), FAILURES, "$__rate_interval")
    line = Line(f"round({failed}) > 0", "{{reason}}")
    return lines(about, "short", line, colours=REASONS, stacked=True, bars=True, decimals=0)


def _over_time() -> Panel:
    about = About(
        13,
        "Images waited for, by cause",
        "How many images pods wait for. A hill after a roll-out is normal; a plateau is not.",
        "nobody waited, or no aggregator is scraped",
    )
    # Of each node the generation that sees more: far cheaper over time than making each wait unique.
    each = f"count by (cluster, node, instance, cause) (pulltrace_pod_pull_blocked_by{{{PODS}}})"
    line = Line(f"sum by (cause) (max by (cluster, node, cause) ({each}))", "{{cause}}")
    return lines(about, "short", line, colours=CAUSES, stacked=True, decimals=0)


def _stages() -> Panel:
    about = About(
        14,
        "Where the time of a pod's start goes",
        "Mean seconds of each stage of the image waits that ended well in the chosen time. Long queue: pull in "
        "parallel. Long resolve: the registry. Long download: size and network. Long unpack: the node's disk.",
        "no wait has ended, or no aggregator is scraped",
    )
    where = f'{CLUSTER}, namespace=~"$namespace"'
    return bars(about, "s", *(Line(_mean(stage, where), stage) for stage in STAGES), colours=STAGES)


def _mean(stage: str, where: str) -> str:
    """A query of its own for each, so that they stand in their order."""
    own = f'{where}, stage="{stage}"'
    seconds = grown("pulltrace_pod_pull_stage_seconds_sum", ("stage",), own)
    return f"{seconds} / ({grown('pulltrace_pod_pull_stage_seconds_count', ('stage',), own)} > 0)"
