"""The messages of containerd's API: generated from our own .proto files. No call that writes is among them."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from pulltrace_exporter.containerd.client import METHODS
from rig import caching, needs

CHECKOUT = Path(__file__).parents[3]
FOLDER = CHECKOUT / "exporter/pulltrace_exporter/containerd/api"
REQUIREMENTS = CHECKOUT / "requirements/stubs.txt"
SERVER_STUBS = CHECKOUT / "tests/rig/containerd_stubs"
GENERATED = "*_pb2*.py*"

READING = {
    "containerd.services.content.v1.Content/Info",
    "containerd.services.content.v1.Content/ListStatuses",
    "containerd.services.content.v1.Content/Read",
    "containerd.services.events.v1.Events/Subscribe",
    "containerd.services.images.v1.Images/List",
    "containerd.services.introspection.v1.Introspection/Plugins",
    "containerd.services.leases.v1.Leases/List",
    "containerd.services.leases.v1.Leases/ListResources",
    "containerd.services.namespaces.v1.Namespaces/List",
    "containerd.services.snapshots.v1.Snapshots/List",
    "containerd.services.snapshots.v1.Snapshots/Stat",
    "containerd.services.version.v1.Version/Version",
}


def declared(folder: Path) -> set[str]:
    """Every method of every service in the .proto files of a folder."""
    methods = set()
    for path in folder.glob("*.proto"):
        text = path.read_text()
        package = re.findall(r"^package (\S+);", text, re.MULTILINE)
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            methods |= {f"{package[0]}.{service}/{method}" for method in re.findall(r"\brpc (\w+)\(", body)}
    return methods


@pytest.mark.unit
def test_no_method_that_writes_is_declared() -> None:
    assert declared(FOLDER) <= READING


@pytest.mark.unit
def test_the_client_can_call_no_other_method() -> None:
    assert {method.name for method in METHODS} <= READING


def generator() -> str:
    """A Python with the lowest supported grpcio-tools, kept outside the checkout."""
    folder = caching.folder() / f"stubs-{sys.version_info.major}.{sys.version_info.minor}"
    python = str(folder / "bin/python")
    mark = folder / "complete"
    if not mark.exists() or mark.read_bytes() != REQUIREMENTS.read_bytes():
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
        result = subprocess.run(install, capture_output=True, text=True, check=False)
        if result.returncode:
            needs.miss(f"grpcio-tools cannot be installed: {result.stderr[-300:]}")
        mark.write_bytes(REQUIREMENTS.read_bytes())
    return python


@pytest.mark.contract
@pytest.mark.timeout(300)
def test_the_stubs_are_those_of_the_proto_files(tmp_path: Path) -> None:
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    include = f"-I{CHECKOUT / 'exporter'}"
    command = [generator(), "-m", "grpc_tools.protoc", include, *outputs, *map(str, sorted(FOLDER.glob("*.proto")))]
    subprocess.run(command, check=True)
    fresh = tmp_path / "pulltrace_exporter/containerd/api"
    committed = {path.name: path.read_text() for folder in (FOLDER, SERVER_STUBS) for path in folder.glob(GENERATED)}
    # Files without a service get an empty stub module, which is not kept.
    generated = {path.name: path.read_text() for path in fresh.glob(GENERATED) if path.name in committed}
    assert generated == committed, "make stubs"
