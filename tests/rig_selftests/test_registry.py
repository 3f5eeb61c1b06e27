"""The registry of the tests does what the scenarios rely on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from rig.images import KIB, MIB, Image, build
from rig.registry import Registry
from rig.web import wait_until

pytestmark = pytest.mark.contract


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as running:
        yield running


@pytest.fixture
def image(registry: Registry) -> Image:
    return registry.push(build("team/app", (MIB, 3 * KIB)))


def get(registry: Registry, path: str, **headers: str) -> requests.Response:
    return requests.get(f"http://{registry.host}/v2/{path}", headers=headers, timeout=20)


def blob(registry: Registry, image: Image, number: int = 0, **headers: str) -> requests.Response:
    return get(registry, f"{image.repository}/blobs/{image.layers[number].digest}", **headers)


def test_a_range_is_answered_with_that_part(registry: Registry, image: Image) -> None:
    size = image.layers[0].size
    answer = blob(registry, image, Range="bytes=1000-")
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes 1000-{size - 1}/{size}"
    assert answer.content == image.layers[0].data[1000:]
    assert blob(registry, image, Range="bytes=10-19").content == image.layers[0].data[10:20]
    assert blob(registry, image, Range=f"bytes={size}-").status_code == 416
    assert [request.offset for request in registry.requests] == [1000, 10, size]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_refusal_is_told_as_the_specification_says(registry: Registry, image: Image, status: int) -> None:
    registry.deny("team/app", status)
    answer = get(registry, "team/app/manifests/latest")
    assert answer.status_code == status
    assert answer.json()["errors"][0]["code"]
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    registry.allow("team/app")
    assert get(registry, "team/app/manifests/latest").ok


def test_closing_ends_what_waits(pool: ThreadPoolExecutor) -> None:
    with Registry() as registry:
        registry.hang("team/app")
        hanging = pool.submit(get, registry, "team/app/manifests/latest")
        wait_until(lambda: registry.requests)
        other = registry.push(build("team/other"))
        stall = registry.stall(other.layers[0].digest)
        stalled = pool.submit(blob, registry, other)
        stall.wait_held()
    for answer in (hanging, stalled):
        with pytest.raises(requests.exceptions.RequestException):
            answer.result()


def test_a_client_that_leaves_a_stalled_blob_is_not_counted_further(
    registry: Registry, image: Image, pool: ThreadPoolExecutor
) -> None:
    digest = image.layers[0].digest
    stall = registry.stall(digest, after=100)
    with requests.get(f"http://{registry.host}/v2/team/app/blobs/{digest}", stream=True, timeout=20):
        stall.wait_held()
    stall.release()
    assert blob(registry, image, 1).ok
    assert registry.sent(digest) == 100


def test_after_a_crash_it_has_what_was_pushed(registry: Registry, image: Image, pool: ThreadPoolExecutor) -> None:
    stall = registry.stall(image.layers[0].digest, 5000)
    held = pool.submit(blob, registry, image)
    stall.wait_held()
    host = registry.host
    registry.crash()
    with pytest.raises(requests.RequestException):
        held.result(20)
    with pytest.raises(requests.ConnectionError):
        blob(registry, image, 1)
    registry.start()
    assert registry.host == host
    assert blob(registry, image, 1).content == image.layers[1].data
    assert registry.sent(image.layers[0].digest) == 5000
