"""`python -m faults [--seed N] [--steps N] [--containerd VERSION] [FAULT …]`: a run of faults, a line for each.

A round in which something does not hold is told in full, and a new world goes on after it; the status is 1 then.
"""

import argparse
import sys

from faults.kinds import FAULTS
from faults.run import faults, write
from rig.containerd import VERSIONS

REST = 2.0
"""Seconds of rest after each round, in which both programs are watched."""


def main() -> None:
    arguments = _parser().parse_args()
    broken = faults(arguments.seed, arguments.steps, arguments.containerd, arguments.faults, write, REST)
    write(f"{arguments.steps} rounds with seed {arguments.seed}, {broken} of them broken")
    sys.exit(broken > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="faults", description="Faults in a seeded order under pulls on real daemons.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", choices=[[], *FAULTS], help=", ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=len(FAULTS))
    parser.add_argument("--containerd", choices=VERSIONS, default="2.1")
    return parser


if __name__ == "__main__":
    main()
