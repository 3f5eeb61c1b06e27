"""Pod: why is this pod not running?"""

from grafana_foundation_sdk.models.dashboard import Panel

from pulltrace_aggregator.diagnosis.blocked_by import RULES
from pulltrace_aggregator.model.states import Cause
from pulltrace_dashboards import variables
from pulltrace_dashboards.look import CAUSES, NONE, ORANGE, POD_PHASES, PULL_PHASES, REASONS, RED, steps
from pulltrace_dashboards.page import Heading, Page, band, link
from pulltrace_dashboards.panels import About, Line, lines, name, number, state, timeline
from pulltrace_dashboards.promql import (
    CLUSTER,
    POD,
    PULL,
    ROW,
    grown,
    known_by,
    latest,
    layers_done,
    listed,
    one,
    pod_progress,
    progress,
    running,
    short_image,
    tagged,
    word_or,
)
from pulltrace_dashboards.tables import Column, rows

CONTAINER = ("container", "container_type", "image")
NOBODY = "no aggregator"
NOT_WAITING = {"not_waiting": ("not waiting", NONE)}
SEES = f"pulltrace_aggregator_kubernetes_up{{{CLUSTER}}}"
TO_NODE = link("pulltrace-node", node="node")
TO_IMAGE = link("pulltrace-registry", image="repository")
WAITING = latest("pulltrace_pod_pull_waiting_seconds", ROW, POD)
INFO = f"pulltrace_pod_pull_info{{{POD}}}"
HERE = f"and on (cluster, node) {INFO}"
GOES_ON = f"and on {listed(PULL)} ({running(CLUSTER)}) {HERE}"
"""Of the pulls that go on, those on the nodes of the pod."""


def page() -> Page:
    """The dashboard that an alert about a pod leads to."""
    return Page(
        uid="pulltrace-pod",
        title="Pulltrace / Pod",
        question="Why is this pod not running?",
        variables=(variables.datasource(), variables.cluster(), variables.one_namespace(), variables.one_pod()),
        content=(
            band(3, (5, _cause()), (5, _phase()), (5, _waited()), (5, _left()), (4, _ahead_number())),
            band(5, (24, _images())),
            band(9, (7, _advice()), (7, _phases()), (10, _ahead())),
            Heading(20, "How it went"),
            band(7, (12, _progress()), (12, _rate())),
            band(7, (10, _failures()), (14, _elsewhere())),
        ),
        since="now-30m",
    )


def _cause() -> Panel:
    about = About(
        1,
        "Cause",
        "What blocks the pod's images, the nearest cause. Progressing is good: it takes its time. What to do about "
        "each stands at the right.",
        NOBODY,
    )
    causes = f"max by (cause) (pulltrace_pod_pull_blocked_by{{{POD}}})"
    return name(about, word_or(causes, SEES, "cause", "not_waiting"), "cause", {**CAUSES, **NOT_WAITING})


def _phase() -> Panel:
    about = About(
        2,
        "Phase",
        "Where the pod's images are on their way: queued, resolving, downloading, unpacking, pulled. "
        "Back-off and failed mean that an attempt did not succeed.",
        NOBODY,
    )
    phases = f"max by (phase) (pulltrace_pod_pull_phase{{{POD}}})"
    return name(about, word_or(phases, SEES, "phase", "not_waiting"), "phase", {**POD_PHASES, **NOT_WAITING})


def _waited() -> Panel:
    about = About(
        3,
        "Waiting for",
        "How long the pod has been waiting, for the image that it has waited for longest. "
        "Orange from 5 minutes on, red from 15.",
        NOBODY,
    )
    return number(about, known_by(f"max({WAITING})", SEES), "s", bounds=steps((300, ORANGE), (900, RED)))


def _left() -> Panel:
    about = About(
        4,
        "Download done in",
        "Time until the last of its running downloads has all bytes, at the present rate. Unpacking comes after it. "
        "Unknown while an image is in the queue or its registry has not answered.",
        "unknown",
    )
    return number(about, f"max({latest('pulltrace_pod_pull_eta_seconds', ROW, POD)})", "s")


