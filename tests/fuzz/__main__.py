"""`python -m fuzz [TARGET …] [--seconds S | --runs N] [--keep FOLDER]`: fuzz targets, one after the other.

The status is 1 where a fault was found. The input that shows it is then kept in the folder, and `tests/fuzz/corpus`
is where it belongs once the fault is mended.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from fuzz.running import Outcome, fuzz
from fuzz.targets import SHARES


def main() -> None:
    arguments = _parser().parse_args()
    names = arguments.targets or list(SHARES)
    whole = sum(SHARES[name] for name in names)
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    outcomes: list[Outcome] = []
    for name in names:
        runs = max(arguments.runs * SHARES[name] // whole, 1) if arguments.runs else -1
        seconds = 0 if arguments.runs else max(arguments.seconds // len(names), 1)
        outcomes.append(fuzz(name, keep / name, runs=runs, seconds=seconds, seed=arguments.seed))
        _tell(outcomes[-1])
    _tell(f"{sum(each.runs for each in outcomes)} inputs in all; what is of interest of them is in {keep}")
    sys.exit(any(each.fault for each in outcomes))


def _tell(line: Outcome | str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz", description="Send what a broken or hostile peer may send.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", choices=[[], *SHARES], help=", ".join(SHARES))
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--runs", type=int, default=0, help="so many inputs for all targets together, however long")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="go on from what an earlier run has kept here")
    return parser


if __name__ == "__main__":
    main()
