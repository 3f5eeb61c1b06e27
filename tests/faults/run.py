"""A run: faults in the order of a seed, in one world as long as everything holds."""

import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from faults.kinds import FAULTS
from faults.rounds import Footprint, footprints, play
from faults.world import World


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def order(seed: int, steps: int, names: Sequence[str] = ()) -> list[str]:
    """So many faults, all kinds before any comes again."""
    random, chosen = Random(seed), list(names or FAULTS)
    found: list[str] = []
    while len(found) < steps:
        random.shuffle(chosen)
        found += chosen
    return found[:steps]


def faults(
    seed: int, steps: int, label: str, names: Sequence[str], tell: Callable[[str], object], rest: float = 0.0
) -> int:
    """Play them; returns in how many rounds something did not hold.

    After each round both programs are watched for `rest` seconds: what they take of a core must be little again.
    """
    left, broken = order(seed, steps, names), 0
    number = 0
    while left:
        with world(label) as opened:
            first = footprints(opened, rest)
            tell(_told(first))
            while left:
                name, number = left.pop(0), number + 1
                try:
                    tell(f"{number} {play(opened, name, Random(f'{seed} {number}'))}")
                    now = footprints(opened, rest)
                    tell(_told(now))
                    for program, before in first.items():
                        before.check(now[program])
                except (AssertionError, TimeoutError, OSError):
                    broken += 1
                    tell(f"{number} {name}: BROKEN\n{traceback.format_exc()}")
                    break
    return broken


def _told(held: Mapping[str, Footprint]) -> str:
    return "   " + "; ".join(f"{program} {each}" for program, each in held.items())


@contextmanager
def world(label: str) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="ptw-", dir="/tmp") as name, ExitStack() as ends:
        yield World(label, Path(name), ends)
