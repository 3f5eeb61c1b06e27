"""What a program refuses of its flags, the schema of the values refuses before an installation, and nothing else."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace.cli.flags import Flag
from pulltrace_aggregator import config as aggregator
from pulltrace_chart import schema
from pulltrace_chart.places import CHART
from pulltrace_exporter import config as exporter
from rig.charts import new_helm

pytestmark = pytest.mark.unit

TABLES: Final = {"exporter": exporter.FLAGS.flags, "aggregator": aggregator.FLAGS.flags}
FLAGS: Final[list[tuple[str, Flag[Any]]]] = [
    (program, flag)
    for program, table in TABLES.items()
    for flag in table
    if flag.name not in schema.SET_BY_CHART[program] and not flag.switch
]
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text())
UNITS: Final = ("y", "w", "d", "h", "m", "s", "ms", "KiB", "MiB", "GiB", "KB", "", " ", ".", "-")
"""Units of durations and sizes, and what looks like them."""
WORDS: Final = ("verbose", "info", "warning", "warn", "debug", "INFO", "json", "text", "logfmt", "k8s.io", "k8s..io")
TOO_LONG: Final = "a" * 77

each_flag = pytest.mark.parametrize(
    ("program", "flag"), FLAGS, ids=[f"{program}-{flag.name}" for program, flag in FLAGS]
)
# No centuries: they are no slips, and the program alone says that they are too long.
written = (
    st.lists(st.tuples(st.integers(0, 99).map(str), st.sampled_from(UNITS)), max_size=3)
    .map(lambda parts: "".join(map("".join, parts)))
    .filter(lambda text: not re.search("[0-9]{3}[yw]|[0-9]{5}d", text))
)


def program_takes(flag: Flag[Any], text: str) -> bool:
    try:
        flag.parse(text)
    except ValueError:
        return False
    return True


def schema_takes(program: str, flag: Flag[Any], value: object) -> bool:
    """As a value of the chart: a number where YAML reads one."""
    place: Mapping[str, Any] = SCHEMA["properties"][program]["properties"]["flags"]["properties"][flag.name]
    return jsonschema.Draft7Validator(place).is_valid(value)


@each_flag
@given(text=st.one_of(written, st.sampled_from([*WORDS, TOO_LONG])))
@example(text="0s")
@example(text="0")
@example(text="0h0ms")
@example(text="1s1m")
@example(text="1 MiB")
def test_the_schema_takes_what_the_program_takes(program: str, flag: Flag[Any], text: str) -> None:
    count = flag.metavar == "COUNT"
    if count and not text.isdecimal():
        return
    assert schema_takes(program, flag, int(text) if count else text) is program_takes(flag, text)


@each_flag
def test_numbers_that_are_texts_and_texts_that_are_numbers_are_refused(program: str, flag: Flag[Any]) -> None:
    takes_numbers = flag.metavar in ("COUNT", "SIZE")
    assert schema_takes(program, flag, 4096) is takes_numbers
    assert not schema_takes(program, flag, -1)
    assert not schema_takes(program, flag, True)


@each_flag
def test_the_default_of_a_flag_is_a_value_that_may_be_given(program: str, flag: Flag[Any]) -> None:
    value = int(flag.default) if flag.metavar == "COUNT" else flag.default
    assert new_helm({program: {"flags": {flag.name: value}}})
