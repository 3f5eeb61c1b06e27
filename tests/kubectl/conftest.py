"""The cluster of each test: on the stand-in for kubectl, and on the oldest and the newest real one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import needs
from rig.client_world import World, world
from rig.go_programs import parts


@pytest.fixture(params=["fake", *(f"kubectl-{minor}" for minor in parts.KUBERNETES)])
def cluster(request: pytest.FixtureRequest) -> Iterator[World]:
    program = "" if request.param == "fake" else _real(request.param.removeprefix("kubectl-"))
    with tempfile.TemporaryDirectory(prefix="ptk-") as folder, world(Path(folder), program) as made:
        yield made


def _real(minor: str) -> str:
    return str(needs.built(parts.KUBERNETES[minor]) / "kubectl")
