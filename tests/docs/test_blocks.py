"""Blocks of code on pages are what they pretend to be: shell, YAML, a configuration that Prometheus takes."""

import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulltrace_aggregator.config import AggregatorConfig
from pulltrace_exporter.config import ExporterConfig
from rig import charts, needs
from rig.debian import PROMTOOL
from rig.pages import pages
from rig.processes import run

PROGRAMS: Mapping[str, Callable[[Sequence[str], Mapping[str, str]], object]] = {
    "pulltrace-exporter": ExporterConfig.from_argv,
    "pulltrace-aggregator": AggregatorConfig.from_argv,
}
OF_HELM = ("README.md", "deploy/helm/pulltrace/README.md")
"""Pages whose `--set` is Helm's where no command stands before it."""
SHELL = ("sh", "bash", "shell")


def of(*languages: str) -> list[tuple[str, str]]:
    return [(page.name, text) for page in pages() for text in page.texts(*languages)]


def commands() -> Iterator[tuple[str, list[str]]]:
    """The commands of all blocks of shell, and of those that say nothing of their language, as words."""
    for name, text in of(*SHELL, ""):
        for line in text.replace("\\\n", " ").splitlines():
            try:
                yield name, shlex.split(line, comments=True)
            except ValueError:  # a part of something longer
                continue


@pytest.mark.unit
@pytest.mark.parametrize(("page", "text"), of(*SHELL))
def test_shell_can_be_parsed(page: str, text: str) -> None:
    result = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{page}: {result.stderr}"


@pytest.mark.unit
@pytest.mark.parametrize(("page", "text"), of("yaml"))
def test_yaml_can_be_parsed(page: str, text: str) -> None:
    assert list(yaml.safe_load_all(text)), page


@pytest.mark.integration
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    promtool = needs.program(PROMTOOL)
    checked = 0
    for number, (_, text) in enumerate(of("yaml")):
        document = yaml.safe_load(text)
        if not isinstance(document, dict) or not {"scrape_configs", "global", "remote_write"} & document.keys():
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        run([promtool, "check", "config", "--syntax-only", file])
        checked += 1
    assert checked >= 2


@pytest.mark.unit
def test_our_programs_take_the_flags_that_pages_give_them() -> None:
    for page, words in commands():
        if words and words[0] in PROGRAMS and not {"--help", "--version"} & set(words):
            assert PROGRAMS[words[0]](words[1:], {}), page


@pytest.mark.unit
def test_helm_takes_the_values_that_pages_set() -> None:
    """Values in commands and in inline code. The chart's schema refuses a value that does not exist."""
    of_helm = (page for page in pages() if page.name in OF_HELM)
    inline = [(page.name, shlex.split(code)) for page in of_helm for code in page.code if code.startswith("--set ")]
    given = [(page, words) for page, words in (*commands(), *inline) if words[:1] in (["helm"], ["--set"])]
    settings = [(page, value) for page, words in given for flag, value in pairwise(words) if flag == "--set"]
    assert settings
    for page, setting in settings:
        path, _, value = setting.partition("=")
        try:
            charts.new_helm(nested(path.split("."), yaml.safe_load(value.replace("<name>", "name"))))
        except charts.Refused as error:
            pytest.fail(f"{page}: --set {setting}: {error}")


def nested(path: list[str], value: object) -> dict[str, Any]:
    return {path[0]: nested(path[1:], value) if path[1:] else value}
