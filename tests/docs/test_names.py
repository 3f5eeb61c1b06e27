"""What pages name exists: metrics, flags, environment variables, make targets, files, alerts, lines of the log."""

import re
from collections.abc import Iterator
from itertools import chain

import pytest
import yaml

from pulltrace_aggregator import metrics as aggregator_metrics
from pulltrace_aggregator.config import FLAGS as AGGREGATOR_FLAGS
from pulltrace_exporter import metrics as exporter_metrics
from pulltrace_exporter.config import FLAGS as EXPORTER_FLAGS
from pulltrace_kubectl.arguments import SERVICE_VARIABLE
from pulltrace_kubectl.cli import PASSWORD_VARIABLE
from rig.pages import CHECKOUT, Page, pages

pytestmark = pytest.mark.unit

PAGES = [page for page in pages() if page.name != "CHANGELOG.md"]
RULES = CHECKOUT / "alerts/pulltrace.rules.yaml"
SUFFIXES = ("", "_bucket", "_sum", "_count")
WITHOUT_FLAGS = {"PULLTRACE_CACHE", SERVICE_VARIABLE, PASSWORD_VARIABLE}
TOPS = "docs|deploy|demo|tests|pulltrace|exporter|aggregator|kubectl|alerts|dashboards|requirements"

METRIC = re.compile(r"(?<![\w:])pulltrace_[a-z0-9_]+(?![\w:])")
RECORDED = re.compile(r"\w+:pulltrace_\w+:\w+")
FLAG = re.compile(r"--(?:\[no-\]|no-)?((?:[a-z-]+\.)+[a-z.-]+)")
VARIABLE = re.compile(r"\bPULLTRACE_[A-Z_]+\b")
MADE = re.compile(r"\bmake ([a-z][a-z-]*)")
FILE = re.compile(rf"(?:{TOPS})/[\w./*-]*(?:/|\.\w+)(?:::\w+)?")
ALERT = re.compile(r"Pulltrace[A-Z]\w+")
MESSAGE = re.compile(r'msg="([^"]+)"')

declared = [family.metric.name for family in exporter_metrics.FAMILIES]
declared += [family.metric.name for family in aggregator_metrics.FAMILIES]
metrics = {name + suffix for name in declared for suffix in SUFFIXES}
flags = {flag.name: flag.variable for flag in chain(EXPORTER_FLAGS.flags, AGGREGATOR_FLAGS.flags)}
rules = {
    kind: {
        rule[kind] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if kind in rule
    }
    for kind in ("alert", "record")
}
packages = {path.name for path in CHECKOUT.glob("*/pulltrace_*")}


def all_code(page: Page) -> Iterator[str]:
    yield from page.code
    for block in page.blocks:
        yield block.text


def on_each_page(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(name, PAGES, ids=lambda page: page.name)


@on_each_page("page")
def test_metrics(page: Page) -> None:
    for name in METRIC.findall(page.text):
        if name.endswith("_"):
            assert any(metric.startswith(name) for metric in metrics), f"no metric begins with {name}"
        else:
            assert name in metrics | packages, f"no metric {name}"


@on_each_page("page")
def test_flags(page: Page) -> None:
    for code in page.code:
        if code.startswith("--"):
            for name in FLAG.findall(code):
                assert name in flags, f"no flag --{name}"


@on_each_page("page")
def test_environment_variables(page: Page) -> None:
    for code in all_code(page):
        for name in VARIABLE.findall(code):
            assert name in WITHOUT_FLAGS or name in flags.values(), f"no variable {name}"


@on_each_page("page")
def test_what_make_makes(page: Page) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for code in all_code(page):
        for target in MADE.findall(code):
            assert target in targets, f"make makes no {target}"


@on_each_page("page")
def test_files(page: Page) -> None:
    for code in page.code:
        if FILE.fullmatch(code):
            assert list(CHECKOUT.glob(code.partition("::")[0])), f"no file {code}"


@on_each_page("page")
def test_alerts_and_recorded_series(page: Page) -> None:
    for code in page.code:
        if ALERT.fullmatch(code):
            assert code in rules["alert"], f"no alert {code}"
    for name in RECORDED.findall(page.text):
        assert name in rules["record"], f"no rule records {name}"


@on_each_page("page")
def test_lines_of_the_log(page: Page) -> None:
    sources = [path for top in ("pulltrace", "exporter", "aggregator") for path in (CHECKOUT / top).rglob("*.py")]
    texts = [path.read_text() for path in sources]
    for code in page.code:
        for message in MESSAGE.findall(code):
            assert any(f'"{message}"' in text for text in texts), f"nothing logs {message}"


def test_names_are_found_on_pages() -> None:
    """The expressions above find what they are for."""
    text = "\n".join(page.text for page in PAGES)
    for expression in (METRIC, RECORDED, VARIABLE, MADE):
        assert expression.search(text)
    codes = [code for page in PAGES for code in page.code]
    for expression in (FLAG, FILE, ALERT):
        assert any(expression.fullmatch(code) for code in codes)
