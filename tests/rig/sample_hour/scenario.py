"""What happens in the made-up hour: everything that a dashboard has a panel for, and an ordinary hour around it."""

from random import Random
from typing import Any

from rig.images import MIB
from rig.sample_hour.timelines import HOUR_END, Image, PullTimeline, Scenario, WaitTimeline

NODES = tuple(f"node-{number:02}" for number in range(1, 13))
WEB = Image("registry.example", "shop/web", "2.4.1", tuple(size * MIB for size in (29, 112, 4, 61, 187, 1, 2)))
MODEL = Image("registry.example", "ml/model", "7", tuple(size * MIB for size in (30, 410, 2200, 2600, 900)))
TRAINER = Image("registry.example", "ml/trainer", "12", tuple(size * MIB for size in (30, 210, 950, 4200, 8100, 3)))
JOBS = Image("docker.io", "library/python", "3.13", tuple(size * MIB for size in (47, 23, 64, 211, 6, 19)))
SIDE = Image("ghcr.io", "mesh/proxy", "1.29", (38 * MIB, 17 * MIB))
SLOW = Image("slow.example", "team/report", "1", (64 * MIB,))
SECRET = Image("private.example", "team/ledger", "9", (80 * MIB,))
TYPO = Image("registry.example", "shop/wbe", "2.4.1", (80 * MIB,))
ORPHAN = Image("docker.io", "library/redis", "8", (40 * MIB, 9 * MIB))

ROLLOUT = HOUR_END - 420
"""When the rollout of the hour begins, in seconds."""


def sample_hour() -> Scenario:
    """The hour, seen best at its end."""
    pulls: list[PullTimeline] = []
    waits: list[WaitTimeline] = []
    _ordinary(pulls, waits)
    _rollout(pulls, waits)
    _queue(pulls, waits)
    _failures(waits)
    stalled = PullTimeline("node-05", JOBS, HOUR_END - 400, rate=22 * MIB, stall=(HOUR_END - 391, HOUR_END + 600))
    orphan = PullTimeline("node-09", ORPHAN, HOUR_END - 900, rate=0.05 * MIB, result="orphaned", ends=HOUR_END - 80)
    trainer = PullTimeline("node-08", TRAINER, HOUR_END - 370, rate=5.4 * MIB, snapshotter="soci")
    silent = PullTimeline("node-02", SLOW, HOUR_END - 95, resolve=9999, result="failed")
    lost = PullTimeline("node-12", WEB, HOUR_END - 380, rate=0.8 * MIB)
    slow = PullTimeline("node-07", WEB, ROLLOUT + 20, rate=0.6 * MIB)
    pulls += [stalled, orphan, silent, lost, slow, trainer]
    waits += [
        WaitTimeline("batch", "nightly-29384-x7k2p", JOBS, "node-05", HOUR_END - 402, stalled, "stalled", 70),
        WaitTimeline("ml", "train-0", TRAINER, "node-08", HOUR_END - 371, trainer),
        WaitTimeline("reports", "weekly-0", SLOW, "node-02", HOUR_END - 97, None, "registry", 30),
        WaitTimeline("shop", "web-7c9f5d-lost1", WEB, "node-12", HOUR_END - 383, lost, "no_exporter", 200),
        WaitTimeline("shop", "web-7c9f5d-slow1", WEB, "node-07", ROLLOUT + 15, slow, "slow_download", 40),
    ]
    return Scenario(
        NODES,
        pulls,
        waits,
        stale=(
            (stalled, "no_progress", HOUR_END - 330),
            (orphan, "orphaned", HOUR_END - 80),
            (lost, "exporter_unreachable", HOUR_END - 200),
        ),
        silent=(("node-12", HOUR_END - 260),),
        faulty=("node-04", HOUR_END - 500),
        down=(("node-11", HOUR_END - 240, HOUR_END + 600),),
    )


