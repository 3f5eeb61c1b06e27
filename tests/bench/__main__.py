"""`python -m bench [SECTION …] [--json FILE]`: measure, and print one table."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import grpc

from bench import (
    client,
    cluster,
    dashboards,
    latency,
    load,
    memory,
    nodes,
    passing,
    polling,
    processor,
    render,
    scale,
    slowdown,
)
from bench.rows import Row, as_json, table
from rig.containerd import RealContainerd

SECTIONS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "idle": processor.idle,
    "busy": processor.busy,
    "memory": memory.measure,
    "load": load.measure,
    "latency": latency.measure,
    "render": render.measure,
    "slowdown": slowdown.measure,
    "polling": polling.measure,
    "cluster": cluster.measure,
    "client": client.measure,
    "calm": scale.calm,
    "deploy": scale.deploy,
    "storm": scale.storm,
    "scrape": scale.scrape,
    "churn": scale.churn,
    "passing": passing.measure,
    "restart": scale.restart,
    "dead": scale.dead,
    "shards": scale.shards,
    "dashboards": dashboards.measure,
}


def main(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(argv)
    environment = _environment()
    rows: list[Row] = []
    for section in arguments.sections or SECTIONS:
        began = time.monotonic()
        sys.stderr.write(f"{section} … ")
        sys.stderr.flush()
        rows += SECTIONS[section]()
        sys.stderr.write(f"{time.monotonic() - began:.0f} s\n")
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in environment.items()) + "\n\n" + table(rows))
    if arguments.json:
        arguments.json.write_text(as_json(environment, rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="What both programs cost and how fast they are.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", choices=[[], *SECTIONS], help=", ".join(SECTIONS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    return parser


def _environment() -> dict[str, str]:
    """What results depend on; the load is that before the first measurement."""
    reason = nodes.real_reason()
    return {
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "grpcio": grpc.__version__,
        "containerd": f"none ({reason})" if reason else _containerd_version(),
    }


def _containerd_version() -> str:
    with RealContainerd.fresh(nodes.VERSION) as node:
        return node.version


if __name__ == "__main__":
    main(sys.argv[1:])
