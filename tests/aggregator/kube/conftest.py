"""The API servers on which every scenario runs: the fake, and the real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.kube.adapter_setup import AdapterSetup
from rig import needs
from rig.kubernetes.fake import FakeCluster
from rig.kubernetes.real import api_server

FAKE = pytest.param("fake", marks=pytest.mark.contract)
REAL = pytest.param("real", marks=pytest.mark.integration)


@pytest.fixture(scope="session", params=[FAKE, REAL])
def cluster(request: pytest.FixtureRequest) -> Iterator[FakeCluster | api_server.ApiServer]:
    """One API server for all tests: each has a namespace of its own, and nothing is under way between two."""
    real = request.param == "real"
    if real and (reason := api_server.reason_missing()):
        needs.miss(reason)
    with api_server.ApiServer() if real else FakeCluster() as running:
        yield running


@pytest.fixture
def setup(cluster: FakeCluster | api_server.ApiServer, tmp_path: Path) -> Iterator[AdapterSetup]:
    """A namespace of that server and any number of adapters."""
    yield from _stand(cluster, tmp_path)


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    """A fake of the test's own, which may misbehave."""
    with FakeCluster() as running:
        yield running


@pytest.fixture
def fake_setup(fake: FakeCluster, tmp_path: Path) -> Iterator[AdapterSetup]:
    """The same for a fake of the test's own."""
    yield from _stand(fake, tmp_path)


def _stand(cluster: FakeCluster | api_server.ApiServer, folder: Path) -> Iterator[AdapterSetup]:
    made = AdapterSetup(cluster, folder)
    try:
        yield made
    finally:
        made.close()
