"""A run: faults in the order of a seed, in one world as long as everything holds."""

import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from faults.kinds import FAULTS
from faults.rounds import footprints, play
from faults.world import World


def order(seed: int, steps: int, names: Sequence[str] = ()) -> list[str]:
    """So many faults, all kinds before any comes again."""
    random, chosen = Random(seed), list(names or FAULTS)
    found: list[str] = []
    while len(found) < steps:
        random.shuffle(chosen)
        found += chosen
    return found[:steps]


def faults(seed: int, steps: int, label: str, names: Sequence[str], tell: Callable[[str], object]) -> int:
    """Play them; returns in how many rounds something did not hold."""
    left, broken = order(seed, steps, names), 0
    number = 0
    while left:
        with world(label) as opened:
            first = footprints(opened)
            while left:
                name, number = left.pop(0), number + 1
                try:
                    tell(f"{number} {play(opened, name, Random(f'{seed} {number}'))}")
                except (AssertionError, TimeoutError, OSError):
                    broken += 1
                    tell(f"{number} {name}: BROKEN\n{traceback.format_exc()}")
                    break
            else:
                for program, after in footprints(opened).items():
                    tell(f"{program}: {first[program]} -> {after}")
                    first[program].check(after)
    return broken


@contextmanager
def world(label: str) -> Iterator[World]:
    """One of its own."""
    with tempfile.TemporaryDirectory(prefix="ptw-", dir="/tmp") as name, ExitStack() as ends:
        yield World(label, Path(name), ends)
