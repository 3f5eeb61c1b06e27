"""Running libFuzzer on one target, in a process of its own."""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TESTS = Path(__file__).parents[1]
LONGEST_INPUT = 8192


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; `fault` is the end of what the fuzzer has printed, empty where nothing was found."""

    name: str
    runs: int
    seconds: float
    memory: int
    fault: str

    def __str__(self) -> str:
        rest = f"\n{self.fault}" if self.fault else ""
        return f"{self.name}: {self.runs} inputs in {self.seconds:.0f} s, {self.memory} MiB{rest}"


def fuzz(
    name: str,
    folder: Path,
    *,
    runs: int = -1,
    seconds: int = 0,
    seed: int = 0,
    patience: int = 20,
) -> Outcome:
    """Fuzz a target; `folder` gets the inputs of interest. An input that takes longer than `patience` is a fault."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    flags = (
        f"-runs={runs}",
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-timeout={patience}",
        "-rss_limit_mb=0",  # see fuzz.one.check_memory
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        *([str(CORPUS / name)] if (CORPUS / name).is_dir() else []),
    )
    began = time.monotonic()
    # libFuzzer ends the process without a chance to clean up.
    with tempfile.TemporaryDirectory(prefix="ptf-", dir="/tmp") as scratch:
        done = subprocess.run(
            [sys.executable, "-m", "fuzz.one", name, str(inputs), *flags],
            env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONHASHSEED": "0", "TMPDIR": scratch},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    return Outcome(
        name,
        _stat(done.stdout, "number_of_executed_units"),
        time.monotonic() - began,
        _stat(done.stdout, "peak_rss_mb"),
        _interesting(done.stdout) if done.returncode else "",
    )


def _stat(text: str, name: str) -> int:
    found = re.search(rf"^stat::{name}:\s+(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _interesting(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith(("#", "INFO", "WARNING", "stat::", '"'))]
    return "\n".join(lines[-60:])
