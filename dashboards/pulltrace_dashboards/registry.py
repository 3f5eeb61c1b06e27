"""Registry and rollout: which registry is slow or fails, and how far an image has come."""

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import Panel

from pulltrace_alerts.recorded import (
    ACTIVE_5M,
    CACHED_5M,
    DURATIONS_5M,
    FETCHED_5M,
    REMOTE_5M,
    STAGE_PULLS_5M,
    STAGE_SECONDS_5M,
)
from pulltrace_dashboards import variables
from pulltrace_dashboards.look import BLUE, ORANGE, PALE_SLATE, PULL_PHASES, REASONS, RED, SKY, STAGES, steps
from pulltrace_dashboards.page import Heading, Page, band, link
from pulltrace_dashboards.panels import About, Line, lines
from pulltrace_dashboards.promql import CLUSTER, IMAGE, PULL, grown, latest, listed, one, progress, tagged
from pulltrace_dashboards.tables import Column, rows

REGISTRY = f'{CLUSTER}, registry=~"$registry"'
PULLS = f'{REGISTRY}, repository=~"$image"'
BY = ("cluster", "registry")
REPOSITORY = (*BY, "repository")
TO_NODE = link("pulltrace-node", node="node")
NONE = "nothing was pulled, or no exporter is scraped"
NO_RULES = "nothing was pulled, or the recording rules are not loaded"
ALONE = 1e6
"""More than any share of a median. A pull without peers sorts last, and is not called fast."""


def page() -> Page:
    """The dashboard of what pulls have in common: where they come from, and what they bring."""
    return Page(
        uid="pulltrace-registry",
        title="Pulltrace / Registry and rollout",
        question="Is a registry slow or failing, and how far is the rollout of an image?",
        variables=(variables.datasource(), variables.cluster(), variables.registries(), variables.images()),
        content=(
            band(6, (24, _registries())),
            band(6, (24, _rollouts())),
            band(6, (12, _speed()), (12, _nodes())),
            Heading(20, "Registries"),
            band(7, (12, _durations()), (12, _stages())),
            band(7, (12, _failures()), (12, _amount())),
            Heading(21, "Nodes of these images"),
            band(9, (24, _peers())),
        ),
    )


def _registries() -> Panel:
    about = About(
        1,
        "Registries, over the chosen time",
        "Speed is bytes per second of a node while it downloads; it and the p columns need the recording rules. "
        "Success counts the attempts that the kubelets report. Good is above 99 % and a p90 that you know; orange from "
        "below 99 %, red from below 90 %.",
        NONE,
    )
    columns = (
        Column("registry", "Registry"),
        Column("Value #A", "Fetched", unit="bytes", width=110),
        Column("Value #B", "From cache", unit="bytes", width=110),
        Column("Value #C", "Speed", unit="binBps", width=120),
        Column("Value #D", "Success", unit="percentunit", width=100, bounds=_shares(), decimals=1),
        Column("Value #E", "Failures", width=90, bounds=steps((1, ORANGE)), decimals=0),
        Column("Value #F", "p50", unit="s", width=90),
        Column("Value #G", "p90", unit="s", width=90),
        Column("Value #H", "p99", unit="s", width=90),
        Column("Value #I", "Pulls", width=90, decimals=0),
    )
    good = grown("pulltrace_pod_pull_duration_seconds_count", BY, REGISTRY)
    bad = grown("pulltrace_pod_pull_failures_total", BY, REGISTRY)
    return rows(
        about,
        columns,
        grown("pulltrace_downloaded_bytes_total", BY, REGISTRY),
        grown("pulltrace_cached_bytes_total", BY, REGISTRY),
        f"{_over_time(FETCHED_5M)} / ({_over_time(ACTIVE_5M)} > 0)",
        f"({good} or 0 * {bad}) / ((({good} or 0 * {bad}) + ({bad} or 0 * {good})) > 0)",
        bad,
        _quantile(0.5),
        _quantile(0.9),
        _quantile(0.99),
        grown("pulltrace_pulls_total", BY, REGISTRY),
        sort="Fetched",
    )


def _over_time(recorded: str) -> str:
    """The mean of a recorded rate over the chosen time, for each registry."""
    return f"sum by {listed(BY)} (avg_over_time({recorded}{{{REGISTRY}}}[$__range]))"


