"""`make images`: which builder it takes, what it pushes, and the values that it prints."""

import subprocess
from pathlib import Path

import pytest
import yaml

from pulltrace_chart.places import ROOT
from rig.charts import new_helm, pod_specs

pytestmark = pytest.mark.unit
SCRIPT = ROOT / "deploy" / "images.sh"


def build(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", SCRIPT],
        cwd=ROOT,
        env={"PATH": f"{folder}:/usr/bin:/bin", "VERSION": "1.2.3", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.fixture
def podman(tmp_path: Path) -> Path:
    """A folder with a podman that only says what it was asked."""
    program = tmp_path / "podman"
    program.write_text('#!/bin/sh\necho "asked: $*"\n')
    program.chmod(0o755)
    return tmp_path


def test_it_builds_and_pushes_both_and_prints_their_values(podman: Path) -> None:
    said = build(podman, REGISTRY="registry.example:5000/team", BUILDER="podman")
    assert said.returncode == 0
    for program in ("exporter", "aggregator"):
        image = f"registry.example:5000/team/pulltrace-{program}:1.2.3"
        assert f"--target {program} --tag {image} --build-arg VERSION=1.2.3" in said.stdout
        assert f"asked: push {image}\n" in said.stdout
        values = yaml.safe_load(said.stdout[said.stdout.index("exporter:\n") :])
        assert pod_specs(new_helm(values))[f"pulltrace-{program}"]["containers"][0]["image"] == image


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    said = build(tmp_path)
    assert (said.returncode, "REGISTRY is missing" in said.stderr) == (2, True)
    said = build(tmp_path, REGISTRY="registry.example", BUILDER="nerdctl-of-nowhere")
    assert (said.returncode, "no nerdctl-of-nowhere here" in said.stderr) == (1, True)
