"""How soon `kubectl pulltrace` answers beside kubectl itself, and what looking at a large cluster costs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bench.nodes import folder
from bench.rows import Row, median_row, seconds
from rig.client_world import NAMESPACE, PORT, SERVICE, Answering, World, aggregator, pull, wait, world
from rig.go_programs import build, parts

CLIENT: Final = (sys.executable, "-m", "pulltrace_kubectl")
TIMES: Final = 20
WAITS, NODES = 2000, 1000
WATCHED_SECONDS: Final = 60.0
SCREEN: Final = {"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"}
SELECTOR: Final = "app.kubernetes.io/component=aggregator,app.kubernetes.io/part-of=pulltrace"


def measure() -> Iterator[Row]:
    program = str(build.programs(parts.KUBERNETES[max(parts.KUBERNETES)]) / "kubectl")
    with folder() as path, world(path, program) as cluster:
        cluster.aggregator(Answering(aggregator(_waits(20))))
        yield from _answers(cluster)
    with folder() as path, world(path, program) as cluster:
        shard = Answering(aggregator(_waits(WAITS)))
        cluster.aggregator(shard)
        yield _watching("through kubectl", cluster, "-A", "-w")
        yield _watching("directly", cluster, "-A", "-w", "--url", shard.url)


def _waits(number: int) -> list[dict[str, object]]:
    return [
        wait(f"web-{each}", node=f"node-{each % NODES}", pull=pull(f"web-{each}"), namespace=f"team-{each % 40}")
        for each in range(number)
    ]


def _answers(cluster: World) -> Iterator[Row]:
    """The client and the calls of kubectl that it makes, in turns."""
    raw = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}:{PORT}/proxy/v1/pulls"
    found = ("kubectl", "get", "services,pods", "--all-namespaces", "--selector", SELECTOR, "--output", "json")
    ours, theirs = [], []
    for _ in range(TIMES):
        ours.append(_seconds(cluster, (*CLIENT, "-A")))
        theirs.append(_seconds(cluster, found) + _seconds(cluster, ("kubectl", "get", "--raw", raw)))
    yield median_row("client: an answer through the proxy", ours, "s", how="20 images waited for, fake API server")
    yield median_row("the calls of kubectl that it makes, alone", theirs, "s", how="one after the other")
    extra = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    yield median_row("client: its own part of an answer", extra, "s", "< 0.5", "the difference of each pair")


def _seconds(cluster: World, command: Sequence[str]) -> float:
    environment = cluster.environment()
    return seconds(lambda: subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60))


def _watching(way: str, cluster: World, *words: str) -> Row:
    """The share of a core of `-w`, of its start and of the kubectl that it runs as well."""
    began = time.monotonic()
    with _in_a_terminal(cluster, words) as watch:
        time.sleep(WATCHED_SECONDS)
        watch.send_signal(signal.SIGTERM)
        _, _, used = os.wait4(watch.pid, 0)
        watch.returncode = 0
    share = 100 * (used.ru_utime + used.ru_stime) / (time.monotonic() - began)
    how = f"{WAITS} images waited for, {WATCHED_SECONDS:.0f} s with its start, kubectl's time included"
    return Row(f"client: -w {way}, CPU", share, "% of a core", "< 10", how)


@contextmanager
def _in_a_terminal(cluster: World, words: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """The client on a terminal whose output is read and forgotten."""
    ours, side = os.openpty()
    environment = cluster.environment(**SCREEN)
    environment.pop("NO_COLOR", None)
    watch = subprocess.Popen([*CLIENT, *words], stdin=side, stdout=side, stderr=side, env=environment)
    os.close(side)
    reader = threading.Thread(target=_drain, args=(ours,))
    reader.start()
    try:
        yield watch
    finally:
        watch.kill()
        watch.wait()
        reader.join()
        os.close(ours)


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        return  # nobody writes any more