def _quantile(share: float) -> str:
    """The duration below which this share of the pulls of the chosen time stayed."""
    buckets = f"sum by {listed((*BY, 'le'))} (avg_over_time({DURATIONS_5M}{{{REGISTRY}}}[$__range]))"
    return f"histogram_quantile({share}, {buckets}) >= 0"


def _rollouts() -> Panel:
    about = About(
        2,
        "Rollouts, over the chosen time",
        "How many nodes began to pull an image, how many have it in line, and how many have it. Done is of both: good "
        "is 100 %. Nodes in line count for each tag of the repository. Failed counts nodes where an attempt failed, "
        "also when a later one succeeded.",
        "no image was pulled, or no exporter is scraped",
    )
    columns = (
        Column("repository", "Image"),
        Column("tag", "Tag", width=70),
        Column("registry", "Registry", width=130),
        Column("Value #C", "Done", unit="percentunit", width=126, bar=True, decimals=0),
        Column("Value #A", "Nodes begun", width=128),
        Column("Value #H", "Nodes in line", width=105),
        Column("Value #B", "Nodes done", width=100),
        Column("Value #D", "Pulling now", width=100),
        Column("Value #E", "Failed", width=75, bounds=steps((1, RED))),
        Column("Value #F", "Slowest left", unit="s", width=105),
    )
    begun = _seen("")
    have = _seen(', phase="succeeded"')
    now = latest("pulltrace_pull_phase", PULL, f'{PULLS}, phase=~"downloading|unpacking"')
    line = f"{begun} * 0 + on {listed(REPOSITORY)} group_left () {_in_line()}"
    named = f'pulltrace_pull_info{{{PULLS}, reference!=""}}'
    tag = f"max by {listed((*IMAGE, 'reference'))} (last_over_time({named}[$__range]))"
    asked = latest("pulltrace_pod_pull_info", (*IMAGE, "image"), f'{PULLS}, digest!=""')
    return rows(
        about,
        columns,
        begun,
        have,
        f"({have} or 0 * {begun}) / ({begun} + on {listed(IMAGE)} ({line} or 0 * {begun}))",
        f"count by {listed(IMAGE)} ({now})",
        _seen(', phase="failed"'),
        f"max by {listed(IMAGE)} ({latest('pulltrace_pull_eta_seconds', PULL, PULLS)})",
        tagged(f"topk by {listed(IMAGE)} (1, {tag})", asked, IMAGE),
        line,
        hidden=(
            "digest",
            "reference",
            "image",
        ),
        sort="Nodes begun",
    )


def _in_line() -> str:
    """Nodes where pods wait for an image of the repository and no pull of it is known."""
    waits = latest("pulltrace_pod_pull_info", ("cluster", "node", *REPOSITORY[1:]), f'{PULLS}, match="none"')
    return f"count by {listed(REPOSITORY)} ({waits})"


def _seen(phase: str) -> str:
    """Nodes where a pull of the image was seen in the chosen time, in this phase."""
    series = f"last_over_time(pulltrace_pull_phase{{{PULLS}{phase}}}[$__range])"
    return f"count by {listed(IMAGE)} (count by {listed(PULL)} ({series}))"


def _shares() -> ThresholdsConfig:
    return steps((0.9, ORANGE), (0.99, BLUE), base=RED)


def _speed() -> Panel:
    about = About(
        3,
        "Speed by registry",
        "Bytes per second of a node while it downloads, on average. One line that falls is its registry; all lines "
        "that fall together are your network.",
        NO_RULES,
    )
    speed = f"{_by('registry', FETCHED_5M)} / ({_by('registry', ACTIVE_5M)} > 0)"
    return lines(about, "binBps", Line(speed, "{{registry}}"))


def _by(labels: str, recorded: str) -> str:
    return f"sum by ({labels}) ({recorded}{{{REGISTRY}}})"


def _nodes() -> Panel:
    about = About(
        4,
        "Nodes by phase of these images",
        "On how many nodes the chosen images download, unpack, and are done or failed a moment ago. Good is a wave of "
        "blue that ends in green.",
        "no image was pulled, or no exporter is scraped",
    )
    now = latest("pulltrace_pull_phase", (*PULL, "phase"), PULLS)
    line = Line(f"count by (phase) ({now})", "{{phase}}")
    return lines(about, "short", line, colours=PULL_PHASES, stacked=True, decimals=0)


