"""A cluster of each test's own, with a fake Kubernetes API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.hub import Hub
from rig.hub import hub as opened


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with opened(tmp_path) as running:
        yield running
