"""What the metrics of each program tell of itself."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pulltrace import __version__
from pulltrace.exposition.families import Family, State, labelled, single


@dataclass(frozen=True, slots=True)
class Process:
    """The program itself. `web_config_loaded`: whether the last reading of that succeeded, None without one."""

    version: str = __version__
    python_version: str = field(default_factory=platform.python_version)
    web_config_loaded: Callable[[], bool | None] = lambda: None


def program_families(
    name: str, process: Callable[[State], Process], faults: Callable[[State], Mapping[str, int]]
) -> tuple[Family[State], ...]:
    """The last families of a program's table; the very last counts the faults of the scrape that it is in."""
    return (
        labelled(
            f"pulltrace_{name}_build_info",
            f"Version of the {name} and of Python, always 1.",
            ("version", "python_version"),
            lambda state: [((process(state).version, process(state).python_version), 1)],
        ),
        single(
            "pulltrace_web_config_last_reload_successful",
            "Whether the last reading of --web.config.file succeeded, 1 or 0; absent without such a file.",
            lambda state: process(state).web_config_loaded(),
        ),
        labelled(
            f"pulltrace_{name}_scrape_errors_total",
            f"Metric families left out of a scrape because of a fault in the {name}; absent while there is none.",
            ("family",),
            lambda state: (((family,), count) for family, count in faults(state).items()),
        ),
    )
