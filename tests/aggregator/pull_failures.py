"""Collects what real containerds say of pulls that fail.

`python -m aggregator.pull_failures`, with `tests` on the path, writes it into `data/containerd.toml`.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from aggregator.pull_cases import CASES, DISK, PATIENCE_CASES, SMALL_DISK_CASES, Case, Stage
from rig import debian, mounts
from rig.containerd import RealContainerd
from rig.containerd_config import Settings
from rig.processes import run

DATA = Path(__file__).parent / "data"
HEAD = """\
# How pulls fail on real containerds, in the words that the kubelet puts after `Failed to pull image "…": `.
# Written by pull_failures.py; edit that one.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a pull ended: the text as the kubelet quotes it, `rpc error: code = … desc = …`."""

    case: str
    reason: str
    version: str
    text: str


def collect(label: str, *, slow: bool = True) -> Iterator[Failure]:
    """Every failure on this version of containerd, on request without those that take long."""
    nodes: Sequence[tuple[Callable[[], AbstractContextManager[RealContainerd]], Sequence[Case]]] = (
        (lambda: RealContainerd.fresh(label), CASES),
        (lambda: _small(label), SMALL_DISK_CASES),
        (lambda: RealContainerd.fresh(label, Settings(progress_timeout="1s")), PATIENCE_CASES),
    )
    for node, cases in nodes:
        with ExitStack() as ends:
            stage = Stage(ends.enter_context(node()), ends)
            yield from _failures(stage, [case for case in cases if label not in case.not_on and slow >= case.slow])


def _failures(stage: Stage, cases: Sequence[Case]) -> Iterator[Failure]:
    """All at once, since some take a timeout's time."""
    calls = [(case, stage.pull(case.prepare(stage))) for case in cases]
    for case, call in calls:
        error = call.exception()
        assert isinstance(error, grpc.RpcError), f"{case.name} did not fail on {stage.node.name}"
        yield Failure(case.name, case.reason, stage.node.version, kubelet_text(error))


@contextmanager
def _small(label: str) -> Iterator[RealContainerd]:
    """A containerd whose disk is a small one in memory."""
    folder = Path(tempfile.mkdtemp(prefix="ptn-", dir="/tmp"))
    try:
        (folder / "root").mkdir()
        run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder / "root"])
        with RealContainerd(label, folder) as node:
            yield node
    finally:
        if folder.exists():
            mounts.remove_tree(folder)


def kubelet_text(error: grpc.RpcError) -> str:
    """The error as a kubelet prints it: gRPC in Go names its codes `NotFound` where Python has `NOT_FOUND`."""
    code = "".join(part.capitalize() for part in error.code().name.split("_"))
    return f"rpc error: code = {'Canceled' if code == 'Cancelled' else code} desc = {error.details()}"


def published(failure: Failure) -> str:
    """An entry of the data file, without what is particular to the machine and the hour."""
    text = re.sub(r"/tmp/ptn-\w+/root", "/var/lib/containerd", failure.text)
    text = re.sub(r" on [\d.]+:53:", " on 10.96.0.10:53:", text)
    version = re.match(r"[\d.]+", failure.version)
    fields = {"version": version[0] if version else "", "case": failure.case, "reason": failure.reason, "text": text}
    # A JSON string is one of TOML too.
    return "\n".join(("[[failure]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items()), ""))


def main() -> None:
    entries = [published(failure) for label in debian.CONTAINERD for failure in collect(label)]
    (DATA / "containerd.toml").write_text("\n".join((HEAD, *entries)))


if __name__ == "__main__":
    main()
