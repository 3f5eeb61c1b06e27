"""`python -m fuzz.one TARGET FOLDER [libFuzzer's flags] [FOLDER …]`: fuzz one target until its runs or time are over.

The target's seeds and what is new are written to the first folder, inputs are read from all.

libFuzzer ends the process: with status 0 where nothing was found, else the input lies in the present folder.
"""

import importlib
import re
import resource
import sys
import warnings
from pathlib import Path

import atheris

from fuzz.targets import SHARES

MEMORY_MIB = 1024
"""Of the whole process. It begins with 60 to 130."""
INSTRUMENTED = ["pulltrace", "pulltrace_exporter", "pulltrace_aggregator", "pulltrace_kubectl", "h11"]


class TooMuchMemory(Exception):
    """An input has left the process with more than is allowed."""


def check_memory() -> None:
    """Raises TooMuchMemory. libFuzzer's own limit counts what the process that began this one once held.

    So does `getrusage`. It is asked first, because it costs a thirtieth of reading the file.
    """
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss <= MEMORY_MIB * 1024:
        return
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found and int(found[1]) > MEMORY_MIB * 1024:
        raise TooMuchMemory(f"{int(found[1]) // 1024} MiB")


def main(argv: list[str]) -> None:
    program, name, folder, *flags = argv
    if name not in SHARES:
        raise SystemExit(f"there is no target {name!r}; there are {', '.join(SHARES)}")
    warnings.simplefilter("error", RuntimeWarning)
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        target = importlib.import_module(f"fuzz.targets.{name}")
    from fuzz.served import no_internal_errors

    for number, seed in enumerate(target.SEEDS):
        (Path(folder) / f"seed-{number}").write_bytes(seed)

    def one_input(data: bytes) -> None:
        with no_internal_errors():
            target.run(data)
        check_memory()

    mutate = getattr(target, "mutate", None)
    more = {"custom_mutator": lambda data, most, seed: mutate(data, most, seed, atheris.Mutate)} if mutate else {}
    atheris.Setup([program, folder, *flags], one_input, **more)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
