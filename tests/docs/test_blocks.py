"""Blocks of code on pages are what they pretend to be: shell, YAML, a configuration that Prometheus takes."""

import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from pulltrace_aggregator.config import AggregatorConfig
from pulltrace_exporter.config import ExporterConfig
from rig import needs
from rig.debian import PROMTOOL
from rig.pages import CHECKOUT, pages
from rig.processes import run

VALUES = CHECKOUT / "deploy/helm/pulltrace/values.yaml"
PROGRAMS: Mapping[str, Callable[[Sequence[str], Mapping[str, str]], object]] = {
    "pulltrace-exporter": ExporterConfig.from_argv,
    "pulltrace-aggregator": AggregatorConfig.from_argv,
}


BLOCKS = [(page.name, block) for page in pages() for block in page.blocks]
SHELL = ("sh", "bash", "shell")


def of(*languages: str) -> list[tuple[str, str]]:
    return [(name, block.text) for name, block in BLOCKS if block.language in languages]


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
def test_helm_is_given_values_that_the_chart_has() -> None:
    if not VALUES.exists():
        pytest.skip("no chart yet")
    values = yaml.safe_load(VALUES.read_text())
    given = [(page, *setting) for page, words in commands() if words[:1] == ["helm"] for setting in settings(words)]
    for page, path in given:
        node = values
        for part in path.split("."):
            assert isinstance(node, dict), f"{page}: --set {path}"
            assert part in node, f"{page}: --set {path}"
            node = node[part]


def settings(words: list[str]) -> Iterator[tuple[str]]:
    """What `--set` sets, as paths."""
    for flag, value in pairwise(words):
        if flag in ("--set", "--set-string"):
            for assignment in value.split(","):
                yield (assignment.partition("=")[0].partition("[")[0],)
