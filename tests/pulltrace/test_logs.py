import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace.logs import Level, LogFormat, configure, fields, json_line, logfmt_line, timestamp

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []  # pytest's own handlers are not ours to close
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def lines_of(level: Level, log_format: LogFormat, act: Callable[[logging.Logger], object]) -> list[str]:
    stream = io.StringIO()
    configure(level, log_format, stream)
    act(logging.getLogger("pulltrace.test"))
    return stream.getvalue().splitlines()


def logfmt(act: Callable[[logging.Logger], object]) -> str:
    (line,) = lines_of(Level.INFO, LogFormat.LOGFMT, act)
    stamp, _, rest = line.partition(" ")
    assert stamp.startswith("ts=")
    assert stamp.endswith("Z")
    return rest


def as_json(act: Callable[[logging.Logger], object]) -> dict[str, Any]:
    (line,) = lines_of(Level.INFO, LogFormat.JSON, act)
    entry = json.loads(line)
    assert isinstance(entry, dict)
    return entry


def test_logfmt() -> None:
    line = logfmt(
        lambda log: log.info(
            "pull %s", "began", extra=fields(registry="docker.io", size=3, ratio=0.5, ok=True, at=None, name="a b")
        )
    )
    assert line == (
        'level=info logger=pulltrace.test msg="pull began" '
        'registry=docker.io size=3 ratio=0.5 ok=true at=null name="a b"'
    )


def test_json() -> None:
    entry = as_json(lambda log: log.warning("odd", extra=fields(size=3, ok=True, at=None, path=io)))
    del entry["ts"]
    assert entry == {
        "level": "warn",
        "logger": "pulltrace.test",
        "msg": "odd",
        "size": 3,
        "ok": True,
        "at": None,
        "path": str(io),
    }


def test_a_plain_dict_of_extras_works_too() -> None:
    assert logfmt(lambda log: log.info("x", extra={"call": "Leases/List"})).endswith("msg=x call=Leases/List")


def test_fields_do_not_replace_what_every_line_has() -> None:
    line = logfmt(lambda log: log.info("true", extra=fields(level="none", msg="false")))
    assert line == "level=info logger=pulltrace.test msg=true field_level=none field_msg=false"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "so"', '"say \\"so\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines\r", '"two\\nlines\\r"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("\x9b31m", '"\\u009b31m"'),
        ("a\u2028b", '"a\\u2028b"'),
        ("\u202eevil", '"\\u202eevil"'),
        ("\udc80", '"\\udc80"'),
        ("\U000e0001", '"\\udb40\\udc01"'),
        ("größe", "größe"),
        ("sha256:ab", "sha256:ab"),
    ],
)
def test_logfmt_values(value: str, written: str) -> None:
    assert logfmt_line({"k": value}) == f"k={written}"


def test_logfmt_keys_cannot_break_a_line() -> None:
    assert logfmt_line({"a b\n=": 1}) == "a_b__=1"


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.booleans())))
def test_nothing_starts_a_new_line_or_steers_a_terminal(entry: dict[str, object]) -> None:
    assert logfmt_line(entry).isprintable()
    assert json_line(entry).isprintable()
    assert json.loads(json_line(entry)) == entry


def fail(log: logging.Logger) -> None:
    try:
        int("gone\nfor good")
    except ValueError:
        log.exception("cannot read")


def test_an_exception_is_one_field_of_the_same_line() -> None:
    line = logfmt(fail)
    assert line.startswith('level=error logger=pulltrace.test msg="cannot read" exception="Traceback (most')
    assert line.endswith("gone\\\\nfor good'\"")
    assert as_json(fail)["exception"].splitlines()[-1].startswith("ValueError: invalid literal")


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        (Level.DEBUG, ["debug", "info", "warn", "error", "error"]),
        (Level.INFO, ["info", "warn", "error", "error"]),
        (Level.WARN, ["warn", "error", "error"]),
        (Level.ERROR, ["error", "error"]),
    ],
)
def test_levels(level: Level, seen: list[str]) -> None:
    def all_levels(log: logging.Logger) -> None:
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            log.log(number, "x")

    assert [json.loads(line)["level"] for line in lines_of(level, LogFormat.JSON, all_levels)] == seen


def test_timestamps_are_rfc_3339_in_utc_with_milliseconds() -> None:
    assert timestamp(1_700_000_000) == "2023-11-14T22:13:20.000Z"
    assert timestamp(1_700_000_000.1239) == "2023-11-14T22:13:20.123Z"


def test_configuring_again_replaces_the_first() -> None:
    first = io.StringIO()
    configure(Level.INFO, LogFormat.JSON, first)
    assert len(lines_of(Level.INFO, LogFormat.LOGFMT, lambda log: log.info("x"))) == 1
    assert first.getvalue() == ""


def test_python_warnings_become_log_lines() -> None:
    def warn(_: logging.Logger) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("old\nthing", stacklevel=1)
            logging.captureWarnings(capture=False)

    line = logfmt(warn)
    assert line.startswith("level=warn logger=py.warnings msg=")
    assert "old\\nthing" in line
