"""A cluster of each test's own, with a fake Kubernetes API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.mini_cluster import MiniCluster
from rig.mini_cluster import mini_cluster as opened


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MiniCluster]:
    with opened(tmp_path) as running:
        yield running
