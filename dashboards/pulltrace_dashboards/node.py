"""Node: what this node is doing, layer by layer."""

from grafana_foundation_sdk.models.dashboard import Panel

from pulltrace_dashboards import variables
from pulltrace_dashboards.look import (
    BLUE,
    CAUSES,
    LAYER_STATES,
    ORANGE,
    PULL_PHASES,
    RED,
    REMOTE,
    SKY,
    UP_DOWN,
    steps,
)
from pulltrace_dashboards.page import Heading, Page, band, link
from pulltrace_dashboards.panels import About, Line, lines, number, state, timeline
from pulltrace_dashboards.promql import (
    CLUSTER,
    LAYER,
    NODE,
    PULL,
    ROW,
    grown,
    known_by,
    latest,
    layers_done,
    listed,
    one,
    progress,
    rate,
    running,
    short,
    short_image,
    short_type,
    tagged,
)
from pulltrace_dashboards.tables import Column, rows

ONE = ("cluster", "node")
CLOCK = latest("pulltrace_exporter_time_seconds", ONE, NODE)
RUNNING = running(NODE)
TO_POD = link("pulltrace-pod", namespace="namespace", pod="pod")
TO_IMAGE = link("pulltrace-registry", registry="registry", image="repository")
ABSENT = "no exporter"
ANY_REMOTE = max(REMOTE)
NOBODY = "no aggregator"
SEES = f"pulltrace_aggregator_kubernetes_up{{{CLUSTER}}}"


def age(metric: str, by: tuple[str, ...]) -> str:
    """Seconds since an instant, both told by the node's clock."""
    return f"{CLOCK} - on (cluster, node) group_right () {latest(metric, by, NODE)}"


def page() -> Page:
    """The dashboard of one node."""
    return Page(
        uid="pulltrace-node",
        title="Pulltrace / Node",
        question="What does this node pull, layer by layer, and is it well?",
        variables=(variables.datasource(), variables.cluster(), variables.one_node()),
        content=(
            band(3, (4, _up()), (4, _number()), (4, _resolving()), (4, _queued()), (4, _fetched()), (4, _waited())),
            band(5, (24, _pulls())),
            band(10, (24, _layers())),
            Heading(20, "Download against unpack"),
            band(7, (12, _activity()), (12, _bytes())),
            band(6, (12, _phases()), (12, _slowness())),
            Heading(21, "The line, and who waits"),
            band(7, (8, _line()), (16, _pods())),
            Heading(22, "Health"),
            band(6, (8, _health()), (8, _polls()), (8, _errors())),
        ),
    )


def _up() -> Panel:
    about = About(1, "containerd", "Whether the exporter's last reading of containerd succeeded. Good is up.", ABSENT)
    return number(about, f"min({latest('pulltrace_containerd_up', ONE, NODE)})", "short", words=UP_DOWN)


def _number() -> Panel:
    about = About(
        2, "Pulls running", "Pulls of this node that resolve, download or unpack. 0 is a node at rest.", ABSENT
    )
    expr = f"sum({latest('pulltrace_pulls_in_progress', (*ONE, 'phase'), NODE)})"
    return number(about, expr, "short", decimals=0)


def _resolving() -> Panel:
    about = About(
        3,
        "Registry silent",
        "Age of the oldest pull whose registry has not answered; 0 when there is none. Good is below a second; from "
        "10 seconds on look at the registry, DNS and the proxy.",
        "no exporter",
    )
    expr = f"max({age('pulltrace_oldest_resolving_start_time_seconds', ONE)})"
    read = f"pulltrace_containerd_up{{{NODE}}}"
    return number(about, known_by(expr, read), "s", bounds=steps((10, ORANGE), (30, RED)))


def _queued() -> Panel:
    about = About(
        4,
        "Images in line",
        "Images in the kubelet's line that are not pulled yet. By default a kubelet pulls one image at a time; good is "
        "a line that gets shorter.",
        NOBODY,
    )
    return number(
        about,
        known_by(f"max({latest('pulltrace_node_queued_images', ONE, NODE)})", SEES),
        "short",
        bounds=steps((3, ORANGE)),
        decimals=0,
    )


def _fetched() -> Panel:
    about = About(
        5,
        "Download rate",
        "Bytes per second that this node fetches from all registries. 0 while pulls run means that they unpack or "
        "stand still.",
        ABSENT,
    )
    return number(about, rate("pulltrace_downloaded_bytes_total", (), NODE), "binBps")


def _waited() -> Panel:
    about = About(
        6,
        "Pods waiting",
        "Pods of this node that wait for an image. Good is 0, or a number that falls.",
        NOBODY,
    )
    waits = latest("pulltrace_pod_pull_waiting_seconds", ROW, NODE)
    expr = f"count(count by (cluster, namespace, pod) ({waits}))"
    return number(about, known_by(expr, SEES), "short", decimals=0)


