"""How much is remembered of the documents of images."""

from typing import cast

import pytest

from pulltrace_exporter.containerd import manifest_cache
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.manifest_cache import ManifestCache
from rig.images import digest

pytestmark = pytest.mark.unit


class Store:
    """Has the same bytes for each digest."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.asked = 0

    def read(self, _: str, __: int) -> bytes:
        self.asked += 1
        return self._data


@pytest.mark.parametrize("data", [b'{"manifests": []}', b"no document"])
def test_documents_that_name_nothing_are_not_remembered_for_ever(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_cache, "MAX_REFERENCES", 10)
    store, cache = Store(data), ManifestCache()
    client = cast(Client, store)
    for number in range(20):
        cache.document(client, digest(f"manifest {number}"), len(data))
        cache.diff_ids(client, digest(f"config {number}"))
    asked = store.asked
    cache.document(client, digest("manifest 19"), len(data))
    cache.diff_ids(client, digest("config 19"))
    assert store.asked == asked, "the last ones are known"
    cache.document(client, digest("manifest 0"), len(data))
    cache.diff_ids(client, digest("config 0"))
    assert store.asked == asked + 2
