from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace.cli import flag_help
from pulltrace.cli.flag_values import at_least
from pulltrace.cli.flags import Check, Flag, FlagTable, Settings, Values, repeated, switch
from pulltrace.errors import ConfigError
from pulltrace.units import parse_duration

pytestmark = pytest.mark.unit

INTERVAL = Flag("poll.interval", parse_duration, "1s", "How often.", metavar="DURATION")
DIRECTORY = repeated("allow-directory", Path, "One more.", metavar="DIRECTORY")
LAYERS = switch("collector.layers", default=True, help_text="Series of layers.")
LIMIT = Flag("limit", at_least(1), "10", "At most `so` many | no more.", metavar="COUNT")
NAME = Flag("node.name", str, "", "Who.", metavar="NAME", default_help="`$NODE_NAME`, else the host name")


class Example(Settings):
    program = "prog"
    summary = "Does things."
    interval, directory, layers, limit, name = INTERVAL, DIRECTORY, LAYERS, LIMIT, NAME


TABLE = Example.table


def problems(argv: list[str], *checks: Check, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        TABLE.parse(argv, environ or {}, *checks)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_defaults_go_through_the_parser() -> None:
    values = TABLE.parse([], {})
    assert values[INTERVAL] == 1.0
    assert values[LAYERS] is True
    assert values[LIMIT] == 10
    assert values[DIRECTORY] == ()


@pytest.mark.parametrize("argv", [["--poll.interval=30s"], ["--poll.interval", "30s"]])
def test_both_ways_to_write_a_value(argv: list[str]) -> None:
    assert TABLE.parse(argv, {})[INTERVAL] == 30.0


def test_a_value_may_hold_anything_after_the_equals_sign() -> None:
    assert TABLE.parse(["--node.name=--a=b"], {})[NAME] == "--a=b"
    assert TABLE.parse(["--node.name="], {"PULLTRACE_NODE_NAME": "other"})[NAME] == ""


@pytest.mark.parametrize(("argv", "on"), [(["--collector.layers"], True), (["--no-collector.layers"], False)])
def test_switches(argv: list[str], on: bool) -> None:
    assert TABLE.parse(argv, {"PULLTRACE_COLLECTOR_LAYERS": "true"})[LAYERS] is on


def test_a_repeated_flag_keeps_its_order() -> None:
    values = TABLE.parse(["--allow-directory", "/b", "--allow-directory=/a"], {"PULLTRACE_ALLOW_DIRECTORY": "/c"})
    assert values[DIRECTORY] == (Path("/b"), Path("/a"))


def test_the_environment_holds_values_too() -> None:
    environ = {
        "PULLTRACE_POLL_INTERVAL": "2m",
        "PULLTRACE_ALLOW_DIRECTORY": "/a, /b,",
        "PULLTRACE_COLLECTOR_LAYERS": "false",
    }
    values = TABLE.parse([], environ)
    assert values[INTERVAL] == 120.0
    assert values[DIRECTORY] == (Path("/a"), Path("/b"))
    assert values[LAYERS] is False


def test_a_flag_wins_over_a_variable_even_over_a_wrong_one() -> None:
    assert TABLE.parse(["--poll.interval=3s"], {"PULLTRACE_POLL_INTERVAL": "soon"})[INTERVAL] == 3.0


def test_every_problem_is_named() -> None:
    argv = ["--pol.interval=1s", "--limit", "0", "here", "--poll.interval=soon", "--node.name"]
    assert problems(argv, environ={"PULLTRACE_COLLECTOR_LAYERS": "yes"}) == (
        "unknown flag --pol.interval, did you mean --poll.interval?",
        "unexpected argument 'here'",
        "--node.name: a value is missing",
        "--poll.interval: 'soon' is not a duration: write it like 500ms, 30s or 1m30s",
        "PULLTRACE_COLLECTOR_LAYERS: 'yes' is neither true nor false",
        "--limit: '0' must be at least 1",
    )


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--frobnicate"], "unknown flag --frobnicate"),
        (["--frobnicate", "its-value"], "unknown flag --frobnicate"),
        (["-x"], "unknown flag -x"),
        (["--hel"], "unknown flag --hel, did you mean --help?"),
        (["--no-poll.interval"], "unknown flag --no-poll.interval, did you mean --poll.interval?"),
        (["-"], "unexpected argument '-'"),
        (["--"], "unexpected argument '--'"),
        ([""], "unexpected argument ''"),
        (["--limit", "--node.name=a"], "--limit: a value is missing"),
        (["--limit", "-5"], "--limit: '-5' is not a whole number of 1 or more"),
        (["--limit="], "--limit: '' is not a whole number of 1 or more"),
        (["--limit=1", "--limit=2"], "--limit: given more than once"),
        (["--collector.layers", "--no-collector.layers"], "--no-collector.layers: given more than once"),
        (
            ["--collector.layers=false"],
            "--collector.layers: takes no value, use --collector.layers or --no-collector.layers",
        ),
    ],
)
def test_messages(argv: list[str], problem: str) -> None:
    assert problems(argv) == (problem,)