def _pulls() -> Panel:
    about = About(
        7,
        "Pulls",
        "The pulls of this node, ended ones for two minutes more. Cached is what was here before.",
        "nothing is pulled, or its exporter is not scraped",
    )
    columns = (
        Column("repository", "Image", link=TO_IMAGE),
        Column("tag", "Tag", width=62),
        Column("registry", "Registry", width=126),
        Column("phase", "Phase", width=106, words=PULL_PHASES),
        Column("Value #B", "Progress", unit="percentunit", width=92, bar=True, decimals=0),
        Column("layers", "Layers", width=68),
        Column("Value #C", "Rate", unit="binBps", width=86),
        Column("Value #D", "Time left", unit="s", width=78),
        Column("Value #E", "Size", unit="bytes", width=78),
        Column("Value #F", "Cached", unit="bytes", width=72),
        Column("Value #G", "Unpacked", unit="bytes", width=82),
        Column("Value #H", "Age", unit="s", width=80),
    )
    tag = one("pulltrace_pull_info", PULL, ("reference",), f'{NODE}, reference!=""')
    asked = latest("pulltrace_pod_pull_info", (*PULL, "image"), f'{NODE}, digest!=""')
    return rows(
        about,
        columns,
        one("pulltrace_pull_phase", PULL, ("phase",), NODE),
        progress(NODE),
        latest("pulltrace_pull_bytes_per_second", PULL, NODE),
        latest("pulltrace_pull_eta_seconds", PULL, NODE),
        latest("pulltrace_pull_size_bytes", PULL, NODE),
        latest("pulltrace_pull_cached_bytes", PULL, NODE),
        latest("pulltrace_pull_unpacked_bytes", PULL, NODE),
        age("pulltrace_pull_start_time_seconds", PULL),
        layers_done(NODE),
        tagged(tag, asked, PULL),
        hidden=(
            "node",
            "digest",
            "reference",
            "image",
        ),
        sort="Age",
        descending=False,
    )


def _layers() -> Panel:
    about = About(
        8,
        "Layers of the running pulls",
        "Every layer that is not cached, in the manifest's order. containerd downloads a few at a time (three by "
        "default) and unpacks them in order: one large layer at the front holds up all behind it.",
        "nothing is pulled, or its exporter is not scraped or runs with --no-collector.layers",
    )
    columns = (
        Column("repository", "Image"),
        Column("layer", "Layer", width=65),
        Column("media_type", "Media type", width=235),
        Column("layer_digest", "Digest", width=118),
        Column("Value #B", "Size", unit="bytes", width=90),
        Column("Value #C", "Progress", unit="percentunit", width=150, bar=True, decimals=0),
        Column("Value #D", "Rate", unit="binBps", width=100),
        Column("state", "State", width=115, words=LAYER_STATES),
    )
    size = latest("pulltrace_layer_size_bytes", LAYER, NODE)
    fetched = f"{latest('pulltrace_layer_downloaded_bytes', LAYER, NODE)} / ({size} > 0)"
    remote = latest("pulltrace_layer_state", LAYER, f'{NODE}, state="remote"')
    here = latest("pulltrace_layer_state", LAYER, f'{NODE}, state=~"downloaded|unpacking|unpacked|cached"')
    return rows(
        about,
        columns,
        _of_layers(one("pulltrace_layer_state", LAYER, ("state",), NODE)),
        _of_layers(size),
        _of_layers(f"({ANY_REMOTE} * {remote} or {here} or {fetched})"),
        _of_layers(latest("pulltrace_layer_bytes_per_second", LAYER, NODE)),
        hidden=(
            "node",
            "registry",
            "digest",
        ),
        sort="Layer",
        descending=False,
    )


def _of_layers(expression: str) -> str:
    """The layers of the pulls that go on, with digests that fit."""
    return short_type(short(f"({expression} and on {listed(PULL)} ({RUNNING}))", "layer_digest"))


def _activity() -> Panel:
    about = About(
        9,
        "Share of time with a download, and with an unpack",
        "How much of the time at least one pull downloads, and unpacks. Unpack near 100 % with little download: the "
        "disk is the brake. The other way round: the network or the registry.",
        "nothing was pulled, or no exporter is scraped",
    )
    seconds = rate("pulltrace_active_seconds_total", ("registry", "stage"), NODE)
    colours = {"download": ("download", BLUE), "unpack": ("unpack", SKY)}
    line = Line(f"clamp_max(max by (stage) ({seconds}), 1)", "{{stage}}")
    return lines(about, "percentunit", line, colours=colours, maximum=1, decimals=0)


def _bytes() -> Panel:
    about = About(
        10,
        "Bytes fetched by media type",
        "What comes over the network into the content store, each byte once. Layers are the bulk; manifests and "
        "configs alone mean that everything else was cached.",
        "nothing was fetched, or no exporter is scraped",
    )
    fetched = rate("pulltrace_downloaded_bytes_total", ("media_type",), NODE)
    return lines(about, "binBps", Line(f"{short_type(fetched)} > 0", "{{media_type}}"), stacked=True)


