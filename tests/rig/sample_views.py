"""Views of a node as tests want them: single pulls to vary, a busy node, and very many layers."""

from dataclasses import replace
from typing import Any

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.histogram import Histogram
from pulltrace.model.pull import Daemon, ImageKey, Layer, LayerState, NodeReport, Phase, Pull, QueuedImage
from pulltrace_exporter.model.view import (
    FailedCall,
    Polls,
    RegistryMediaType,
    RegistryResult,
    RegistryStage,
    Spent,
    Totals,
    View,
)
from rig.images import OCI, digest

NOW = 1_700_000_000.5
POLL_BOUNDS = (0.001, 0.01, 0.1, 1.0)


class FixedClock:
    """Stands still."""

    def __init__(self, wall: float = NOW) -> None:
        self.wall = wall
        self.monotonic = 0.0

    def now(self) -> Instant:
        return Instant(self.wall, Monotonic(self.monotonic))


def a_layer(index: int = 0, **changes: Any) -> Layer:
    """A layer of 1000 bytes at 250, coming in at 50 bytes/s."""
    layer = Layer(index, digest(f"layer {index}"), OCI.layer, 1000, 250, 50.0, LayerState.DOWNLOADING)
    return replace(layer, **changes)


def a_pull(name: str = "team/app", **changes: Any) -> Pull:
    """A pull of one layer, running for a minute."""
    pull = Pull(
        key=ImageKey("registry.example", name, digest(name)),
        repositories=(name,),
        references=(f"registry.example:5000/{name}:1.2",),
        media_type=OCI.index,
        snapshotter="overlayfs",
        phase=Phase.DOWNLOADING,
        requests=1,
        size=1100,
        cached=100,
        downloaded=250,
        unpacked=0,
        bytes_per_second=50.0,
        started_at=NodeTime(NOW - 60),
        ended_at=None,
        last_progress_at=NodeTime(NOW - 0.25),
        layers=(a_layer(),),
    )
    return replace(pull, **changes)


def an_ended_pull(name: str = "team/app", phase: Phase = Phase.SUCCEEDED, **changes: Any) -> Pull:
    """A pull that ended ten seconds ago, well unless `phase` says otherwise."""
    layer = a_layer(downloaded=1000, bytes_per_second=None, state=LayerState.UNPACKED)
    ended = {
        "phase": phase,
        "requests": 0,
        "downloaded": 1000,
        "unpacked": 1000,
        "bytes_per_second": None,
        "ended_at": NOW - 10,
        "last_progress_at": NOW - 11,
        "layers": (layer,),
    }
    return a_pull(name, **{**ended, **changes})


def a_view(*pulls: Pull, **changes: Any) -> View:
    """A view of a node whose containerd answers."""
    view = View(
        pulls=pulls,
        resolving=(),
        queued=(),
        totals=Totals(),
        daemon=Daemon(up=True, version="2.1.9", started_at=NodeTime(NOW - 86_400)),
        polls=Polls(Histogram.empty(POLL_BOUNDS), last_at=NodeTime(NOW - 0.5)),
    )
    return replace(view, **changes)


def unread_view() -> View:
    """What there is before containerd was ever read."""
    return View((), (), (), Totals(), Daemon(), Polls(Histogram.empty(POLL_BOUNDS)))


def busy_view() -> View:
    """A node with a pull in every phase, one of them from somebody who writes odd texts."""
    return a_view(
        _mixed_pull(),
        _undescribed_pull(),
        _unpacking_pull(),
        an_ended_pull("team/done", cached=0, size=1000),
        an_ended_pull(
            "team/broken", Phase.FAILED, downloaded=250, unpacked=0, layers=(a_layer(bytes_per_second=None),)
        ),
        an_ended_pull("team/ghost", Phase.ORPHANED, downloaded=0, unpacked=0, layers=(a_layer(downloaded=0),)),
        resolving=(NOW - 3, NOW - 31.5),
        queued=(QueuedImage("registry.example", "team/next", "registry.example:5000/team/next:1", NodeTime(NOW - 20)),),
        totals=_totals(),
        polls=Polls(
            Histogram(POLL_BOUNDS, (3, 40, 2, 0, 1), 1.75),
            {FailedCall("Leases/List", "UNAVAILABLE"): 2, FailedCall("Content/Info", "DEADLINE_EXCEEDED"): 1},
            NodeTime(NOW - 0.5),
        ),
    )