def too_many(values: Values) -> None:
    if values[LIMIT] > 5:
        raise ConfigError([f"--limit: {values[LIMIT]} files are not there"])


def nobody(values: Values) -> None:
    if not values[DIRECTORY]:
        raise ConfigError(["--allow-directory: none is given", "--node.name: who is it for"])


def test_what_checks_find_is_named_with_the_rest() -> None:
    assert problems(["--poll.interval=soon", "--limit=9"], too_many, nobody) == (
        "--poll.interval: 'soon' is not a duration: write it like 500ms, 30s or 1m30s",
        "--limit: 9 files are not there",
        "--allow-directory: none is given",
        "--node.name: who is it for",
    )
    assert TABLE.parse(["--limit=5", "--allow-directory=/a"], {}, too_many, nobody)[LIMIT] == 5


@pytest.mark.parametrize("argv", [["--limit=few"], ["--limit=9", "--limit=8"]])
def test_a_check_that_needs_a_value_that_is_wrong_is_left_out(argv: list[str]) -> None:
    (problem,) = problems(argv, too_many)
    assert problem.startswith("--limit: ")


def test_a_declaration_twice_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        FlagTable([LAYERS, Flag("no-collector.layers", str, "", "")])


def test_variables_that_belong_to_nothing_are_found_but_those_of_kubernetes_are_not() -> None:
    kubernetes = [
        "PULLTRACE_SERVICE_HOST",
        "PULLTRACE_SERVICE_PORT",
        "PULLTRACE_EXPORTER_SERVICE_PORT_METRICS",
        "PULLTRACE_PORT",
        "PULLTRACE_PORT_10301_TCP",
        "PULLTRACE_PORT_10301_TCP_ADDR",
    ]
    environ = dict.fromkeys([*kubernetes, "PULLTRACE_LIMIT", "PULLTRACE_LIMITS", "PULLTRACE_POL_INTERVAL", "PATH"], "1")
    assert TABLE.unknown_variables(environ) == ("PULLTRACE_LIMITS", "PULLTRACE_POL_INTERVAL")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], None),
        (["--limit=--help"], None),
        (["-h"], "usage: prog"),
        (["--nonsense", "--help", "--version"], "usage: prog"),
        (["--version", "-h"], "prog, version"),
    ],
)
def test_help_and_version_come_before_everything(argv: list[str], expected: str | None) -> None:
    answer = flag_help.answer(Example, argv)
    assert (answer and answer[: len(expected or "")]) == expected


@given(st.lists(st.one_of(st.text(), st.sampled_from(["--limit", "--limit=1", "--node.name", "--help", "-5", "--"]))))
@example(["--\n"])
def test_any_command_line_gives_values_or_problems_of_one_line(argv: list[str]) -> None:
    try:
        values = TABLE.parse(argv, {})
    except ConfigError as error:
        lines = error.problems
    else:
        lines = ()
        assert values[LIMIT] >= 1
    assert all(line.isprintable() for line in lines)


def test_help_text() -> None:
    assert flag_help.help_text(Example) == (
        """usage: prog [<flags>]

Does things.

Flags:
  -h, --help                     Show this text.
      --poll.interval=1s         How often. ($PULLTRACE_POLL_INTERVAL)
      --allow-directory=DIRECTORY ...
                                 One more. May be repeated.
                                 ($PULLTRACE_ALLOW_DIRECTORY)
      --[no-]collector.layers    Series of layers. Default: on.
                                 ($PULLTRACE_COLLECTOR_LAYERS)
      --limit=10                 At most so many | no more. ($PULLTRACE_LIMIT)
      --node.name=NAME           Who. Default: $NODE_NAME, else the host name.
                                 ($PULLTRACE_NODE_NAME)
      --version                  Show the version.
"""
    )


def test_reference_page_rows() -> None:
    rows = [line for line in flag_help.reference_page(Example).splitlines() if line[:3] == "| `"]
    assert rows == [
        "| `--poll.interval=DURATION` | `1s` | `PULLTRACE_POLL_INTERVAL` | How often. |",
        "| `--allow-directory=DIRECTORY` |  | `PULLTRACE_ALLOW_DIRECTORY` | One more. May be repeated. |",
        "| `--[no-]collector.layers` | on | `PULLTRACE_COLLECTOR_LAYERS` | Series of layers. |",
        "| `--limit=COUNT` | `10` | `PULLTRACE_LIMIT` | At most `so` many \\| no more. |",
        "| `--node.name=NAME` | `$NODE_NAME`, else the host name | `PULLTRACE_NODE_NAME` | Who. |",
    ]
