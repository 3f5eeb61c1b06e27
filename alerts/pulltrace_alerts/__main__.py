"""Writes the rules to standard output: `python -m pulltrace_alerts [--scale N] [--set NAME=VALUE]...`."""

import argparse
import sys
from dataclasses import replace

from pulltrace_alerts.settings import Settings, UnknownSetting, changed
from pulltrace_alerts.table import text


def main(arguments: list[str] | None = None) -> int:
    """Write the rules; a setting that there is not ends the program with status 2."""
    parser = argparse.ArgumentParser(prog="pulltrace_alerts", description="Write Pulltrace's rules for Prometheus.")
    parser.add_argument("--scale", type=_factor, default=1.0, help="divide every duration by this (default: 1)")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="change a setting")
    options = parser.parse_args(arguments)
    try:
        settings = changed(replace(Settings(), scale=options.scale), options.set)
    except UnknownSetting as error:
        parser.error(str(error))
    sys.stdout.write(text(settings))
    return 0


def _factor(value: str) -> float:
    factor = float(value)
    if not factor > 0:
        raise argparse.ArgumentTypeError("a number above 0")
    return factor


if __name__ == "__main__":
    sys.exit(main())
