"""A large cluster in the middle of a rollout, for what its size costs."""

from rig.images import MIB
from rig.sample_hour.timelines import HOUR_END, Image, PullTimeline, Scenario, WaitTimeline

LAYERS = tuple(size * MIB for size in (30, 4, 120, 60, 1, 200, 8, 15))
CAUSES = ("progressing", "queue", "slow_download", "shared_layer", "registry", "stalled", "credentials")


def large(nodes: int, pulls: int, waits: int) -> Scenario:
    """All pulls run and all containers wait for the whole hour: no moment of it is easier than its end."""
    names = tuple(f"node-{number:04}" for number in range(nodes))
    images = [Image(f"registry-{number % 5}.example", f"team/app-{number}", "1", LAYERS) for number in range(60)]
    running = [
        PullTimeline(
            names[number % nodes], images[number % 60], 5.0, rate=sum(LAYERS) / HOUR_END / (1 + number % 3 / 10)
        )
        for number in range(pulls)
    ]
    waiting = [_wait(number, running[number % pulls]) for number in range(waits)]
    stale = tuple((pull, "slow", 300.0) for pull in running[:20])
    return Scenario(names, running, waiting, stale)


def _wait(number: int, pull: PullTimeline) -> WaitTimeline:
    cause = CAUSES[number % len(CAUSES)]
    namespace, pod = f"team-{number % 40}", f"app-{number}"
    return WaitTimeline(namespace, pod, pull.image, pull.node, 4.0, pull, cause, container=f"c{number % 3}")