def _durations() -> Panel:
    about = About(
        5,
        "Time of a pull by registry, p90",
        "Nine of ten pulls that succeeded took less. Good is what your largest images need; compare before and after "
        "a change.",
        NO_RULES,
    )
    buckets = _by("registry, le", DURATIONS_5M)
    return lines(about, "s", Line(f"histogram_quantile(0.9, {buckets}) >= 0", "{{registry}}"))


def _stages() -> Panel:
    about = About(
        6,
        "Time of a pull by stage, mean",
        "Where the time goes on the nodes: the registry's first answer, the download, the unpacking. A resolve that "
        "grows is the registry; a download that grows is its speed or your network; an unpack that grows is disks.",
        NO_RULES,
    )
    mean = f"{_by('stage', STAGE_SECONDS_5M)} / ({_by('stage', STAGE_PULLS_5M)} > 0)"
    return lines(about, "s", Line(mean, "{{stage}}"), colours=STAGES)


def _failures() -> Panel:
    about = About(
        7,
        "Failures by reason",
        "Failed pulls from these registries as the kubelets report them, a lower bound. Good is nothing.",
        "no failures, or no aggregator is scraped",
    )
    failed = grown("pulltrace_pod_pull_failures_total", ("reason",), REGISTRY, "$__rate_interval")
    line = Line(f"round({failed}) > 0", "{{reason}}")
    return lines(about, "short", line, colours=REASONS, stacked=True, bars=True, decimals=0)


def _amount() -> Panel:
    about = About(
        8,
        "Fetched, and found on the node",
        "Bytes per second that came over the network, that pulls found already there, and that remote snapshotters "
        "brought or left unfetched, told when a layer is committed. Much fetched and little found after a small "
        "change: layers are not shared, look at how the image is built.",
        NO_RULES,
    )
    fetched, cached, remote = (f"sum({recorded}{{{REGISTRY}}})" for recorded in (FETCHED_5M, CACHED_5M, REMOTE_5M))
    colours = {"fetched": ("fetched", BLUE), "found": ("found on the node", SKY)}
    colours["remote"] = ("by remote snapshotters", PALE_SLATE)
    amounts = (Line(fetched, "fetched"), Line(cached, "found"), Line(f"{remote} > 0", "remote"))
    return lines(about, "binBps", *amounts, colours=colours)


def _peers() -> Panel:
    about = About(
        9,
        "Nodes, the slowest first",
        "Each node that pulls one of these images now, with its rate as a part of the median of the nodes that pull "
        "the same digest, where there are several. Good is around 100 %; red is below a quarter: a bad node. "
        "All low together: the registry.",
        "no node pulls these images now, or no exporter is scraped",
    )
    columns = (
        Column("node", "Node", link=TO_NODE),
        Column("repository", "Image"),
        Column("registry", "Registry", width=170),
        Column("phase", "Phase", width=120, words=PULL_PHASES),
        Column("Value #B", "Progress", unit="percentunit", width=150, bar=True, decimals=0),
        Column("Value #C", "Rate", unit="binBps", width=120),
        Column(
            "Value #D",
            "Of the median",
            unit="percentunit",
            width=125,
            bounds=_peer_shares(),
            beyond=(ALONE, "no peer"),
            decimals=0,
        ),
        Column("Value #E", "Time left", unit="s", width=100),
    )
    now = f'{PULLS}, phase=~"downloading|unpacking"'
    now_pulled = latest("pulltrace_pull_phase", PULL, now)
    going = f"and on {listed(PULL)} ({now_pulled})"
    rates = latest("pulltrace_pull_bytes_per_second", PULL, PULLS)
    median = f"quantile by {listed(IMAGE)} (0.5, {rates})"
    several = f"count by {listed(IMAGE)} ({rates}) > 1"
    slowest = f"bottomk(100, {rates} / on {listed(IMAGE)} group_left () (({median} > 0) and ({several})))"
    return rows(
        about,
        columns,
        one("pulltrace_pull_phase", PULL, ("phase",), now),
        f"({progress(PULLS)}) {going}",
        f"{rates} {going}",
        f"{slowest} or on {listed(PULL)} ({now_pulled} * 0 + Inf)",
        f"{latest('pulltrace_pull_eta_seconds', PULL, PULLS)} {going}",
        hidden=("digest",),
        sort="Of the median",
        descending=False,
    )


def _peer_shares() -> ThresholdsConfig:
    return steps((0.25, ORANGE), (0.5, BLUE), base=RED)
