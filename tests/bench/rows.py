"""Results, and how they are written: a table for people, JSON for programs."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

HEADS = ("", "value", "unit", "target", "how")


@dataclass(frozen=True, slots=True)
class Row:
    """One result. `samples` are the single measurements whose median it is, where there are several."""

    name: str
    value: float
    unit: str
    target: str = ""
    how: str = ""
    samples: tuple[float, ...] = ()


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def median_row(name: str, samples: Sequence[float], unit: str, target: str = "", how: str = "") -> Row:
    """The median of several measurements, with their spread told in `how`."""
    spread = f"{_number(min(samples))} to {_number(max(samples))}"
    middle = _quartiles(samples)
    return Row(
        name, median(samples), unit, target, f"{how}; median of {len(samples)}, {spread}{middle}", tuple(samples)
    )


def table(rows: Sequence[Row]) -> str:
    cells = [HEADS, *((row.name, _number(row.value), row.unit, row.target, row.how) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS))]
    return "".join(_line(line, widths) for line in cells)


def as_json(environment: dict[str, str], rows: Sequence[Row]) -> str:
    """All results, and what they were measured on."""
    return json.dumps({"environment": environment, "results": [asdict(row) for row in rows]}, indent=1) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column == HEADS.index("value") else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip() + "\n"


def _number(value: float) -> str:
    if value and abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def _quartiles(samples: Sequence[float]) -> str:
    if len(samples) < 8:
        return ""
    ordered = sorted(samples)
    quarter = len(ordered) // 4
    return f", half of them {_number(ordered[quarter])} to {_number(ordered[-quarter - 1])}"
