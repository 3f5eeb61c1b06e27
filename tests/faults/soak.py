"""`python -m faults.soak [--minutes N] [--seed N]`: pulls and faults for long, and what the programs hold meanwhile.

Only faults that both programs survive, so that each is one process all the time. Prometheus scrapes both.
"""

import argparse
import contextlib
import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import linear_regression, median
from typing import Final

from bench.processes import Memory, cpu_seconds, descriptors, threads
from faults.kinds import FAULTS
from faults.rounds import play
from faults.run import world, write
from faults.world import NODE, World
from rig.prometheus import prometheus

CONFIG: Final = """\
global: {{scrape_interval: 5s}}
scrape_configs:
- job_name: pulltrace-exporter
  scheme: https
  tls_config: {{insecure_skip_verify: true}}
  static_configs: [{{targets: ["127.0.0.1:{exporter}"], labels: {{node: {node}}}}}]
- job_name: pulltrace-aggregator
  honor_labels: true
  static_configs: [{{targets: ["127.0.0.1:{aggregator}"]}}]
"""
SAMPLE_SECONDS: Final = 10.0
WARM: Final = 6
"""A sixth of the time is for caches and heaps to fill; slopes are those of the rest."""
LEFT_OUT: Final = ("aggregator killed", "aggregator restarted", "nothing")
CALM: Final = 4
"""Rounds without a fault for each with one."""

Sample = tuple[float, float, float, float, int, int]
"""Seconds since the start, resident MiB, descriptors, processor seconds, sockets and threads."""


class Sampler(threading.Thread):
    """Looks at processes until it is stopped."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        super().__init__(name="sampler")
        self._pids = pids
        self._stopping = threading.Event()
        self.samples: dict[str, list[Sample]] = {name: [] for name in pids}
        self._began = time.monotonic()

    def run(self) -> None:
        while not self._stopping.wait(SAMPLE_SECONDS):
            for name, pid in self._pids.items():
                now = time.monotonic() - self._began
                held = Memory.of(pid).resident, descriptors(pid), cpu_seconds(pid), _sockets(pid), threads(pid)
                self.samples[name].append((now, *held))

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def soak(world: World, seconds: float, seed: int) -> None:
    """Print a line for each round with a fault, and a table at the end."""
    config = CONFIG.format(exporter=world.exporter.port, aggregator=world.aggregator.port, node=NODE)
    survived = [name for name, fault in FAULTS.items() if fault.lives and name not in LEFT_OUT]
    with prometheus(config=config) as monitoring:
        sampler = Sampler({**world.pids, "Prometheus": monitoring.pid})
        sampler.start()
        try:
            _pull(world, seconds, Random(seed), survived)
            series = monitoring.query("prometheus_tsdb_head_series") or monitoring.query("count({__name__=~'.+'})")
        finally:
            sampler.stop()
        for name, samples in sampler.samples.items():
            write(f"{name}: {_summary(samples)}")
        write(f"series in Prometheus' head: {series[0].value:.0f}")


def _pull(world: World, seconds: float, random: Random, survived: Sequence[str]) -> None:
    deadline, well, badly, broken = time.monotonic() + seconds, 0, 0, 0
    for number in itertools.count(1):
        if time.monotonic() > deadline:
            break
        name = "nothing" if number % (CALM + 1) else random.choice(survived)
        try:
            told = play(world, name, random)
        except (AssertionError, TimeoutError) as error:
            broken += 1
            write(f"{number} {name}: BROKEN: {str(error)[:500]}")
            continue
        well, badly = well + told.well, badly + told.badly
        if name != "nothing":
            write(f"{number} {told}")
    write(f"{number - 1} rounds, {well} pulls well, {badly} badly, {broken} rounds broken")


def _sockets(pid: int) -> int:
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def _summary(samples: Sequence[Sample]) -> str:
    late = samples[len(samples) // WARM :]
    hours = [sample[0] / 3600 for sample in late]
    memory, opened = [sample[1] for sample in late], [sample[2] for sample in late]
    share = 100 * (late[-1][3] - late[0][3]) / (late[-1][0] - late[0][0])
    return (
        f"memory {samples[0][1]:.1f} MiB at first, {memory[0]:.1f} after a sixth, {memory[-1]:.1f} at the end, "
        f"slope {linear_regression(hours, memory).slope:+.2f} MiB an hour; "
        f"descriptors {median(opened):.0f}, at most {max(opened):.0f}, "
        f"slope {linear_regression(hours, opened).slope:+.2f} an hour; {share:.2f} % of a core; "
        f"sockets {samples[0][4]} at first, at most {max(sample[4] for sample in samples)}; "
        f"threads {samples[0][5]} at first, at most {max(sample[5] for sample in samples)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="faults.soak", description="Pulls and faults for long.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with world("2.1") as opened:
        soak(opened, 60 * arguments.minutes, arguments.seed)


if __name__ == "__main__":
    main()