def _ahead_number() -> Panel:
    about = About(
        5,
        "Images in line",
        "Images in the kubelet's line on the pod's node, its own included. Good is nothing or 1: by default a "
        "node pulls one image at a time.",
        NOBODY,
    )
    queued = latest("pulltrace_node_queued_images", ("cluster", "node"), CLUSTER)
    expr = known_by(f"max({queued} {HERE})", SEES)
    return number(about, expr, "short", bounds=steps((3, ORANGE)), decimals=0)


def _images() -> Panel:
    about = About(
        6,
        "Images of this pod",
        "Each image that a container of the pod waits for, or has got a moment ago. Layers are those that the node is "
        "done with, of all. There are no figures where it is not certain which pull it is.",
        "The pod waits for no image (its events tell another cause), or no aggregator is scraped",
    )
    columns = (
        Column("container", "Container", width=98),
        Column("container_type", "Kind", width=76),
        Column("short", "Image"),
        Column("registry", "Registry", width=126),
        Column("cause", "Cause", width=112, words=CAUSES),
        Column("phase", "Phase", width=108, words=POD_PHASES),
        Column("Value #C", "Progress", unit="percentunit", width=95, bar=True, decimals=0),
        Column("Value #D", "Size", unit="bytes", width=78),
        Column("Value #E", "Time left", unit="s", width=80),
        Column("layers", "Layers", width=74),
        Column("node", "Node", width=90, link=TO_NODE),
    )
    return rows(
        about,
        columns,
        short_image(one("pulltrace_pod_pull_phase", ROW, ("phase",), POD)),
        one("pulltrace_pod_pull_blocked_by", ROW, ("cause",), POD),
        pod_progress(POD),
        latest("pulltrace_pod_pull_size_bytes", ROW, POD),
        latest("pulltrace_pod_pull_eta_seconds", ROW, POD),
        one("pulltrace_pod_pull_info", ROW, ("registry",), POD),
        _layers(),
        hidden=(
            "namespace",
            "pod",
            "image",
        ),
        sort="Container",
        descending=False,
    )


def _layers() -> str:
    """The label `layers` of the pull of each image: "3 of 7"."""
    info = latest("pulltrace_pod_pull_info", (*ROW, *PULL[2:]), f'{POD}, digest!=""')
    joined = f"{info} * on {listed(PULL)} group_left (layers) {layers_done(CLUSTER, HERE)}"
    return f"max by {listed((*ROW, 'layers'))} ({joined})"


def _phases() -> Panel:
    about = About(
        7,
        "Phases",
        "The way of each image so far. Good is a short band of each colour up to pulled. A long queue is another "
        "image's fault, a long resolving the registry's; back-off in turns with others is a failure that repeats.",
        "no image was waited for, or no aggregator is scraped",
    )
    expr = state("pulltrace_pod_pull_phase", CONTAINER, POD, "phase", POD_PHASES)
    return timeline(about, POD_PHASES, Line(expr, "{{container}}"))


def _ahead() -> Panel:
    about = About(
        8,
        "What its node pulls",
        "The pulls that go on where the pod is: one of them is its own, or is what it waits behind. The line of the "
        "kubelet is served in order, so the longest is what matters.",
        "its node pulls nothing, or has no exporter that is scraped",
    )
    columns = (
        Column("repository", "Image", link=TO_IMAGE),
        Column("phase", "Phase", width=108, words=PULL_PHASES),
        Column("Value #B", "Progress", unit="percentunit", width=90, bar=True, decimals=0),
        Column("Value #C", "Time left", unit="s", width=90),
    )
    where = f'{CLUSTER}, phase=~"downloading|unpacking"'
    return rows(
        about,
        columns,
        f"{one('pulltrace_pull_phase', PULL, ('phase',), where)} {HERE}",
        f"({progress(CLUSTER)}) {GOES_ON}",
        f"{latest('pulltrace_pull_eta_seconds', PULL, CLUSTER)} {GOES_ON}",
        hidden=(
            "node",
            "registry",
            "digest",
        ),
        sort="Time left",
    )


def _advice() -> Panel:
    about = About(
        9,
        "What to do",
        "The first thing to do about each cause of this pod; docs/causes.md has the rest. "
        "Where it says to wait, nothing is wrong.",
        "the pod waits for no image, or no aggregator is scraped",
    )
    columns = (
        Column("cause", "Cause", width=112, words=CAUSES),
        Column("step", "Next step", wrap=True),
    )
    return rows(about, columns, " or ".join(_step(cause) for cause in CAUSES), hidden=("Value",))