def _phases() -> Panel:
    about = About(
        11,
        "Pulls over time",
        "The phase of each image on this node. Two wide bands beside each other are parallel pulls that share the "
        "node's bandwidth.",
        "nothing was pulled, or no exporter is scraped",
    )
    by = ("registry", "repository", "digest")
    expr = state("pulltrace_pull_phase", by, NODE, "phase", PULL_PHASES)
    return timeline(about, PULL_PHASES, Line(short(f"({expr})", "digest"), "{{repository}} {{digest}}"))


def _slowness() -> Panel:
    about = About(
        12,
        "Rate against the other nodes",
        "This node's rate as a part of the median of all nodes that pull the same digest. Good is around 100 %; far "
        "below while others are fast means this node: its link, disk or neighbours. Only with two nodes or more.",
        "no other node pulls the same images, or no exporter is scraped",
    )
    same = 'pulltrace_pull_bytes_per_second{cluster=~"$cluster"}'
    rates = f"max by {listed(PULL)} ({same})"
    median = f"quantile by (cluster, registry, repository, digest) (0.5, {rates})"
    several = f"count by (cluster, registry, repository, digest) ({rates}) > 1"
    own = latest("pulltrace_pull_bytes_per_second", PULL, NODE)
    join = "on (cluster, registry, repository, digest)"
    share = f"{own} / {join} group_left () ({median} and ({several}))"
    return lines(about, "percentunit", Line(share, "{{repository}}"), decimals=0)


def _line() -> Panel:
    about = About(
        13,
        "The kubelet's line",
        "Images that the kubelet is about to pull, from its intents (Kubernetes 1.35 and later, where the exporter may "
        "read them). Empty on older nodes: the number above then comes from the pods.",
        "no line, or the kubelet tells of none",
    )
    columns = (
        Column("reference", "Image"),
        Column("Value", "In line for", unit="s", width=110),
    )
    by = (*ONE, "registry", "repository", "reference")
    expr = age("pulltrace_queued_pull_start_time_seconds", by)
    return rows(
        about,
        columns,
        expr,
        hidden=(
            "node",
            "registry",
            "repository",
        ),
        sort="In line for",
    )


def _pods() -> Panel:
    about = About(
        14,
        "Pods that wait here",
        "Who waits on this node, for what, and why. The longest first.",
        "no pod waits here, or no aggregator is scraped",
    )
    columns = (
        Column("Value #A", "Waiting", unit="s", width=85, bounds=steps((300, ORANGE), (900, RED))),
        Column("cause", "Cause", width=112, words=CAUSES),
        Column("namespace", "Namespace", width=105),
        Column("pod", "Pod", link=TO_POD),
        Column("container", "Container", width=105),
        Column("short", "Image"),
    )
    waits = latest("pulltrace_pod_pull_waiting_seconds", ROW, NODE)
    cause = one("pulltrace_pod_pull_blocked_by", ROW, ("cause",), NODE)
    return rows(
        about,
        columns,
        short_image(waits),
        cause,
        hidden=(
            "node",
            "container_type",
            "image",
        ),
        sort="Waiting",
    )


def _health() -> Panel:
    about = About(
        15,
        "containerd and its exporter",
        "Whether containerd answered. A gap means that the exporter was not scraped.",
        ABSENT,
    )
    value = latest("pulltrace_containerd_up", ONE, NODE)
    return timeline(about, {"down": ("down", RED), "up": ("up", BLUE)}, Line(f"1 + {value}", "containerd"))


def _polls() -> Panel:
    about = About(
        16,
        "Time of reading containerd",
        "How long the exporter's polls take. Good is far below the interval of a second; a rise is a containerd under "
        "pressure, which pulls feel too.",
        ABSENT,
    )
    metric = "pulltrace_exporter_poll_duration_seconds_bucket"
    buckets = rate(metric, ("le",), NODE)
    return lines(
        about,
        "s",
        Line(f"histogram_quantile(0.5, {buckets}) >= 0", "p50"),
        Line(f"histogram_quantile(0.99, {buckets}) >= 0", "p99"),
        colours={"p50": ("p50", SKY), "p99": ("p99", BLUE)},
    )


def _errors() -> Panel:
    about = About(
        17,
        "Failed calls to containerd",
        "Calls that containerd refused or did not answer, by call and status code. Good is nothing.",
        "no failed calls, or no exporter is scraped",
    )
    failed = grown("pulltrace_exporter_poll_errors_total", ("call", "code"), NODE, "$__rate_interval")
    return lines(about, "short", Line(f"round({failed}) > 0", "{{call}} {{code}}"), stacked=True, bars=True, decimals=0)
