"""The cluster of each test: on the stand-in for kubectl, and on a real one where there is one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import fake_kubectl
from rig.client_world import World, world


@pytest.fixture(params=["fake", "real"])
def cluster(request: pytest.FixtureRequest) -> Iterator[World]:
    program = fake_kubectl.real() if request.param == "real" else ""
    if program is None:
        pytest.skip("there is no kubectl on this machine")
    with tempfile.TemporaryDirectory(prefix="ptk-") as folder, world(Path(folder), program) as made:
        yield made