def _ordinary(pulls: list[PullTimeline], waits: list[WaitTimeline]) -> None:
    """Jobs that come and go, with rates that differ by registry and fall for one of them."""
    random = Random(7)
    speeds = {"docker.io": 14.0, "ghcr.io": 31.0, "registry.example": 62.0}
    for number in range(70):
        cart = Image("registry.example", "shop/cart", f"1.{number}", WEB.layers)
        image = random.choice((JOBS, SIDE, SIDE, ORPHAN, cart))
        start = random.uniform(20, HOUR_END - 700)
        fell = start > HOUR_END - 1500 and image.registry == "docker.io"
        speed = speeds[image.registry] * (0.3 if fell else 1.0)
        pull = PullTimeline(
            random.choice(NODES[:10]),
            image,
            start,
            rate=speed * random.uniform(0.7, 1.2) * MIB,
            resolve=random.uniform(0.3, 1.8),
            cached=image.layers[0] if random.random() < 0.6 else 0,
        )
        pulls.append(pull)
        asked = start - random.choice((0.5, 0.5, 0.7, 12.0, 40.0))
        namespace = random.choice(("batch", "shop", "mesh"))
        waits.append(WaitTimeline(namespace, f"job-{number:03}", image, pull.node, asked, pull))


def _rollout(pulls: list[PullTimeline], waits: list[WaitTimeline]) -> None:
    """A new image on eight nodes, one after the other, for two pods on each."""
    for number, node in enumerate(f"node-{place}" for place in ("01", "02", "04", "06", "08", "10", "03", "09")):
        start = ROLLOUT + 20 + 44 * number
        rate = (2.6 + 0.5 * (number % 3)) * MIB
        pull = PullTimeline(node, WEB, start, rate, cached=WEB.layers[0], unpack_rate=4 * MIB)
        pulls.append(pull)
        for replica in range(2):
            name = f"web-7c9f5d-{node[-2:]}{'ab'[replica]}"
            waits.append(WaitTimeline("shop", name, WEB, node, ROLLOUT + 15 + 40 * number, pull))


def _queue(pulls: list[PullTimeline], waits: list[WaitTimeline]) -> None:
    """A large image, and what stands behind it on the same node."""
    model = PullTimeline("node-10", MODEL, HOUR_END - 540, rate=9.5 * MIB, requests=2)
    pulls.append(model)
    volume: dict[str, Any] = {"container": "model", "container_type": "volume"}
    init: dict[str, Any] = {"container": "setup", "container_type": "init"}
    waits += [
        WaitTimeline("ml", "serve-0", MODEL, "node-10", HOUR_END - 541, model, **volume),
        WaitTimeline("ml", "serve-1", MODEL, "node-10", HOUR_END - 530, model),
        WaitTimeline("mesh", "gateway-5d8-2m", SIDE, "node-10", HOUR_END - 410, None, "queue"),
        WaitTimeline("batch", "import-71-q", JOBS, "node-10", HOUR_END - 300, None, "queue", **init),
    ]


def _failures(waits: list[WaitTimeline]) -> None:
    """Images that do not come: a secret is missing, a name is misspelt, a registry limits the rate."""
    backing_off = (1500, 1480, 1440, 1360, 1200, 900, 600, 300)
    for namespace, pod, image, node, reason, cause, ago in (
        ("books", "ledger-0", SECRET, "node-04", "unauthorized", "credentials", backing_off),
        ("shop", "web-canary-1", TYPO, "node-06", "not_found", "not_found", (200, 180, 140, 60)),
        ("batch", "nightly-29383-a", JOBS, "node-08", "rate_limited", "rate_limited", (2600, 2580, 2540, 2400)),
    ):
        failures = tuple(HOUR_END - each for each in ago)
        asked = failures[0] - 2
        waits.append(WaitTimeline(namespace, pod, image, node, asked, cause=cause, failures=failures, reason=reason))
