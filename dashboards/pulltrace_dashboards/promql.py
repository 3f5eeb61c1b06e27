"""Queries that stay right while two generations of an exporter or of the aggregator are there.

During an update two targets tell of the same pull for some minutes. A gauge is therefore `max by` what it speaks of
before anything else happens to it, a counter is `rate` or `increase` before it is summed, and what a row is joined with
is made unique first.
"""

from typing import Final

from pulltrace_dashboards.look import REMOTE

CLUSTER: Final = 'cluster=~"$cluster"'
NODES: Final = f'{CLUSTER}, node=~"$node"'
NODE: Final = f'{CLUSTER}, node="$node"'
POD: Final = f'{CLUSTER}, namespace="$namespace", pod="$pod"'

ROW: Final = ("cluster", "namespace", "pod", "container", "container_type", "node", "image")
"""What one image that a pod waits for is known by."""
PULL: Final = ("cluster", "node", "registry", "repository", "digest")
IMAGE: Final = ("cluster", "registry", "repository", "digest")
LAYER: Final = (*PULL, "layer", "layer_digest", "media_type")

RUNNING: Final = 'phase=~"downloading|unpacking"'
TAG: Final = "[^@]*:([^/:@]+)"
"""The tag of a reference, and not its port or digest."""
SHORT_IMAGE: Final = "(?:(?:.*/)?([^/]+/[^/@]+)|([^/@]+))(@[^:]+:.{8})?.*"
"""Two parts of a path with the tag, and as much of a digest as a person compares."""
SHORT_DIGEST: Final = "[^:]+:(.{12}).*"
"""As much of a digest as tells images apart, and fits a column."""


def listed(labels: tuple[str, ...]) -> str:
    """Labels as PromQL writes a list of them."""
    return f"({', '.join(labels)})"


def latest(metric: str, by: tuple[str, ...], where: str, only: str = "") -> str:
    """A gauge, once for each thing that it speaks of, however many targets tell of it.

    What `only` leaves out costs least when it is left out first.
    """
    return f"max by {listed(by)} ({metric}{{{where}}}{' ' if only else ''}{only})"


def one(metric: str, by: tuple[str, ...], more: tuple[str, ...], where: str, only: str = "") -> str:
    """What an info metric says in the labels `more`: one series for each thing, even when two targets disagree."""
    return f"topk by {listed(by)} (1, {latest(metric, by + more, where, only)})"


def rate(metric: str, by: tuple[str, ...], where: str) -> str:
    """The growth of a counter per second, summed."""
    return f"sum by {listed(by)} (rate({metric}{{{where}}}[$__rate_interval]))"


def grown(metric: str, by: tuple[str, ...], where: str, window: str = "$__range") -> str:
    """By how much a counter grew, with the first value of series that began within the window.

    `increase` alone does not see the first of a kind: the first failure for a reason is a series that begins at 1. One
    that was there within the hour before, and away because a scrape failed or Prometheus was, did not begin.
    """
    series = f"{metric}{{{where}}}"
    increase = f"increase({series}[{window}])"
    born = f"min_over_time({series}[{window}]) unless last_over_time({series}[1h] offset {window})"
    return f"sum by {listed(by)} ({increase} + ({born} or {increase} * 0))"


def tagged(reference: str, image: str, by: tuple[str, ...]) -> str:
    """The label `tag` of each image: from the pull's own reference, else from the pods that wait for it."""
    own = f'label_replace({reference}, "tag", "$1", "reference", "{TAG}")'
    asked = f'label_replace(topk by {listed(by)} (1, {image}), "tag", "$1", "image", "{TAG}")'
    return f"{own} or on {listed(by)} {asked}"


def short_image(expression: str) -> str:
    """The expression with the label `short`: the end of an image's name, which tells it from others in a narrow column.

    A table wraps text at spaces, and the name of an image has none.
    """
    return f'label_replace({expression}, "short", "$1$2$3", "image", "{SHORT_IMAGE}")'


def short(expression: str, label: str) -> str:
    """The expression with a digest cut to what a person compares."""
    return f'label_replace({expression}, "{label}", "$1", "{label}", "{SHORT_DIGEST}")'


def short_type(expression: str) -> str:
    """The expression with media types without what is alike in all of them."""
    return f'label_replace({expression}, "media_type", "$1", "media_type", "application/vnd[.](.+)")'


def known_by(expression: str, healthy: str) -> str:
    """The expression, or 0 where the series `healthy` says that somebody looked and found nothing."""
    return f"{expression} or 0 * max({healthy} == 1)"


def word_or(expression: str, healthy: str, label: str, word: str) -> str:
    """The expression, or one series with this word as label where `healthy` says that nothing was found."""
    return f'{expression} or on () label_replace(0 * max({healthy} == 1), "{label}", "{word}", "", "")'


def layers_done(where: str, only: str = "") -> str:
    """For each pull the label `layers`: how many of them the node is done with, as in "3 of 7"."""
    by = (*PULL, "state")
    counted = latest("pulltrace_pull_layers", by, where, only)
    here = latest("pulltrace_pull_layers", by, f'{where}, state=~"unpacked|cached"', only)
    # What a snapshotter left unfetched is its own business once the pull has succeeded.
    lazy = latest("pulltrace_pull_layers", by, f'{where}, state="remote"', only)
    ended = f'pulltrace_pull_phase{{{where}, phase="succeeded"}}'
    ready = f"sum by {listed(PULL)} ({here} or {lazy} and on {listed(PULL)} {ended})"
    done = f'count_values by {listed(PULL)} ("done", {ready})'
    total = f'count_values by {listed(PULL)} ("total", sum by {listed(PULL)} ({counted}))'
    both = f"{done} * on {listed(PULL)} group_left (total) {total}"
    return f'max by {listed((*PULL, "layers"))} (label_join({both}, "layers", " of ", "done", "total"))'


def progress(where: str, only: str = "") -> str:
    """The downloaded share of each pull, or the number for the remote snapshotter that fetches it: see `REMOTE`."""
    ratio = latest("pulltrace_pull_progress_ratio", PULL, where, only)
    return f"{ratio} or {by_remote(where, only)}"


def by_remote(where: str, only: str = "") -> str:
    """The number for the snapshotter of each pull that has layers which nobody sees coming."""
    remote = latest("pulltrace_pull_layers", PULL, f'{where}, state="remote"', only)
    known = " or ".join(_by_snapshotter(number, pattern, where, only) for number, (pattern, _) in REMOTE.items())
    return f"({known}) and on {listed(PULL)} ({remote} > 0)"


def _by_snapshotter(number: str, pattern: str, where: str, only: str) -> str:
    info = latest("pulltrace_pull_info", PULL, f'{where}, snapshotter=~"{pattern}"', only)
    return f"{number} * {info}"


def pod_progress(where: str, only: str = "") -> str:
    """The same for each image that a pod waits for."""
    ratio = latest("pulltrace_pod_pull_progress_ratio", ROW, where, only)
    info = latest("pulltrace_pod_pull_info", (*ROW, *PULL[2:]), f'{where}, digest!=""', only)
    joined = f"{info} * on {listed(PULL)} group_left () ({by_remote(CLUSTER)})"
    return f"{ratio} or max by {listed(ROW)} ({joined})"


def running(where: str) -> str:
    """The pulls that go on."""
    return latest("pulltrace_pull_phase", PULL, f"{where}, {RUNNING}")
