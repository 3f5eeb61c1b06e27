"""What holds for the flags of both programs."""

import platform
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from pulltrace import __version__
from pulltrace.cli import flag_help
from pulltrace.cli.flags import Settings
from pulltrace.errors import ConfigError
from pulltrace.logs import Level, LogFormat
from pulltrace.web.address import ListenAddress
from pulltrace_aggregator.config import AggregatorConfig
from pulltrace_exporter.config import ExporterConfig

pytestmark = pytest.mark.unit

PAGES = Path(__file__).parents[3] / "docs"
PORTS = {ExporterConfig: 10301, AggregatorConfig: 10302}
NO_PATH = "is not a URL path: it begins with /, then come letters, digits and . _ ~ / -"
both = pytest.mark.parametrize("program", PORTS)

Program = type[ExporterConfig] | type[AggregatorConfig]


def shared(given: ExporterConfig | AggregatorConfig) -> tuple[object, ...]:
    return given.listen_address, given.telemetry_path, given.web_config_file, given.log_level, given.log_format


@both
def test_defaults(program: Program) -> None:
    expected = (ListenAddress("", PORTS[program]), "/metrics", None, Level.INFO, LogFormat.LOGFMT)
    assert shared(program.from_argv((), {})) == expected


@both
def test_every_shared_flag_reaches_its_setting(program: Program) -> None:
    argv = (
        "--web.listen-address=[::1]:9",
        "--web.telemetry-path=/m",
        "--web.config.file=web.yml",
        "--log.level=debug",
        "--log.format=json",
    )
    given = program.from_argv(argv, {})
    assert shared(given) == (ListenAddress("::1", 9), "/m", Path("web.yml"), Level.DEBUG, LogFormat.JSON)


@both
@pytest.mark.parametrize(
    ("flag", "value", "problem"),
    [
        ("web.listen-address", "80", "'80' is not host:port, [IPv6 address]:port or :port"),
        ("web.listen-address", ":70000", "':70000': port 70000 is above 65535"),
        ("web.telemetry-path", "metrics", f"'metrics' {NO_PATH}"),
        ("web.telemetry-path", "/m?x", f"'/m?x' {NO_PATH}"),
        ("web.telemetry-path", "", f"'' {NO_PATH}"),
        ("web.telemetry-path", "/", "'/' is served already"),
        ("web.telemetry-path", "/v1/pulls", "'/v1/pulls' is served already"),
        ("web.telemetry-path", "/-/healthy", "'/-/healthy' is served already"),
        ("web.telemetry-path", "/-/ready", "'/-/ready' is served already"),
        ("web.config.file", "a\0b", "'a\\x00b' is not a path"),
        ("log.level", "loud", "'loud' is not one of debug, info, warn, error"),
        ("log.level", "INFO", "'INFO' is not one of debug, info, warn, error"),
        ("log.format", "text", "'text' is not one of logfmt, json"),
    ],
)
def test_a_wrong_value_and_its_message(program: Program, flag: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program.from_argv((f"--{flag}={value}",), {})
    assert caught.value.problems == (f"--{flag}: {problem}",)


@both
def test_help_fits_a_terminal(program: type[Settings]) -> None:
    text = flag_help.answer(program, ["--help"])
    assert text is not None
    assert max(map(len, text.splitlines())) <= 80


@both
def test_version(program: type[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    name, python = f"pulltrace-{_name(program)}", f"  python version: {platform.python_version()}\n"
    assert flag_help.answer(program, ["--version"]) == f"{name}, version {__version__}\n{python}"
    (tmp_path / "COMMIT").write_text("0123abc\n")
    assert flag_help.answer(program, ["--version"]) == f"{name}, version {__version__} (commit 0123abc)\n{python}"


@both
def test_the_reference_page_is_fresh_and_is_written_by_the_module(program: type[Settings]) -> None:
    page = (PAGES / f"{_name(program)}-flags.md").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", program.__module__], capture_output=True, text=True, check=True, timeout=30
    )
    assert page == done.stdout, "run `make docs`"


def _name(program: type[Settings]) -> str:
    return "exporter" if program is ExporterConfig else "aggregator"
