"""What reading a large cluster's exporters costs: many exporters in one process, the reader alone in another.

`python -m bench.polling PORT NODES REQUESTS-PER-SECOND SECONDS [CA-FILE]` is the process that is measured.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.processes import Memory
from bench.rows import Row
from pulltrace.clock import SystemClock
from pulltrace_aggregator.exporters.discovery import Discovery, Target
from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.http_config import HttpAccess
from pulltrace_aggregator.exporters.poller import PollerThread
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.exporters.state import ExporterGone, ExporterSeen
from rig.many_exporters import addresses, many_exporters
from rig.pki import Authority
from rig.processes import run

WARM_UP_SECONDS, SECONDS, NODES = 8.0, 20.0, 1000
TESTS = Path(__file__).parents[1]
BUDGETS = (200, 500)
"""The default, with which 1,000 busy nodes are asked every 5 s, and what asking them every 2 s takes."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority()
        authority.issue().write(folder, "server")
        ca_file = authority.write(folder)
        for per_second in BUDGETS:
            yield from _rows("moving", per_second, _one(folder, per_second))
        yield from _rows("still", 500, _one(folder, 500, still=True))
        for per_second in BUDGETS:
            yield from _rows("moving, TLS", per_second, _one(folder, per_second, ca_file=ca_file))


def _rows(kind: str, per_second: int, found: dict[str, float]) -> Iterator[Row]:
    what = f"polling: {NODES} busy nodes, {kind}, {per_second}/s"
    good = f"{found['requests']:.0f} requests/s, {found['failed']:.0f} failed, every {found['gap']:.1f} s"
    yield Row(f"{what}: CPU", found["cpu"], "% of a core", "", good)
    bare = f"{found['bare']:.1f} before the poller, without Kubernetes"
    yield Row(f"{what}: memory", found["memory"], "MiB", "", bare)


def _one(folder: Path, per_second: int, ca_file: Path | None = None, *, still: bool = False) -> dict[str, float]:
    options = [*(["--tls", str(folder)] if ca_file else []), *(["--still"] if still else [])]
    with many_exporters(folder, *options) as (_, port):
        command = [sys.executable, "-m", "bench.polling", str(port), str(NODES), str(per_second), str(SECONDS)]
        result: dict[str, float] = json.loads(run([*command, *([ca_file] if ca_file else [])], cwd=TESTS, timeout=120))
        return result


@dataclass(slots=True)
class _Gaps:
    """How long nodes were without an answer."""

    last: dict[str, float] = field(default_factory=dict)
    gaps: list[float] = field(default_factory=list)

    def receive(self, observed: ExporterSeen | ExporterGone) -> None:
        if isinstance(observed, ExporterSeen) and observed.reading.answered_at is not None:
            if observed.node in self.last:
                self.gaps.append(observed.reading.answered_at - self.last[observed.node])
            self.last[observed.node] = observed.reading.answered_at


def _measured(port: int, nodes: int, per_second: int, seconds: float, ca_file: Path | None) -> dict[str, float]:
    clock = SystemClock()
    bare = Memory.of(os.getpid()).resident
    scheme = "https" if ca_file else "http"
    targets = [Target(address, scheme, address, port) for address in addresses(nodes)]
    gaps = _Gaps()
    poller = PollerThread(
        Discovery(targets), HttpAccess(_config(ca_file), clock), clock, gaps, pace=Pace(per_second=per_second)
    )
    poller.want(target.node for target in targets)
    poller.start()
    with closing(poller):
        time.sleep(WARM_UP_SECONDS)
        gaps.gaps.clear()
        before, began, cpu = poller.requests, time.monotonic(), time.process_time()
        time.sleep(seconds)
        after, elapsed, cpu = poller.requests, time.monotonic() - began, time.process_time() - cpu
        done = {result: after[result] - before[result] for result in after}
        good = done[Result.OK] + done[Result.NOT_MODIFIED]
        return {
            "cpu": 100 * cpu / elapsed,
            "memory": Memory.of(os.getpid()).resident,
            "bare": bare,
            "requests": good / elapsed,
            "failed": sum(done.values()) - good,
            "gap": median(gaps.gaps),
        }


def _config(ca_file: Path | None) -> Path | None:
    if ca_file is None:
        return None
    path = ca_file.with_name("http.yml")
    path.write_text(f"tls_config:\n  ca_file: {ca_file}\n  server_name: localhost\n")
    return path


def main() -> None:
    port, nodes, per_second, seconds, *ca_file = sys.argv[1:]
    found = _measured(int(port), int(nodes), int(per_second), float(seconds), Path(ca_file[0]) if ca_file else None)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