def _step(cause: str) -> str:
    """A cause with its advice as a label: a table measures a row by values, not by what they are mapped to."""
    causes = f'max by (cause) (pulltrace_pod_pull_blocked_by{{{POD}, cause="{cause}"}})'
    advice = _first_advice(cause).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'label_replace({causes}, "step", "{advice}", "cause", ".+")'


def _first_advice(cause: str) -> str:
    """The advice of the first rule that gives this cause, on one line and without backticks."""
    advice = next(rule.advice for rule in RULES if rule.cause is Cause(cause))
    return " ".join(advice.replace("`", "").split())


def _progress() -> Panel:
    about = About(
        10,
        "Progress",
        "The downloaded part of each image. Good is a straight line to 100 %; a flat piece is a stall, a drop back is "
        "a new attempt.",
        "no figure: the pull is not found, has not begun, or no aggregator is scraped",
    )
    ratio = latest("pulltrace_pod_pull_progress_ratio", CONTAINER, POD)
    return lines(about, "percentunit", Line(ratio, "{{container}}"), maximum=1, decimals=0)


def _rate() -> Panel:
    about = About(
        11,
        "Rate, against the other nodes",
        "The rate of this pod's images, and the median of the other nodes that pull the same digests. Far below it is "
        "the node's fault, with it is the registry's.",
        "nothing was downloaded, or no aggregator is scraped",
    )
    own = latest("pulltrace_pod_pull_bytes_per_second", CONTAINER, POD)
    rates = latest("pulltrace_pull_bytes_per_second", PULL, CLUSTER)
    others = f"{rates} and on (cluster, digest) {INFO} unless on (cluster, node) {INFO}"
    median = f"quantile by (repository) (0.5, {others})"
    return lines(about, "binBps", Line(own, "{{container}}"), Line(median, "others: {{repository}}"))


def _failures() -> Panel:
    about = About(
        12,
        "Failures in its namespace, from its registries",
        "Failed pulls as the kubelets report them, by reason, of all pods of this namespace and of the registries "
        "that this pod's images come from. Good is nothing.",
        "no failures, or no aggregator is scraped",
    )
    by = ("cluster", "namespace", "registry", "reason")
    where = f'{CLUSTER}, namespace="$namespace"'
    failed = grown("pulltrace_pod_pull_failures_total", by, where, "$__rate_interval")
    own = f"and on (cluster, namespace, registry) last_over_time({INFO}[$__range])"
    line = Line(f"round(sum by (reason) ({failed} {own})) > 0", "{{reason}}")
    return lines(about, "short", line, colours=REASONS, stacked=True, bars=True, decimals=0)


def _elsewhere() -> Panel:
    about = About(
        13,
        "These images on other nodes",
        "The same repositories on the other nodes now. Others that succeed mean that the image and its registry are "
        "well: look at this pod's node and secrets.",
        "no other node pulls them, or no exporter is scraped",
    )
    own = f"and on (cluster, registry, repository) {INFO} unless on (cluster, node) {INFO}"
    columns = (
        Column("repository", "Image", link=TO_IMAGE),
        Column("tag", "Tag", width=70),
        Column("node", "Node", width=110, link=TO_NODE),
        Column("phase", "Phase", width=108, words=PULL_PHASES),
        Column("Value #B", "Progress", unit="percentunit", width=95, bar=True, decimals=0),
        Column("Value #C", "Rate", unit="binBps", width=90),
    )
    tag = one("pulltrace_pull_info", PULL, ("reference",), f'{CLUSTER}, reference!=""')
    asked = latest("pulltrace_pod_pull_info", (*PULL, "image"), f'{CLUSTER}, digest!=""')
    return rows(
        about,
        columns,
        f"{one('pulltrace_pull_phase', PULL, ('phase',), CLUSTER)} {own}",
        f"({progress(CLUSTER)}) {own}",
        f"{latest('pulltrace_pull_bytes_per_second', PULL, CLUSTER)} {own}",
        f"({tagged(f'{tag} {own}', f'{asked} {own}', PULL)}) and on {listed(PULL)} pulltrace_pull_phase{{{CLUSTER}}}",
        hidden=(
            "registry",
            "digest",
            "reference",
            "image",
        ),
        sort="Phase",
        descending=False,
    )