def view_of_layers(pulls: int, layers_each: int) -> View:
    """Running pulls of many layers, no two alike."""
    return a_view(*(_wide_pull(f"team/wide-{number}", layers_each) for number in range(pulls)))


def a_report(*pulls: Pull, **changes: Any) -> NodeReport:
    """What a node with these pulls says."""
    report = NodeReport(
        node="node-1",
        version="1.2.3",
        now=NodeTime(NOW),
        daemon=Daemon(up=True, version="2.1.9", started_at=NodeTime(NOW - 86_400)),
        pulls=pulls,
    )
    return replace(report, **changes)


def busy_report() -> NodeReport:
    """What the busy node says."""
    view = busy_view()
    return a_report(*view.pulls, resolving=view.resolving, queued=view.queued, daemon=view.daemon)


def _mixed_pull() -> Pull:
    layers = (
        a_layer(0, downloaded=0, bytes_per_second=None, state=LayerState.CACHED),
        a_layer(1, downloaded=1000, bytes_per_second=None, state=LayerState.DOWNLOADED),
        a_layer(2, bytes_per_second=81.25),
        a_layer(3, media_type='say "hi"\\\n\x00', downloaded=0, bytes_per_second=None, state=LayerState.WAITING),
    )
    return a_pull(
        "team/mixed", size=4100, cached=1100, downloaded=1250, bytes_per_second=81.25, requests=2, layers=layers
    )


def _undescribed_pull() -> Pull:
    unknown = dict.fromkeys(("size", "cached", "downloaded", "unpacked", "bytes_per_second"))
    return a_pull("team/early", references=(), media_type="", snapshotter="", layers=(), **unknown)


def _unpacking_pull() -> Pull:
    layers = (
        a_layer(0, downloaded=1000, bytes_per_second=None, state=LayerState.UNPACKED),
        a_layer(1, downloaded=1000, bytes_per_second=None, state=LayerState.UNPACKING),
    )
    return a_pull(
        "team/unpacking",
        phase=Phase.UNPACKING,
        size=2100,
        downloaded=2000,
        unpacked=1000,
        bytes_per_second=0.0,
        layers=layers,
    )


def _totals() -> Totals:
    registry = "registry.example"
    durations = Histogram((1.0, 10.0, 60.0), (1, 0, 2, 1), 312.5)
    return Totals(
        pulls={
            RegistryResult(registry, "succeeded"): 4,
            RegistryResult(registry, "failed"): 1,
            RegistryResult(registry, "orphaned"): 0,
        },
        unresolved_pulls=3,
        durations={registry: durations},
        stages={RegistryStage(registry, stage): Spent(104.25, 4) for stage in ("resolve", "download", "unpack")},
        active_seconds={RegistryStage(registry, "download"): 120.75, RegistryStage(registry, "unpack"): 8.0},
        downloaded_bytes={
            RegistryMediaType(registry, OCI.layer): 5_000_000_000,
            RegistryMediaType(registry, "other"): 7,
        },
        cached_bytes={registry: 1_000_000},
        remote_bytes={registry: 2_000_000},
        suppressed_registries=1,
        suppressed_media_types=2,
    )


def _wide_pull(name: str, count: int) -> Pull:
    layers = tuple(
        a_layer(index, digest=digest(f"{name} {index}"), downloaded=index, bytes_per_second=1234567.891 + index)
        for index in range(count)
    )
    return a_pull(
        name, size=1000 * count, cached=0, downloaded=sum(layer.downloaded or 0 for layer in layers), layers=layers
    )
