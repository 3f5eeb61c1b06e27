"""What a release consists of: archives that anybody can build again, a change log in its format."""

import hashlib
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pulltrace
from rig import needs, npm
from rig.image_parts import build_distribution
from rig.processes import run

CHECKOUT = Path(__file__).parents[1]
VERSION = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
PACKAGES = ("pulltrace", "pulltrace_exporter", "pulltrace_aggregator", "pulltrace_kubectl")


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


class Distribution:
    """Both archives, built of the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "first"
        build_distribution(self.folder)
        self.name = f"pulltrace-{pulltrace.__version__}"
        self.sdist = self.folder / f"{self.name}.tar.gz"
        self.wheel = self.folder / f"{self.name}-py3-none-any.whl"


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    return Distribution(tmp_path_factory.mktemp("distribution"))


@pytest.mark.contract
def test_both_archives_come_out_the_same_elsewhere_and_from_the_sdist(
    distribution: Distribution, tmp_path: Path
) -> None:
    with tarfile.open(distribution.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    for path in tmp_path.rglob("*.py"):
        path.chmod(0o600)  # another umask
    build_distribution(tmp_path / "second", source=tmp_path / distribution.name)
    assert hashes(tmp_path / "second") == hashes(distribution.folder)


@pytest.mark.contract
def test_the_sdist_has_what_is_in_the_repository(distribution: Distribution) -> None:
    try:
        answer = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone")
    with tarfile.open(distribution.sdist) as archive:
        inside = {name.removeprefix(f"{distribution.name}/") for name in archive.getnames()}
    assert set(answer.stdout.splitlines()) - inside == set()


@pytest.mark.contract
def test_the_wheel_has_the_programs_and_nothing_of_the_tests(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as archive:
        tops = {name.split("/", 1)[0] for name in archive.namelist()}
        (points,) = [archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert tops == {*PACKAGES, f"{distribution.name}.dist-info"}
    for program, point in (
        ("pulltrace-exporter", "pulltrace_exporter.__main__:main"),
        ("pulltrace-aggregator", "pulltrace_aggregator.__main__:main"),
        ("kubectl-pulltrace", "pulltrace_kubectl.__main__:main"),
        ("kubectl_complete-pulltrace", "pulltrace_kubectl.__main__:complete"),
    ):
        assert f"{program} = {point}" in points


@pytest.mark.integration
def test_the_chart_is_packed_whole(tmp_path: Path) -> None:
    """By the Helm that is the oldest supported: what it renders from the package is what it renders from the folder."""
    helm = needs.npm_file(npm.HELM)
    folder = CHECKOUT / "deploy/helm/pulltrace"
    run([helm, "lint", "--strict", folder])
    run([helm, "package", folder, "--destination", tmp_path])
    package = tmp_path / f"pulltrace-{pulltrace.__version__}.tgz"
    # Without a cluster this Helm takes Kubernetes for 1.25, which the chart refuses.
    everything = ["--kube-version", "1.34.0", "--set", "kubePrometheusStack.release=stack,tls.enabled=true"]
    rendered = [run([helm, "template", "pulltrace", chart, *everything]) for chart in (folder, package)]
    assert "kind: PrometheusRule" in rendered[0]
    assert rendered[0] == rendered[1]


@pytest.mark.unit
class TestTheChangeLog:
    @staticmethod
    def lines() -> list[str]:
        return (CHECKOUT / "CHANGELOG.md").read_text().splitlines()

    def headings(self) -> Iterator[str]:
        return (line for line in self.lines() if line.startswith("## "))

    def test_begins_with_what_is_not_released_and_dates_the_rest(self) -> None:
        first, *others = self.headings()
        assert first == "## [Unreleased]"
        versions = [match[1] for line in others if (match := VERSION.match(line))]
        assert len(versions) == len(others)
        assert versions == sorted(versions, key=lambda text: [int(part) for part in text.split(".")], reverse=True)

    def test_knows_the_kinds_of_change_of_the_format_only(self) -> None:
        kinds = {line.removeprefix("### ") for line in self.lines() if line.startswith("### ")}
        assert kinds <= KINDS
