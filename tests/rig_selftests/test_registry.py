"""The registry of the tests does what the scenarios rely on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from rig.images import KIB, MIB, Image, build, layer
from rig.registry import Registry

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


def test_an_image_is_found_by_tag_and_by_digest(registry: Registry, image: Image) -> None:
    by_tag = get(registry, "team/app/manifests/latest")
    assert by_tag.content == image.root.data
    assert by_tag.headers["Content-Type"] == image.root.media_type
    assert by_tag.headers["Docker-Content-Digest"] == image.root.digest
    assert get(registry, f"team/app/manifests/{image.manifest.digest}").content == image.manifest.data
    assert requests.get(f"http://{registry.local_name}/v2/", timeout=20).ok


def test_head_tells_the_size_and_sends_nothing(registry: Registry, image: Image) -> None:
    answer = requests.head(f"http://{registry.host}/v2/team/app/manifests/latest", timeout=20)
    assert int(answer.headers["Content-Length"]) == image.root.size
    assert registry.sent(image.root.digest) == 0


def test_an_image_that_was_not_pushed_is_not_found(registry: Registry, image: Image) -> None:
    assert get(registry, "team/app/manifests/v9").status_code == 404
    assert get(registry, f"other/app/blobs/{image.layers[0].digest}").status_code == 404


def test_bytes_are_counted_to_the_last_one(registry: Registry, image: Image) -> None:
    digest = image.layers[0].digest
    assert blob(registry, image).content == image.layers[0].data
    assert registry.sent(digest) == image.layers[0].size
    blob(registry, image)
    assert registry.sent(digest) == 2 * image.layers[0].size
    assert registry.sent(image.layers[1].digest) == 0


def test_a_range_is_answered_with_that_part(registry: Registry, image: Image) -> None:
    size = image.layers[0].size
    answer = blob(registry, image, Range="bytes=1000-")
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes 1000-{size - 1}/{size}"
    assert answer.content == image.layers[0].data[1000:]
    assert blob(registry, image, Range="bytes=10-19").content == image.layers[0].data[10:20]
    assert blob(registry, image, Range=f"bytes={size}-").status_code == 416
    assert [request.offset for request in registry.requests] == [1000, 10, size]


def test_a_stalled_blob_stops_at_the_byte_and_goes_on(
    registry: Registry, image: Image, pool: ThreadPoolExecutor
) -> None:
    digest = image.layers[0].digest
    stall = registry.stall(digest, after=5000)
    answer = pool.submit(blob, registry, image)
    stall.wait_held()
    assert registry.sent(digest) == 5000
    assert blob(registry, image, 1).ok, "another blob is not held"
    stall.release()
    assert answer.result().content == image.layers[0].data


def test_a_cut_closes_the_connection_once(registry: Registry, image: Image) -> None:
    digest = image.layers[0].digest
    registry.cut(digest, after=7000)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="7000 bytes read"):
        blob(registry, image)
    assert registry.sent(digest) == 7000
    assert blob(registry, image).ok


def test_a_throttle_holds_back_until_it_is_lifted(registry: Registry, image: Image, pool: ThreadPoolExecutor) -> None:
    digest = image.layers[0].digest
    registry.throttle(20_000, digest)
    answer = pool.submit(blob, registry, image)
    registry.wait_sent(digest, 2000)
    assert registry.sent(digest) < image.layers[0].size
    registry.throttle(None, digest)
    assert answer.result().content == image.layers[0].data


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_refusal_is_told_as_the_specification_says(registry: Registry, image: Image, status: int) -> None:
    registry.deny("team/app", status)
    answer = get(registry, "team/app/manifests/latest")
    assert answer.status_code == status
    assert answer.json()["errors"][0]["code"]
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    registry.allow("team/app")
    assert get(registry, "team/app/manifests/latest").ok


def test_one_blob_can_be_refused(registry: Registry, image: Image) -> None:
    registry.deny(image.layers[0].digest, 404)
    assert blob(registry, image).status_code == 404
    assert blob(registry, image, 1).ok


def test_a_hanging_repository_answers_when_released(registry: Registry, image: Image, pool: ThreadPoolExecutor) -> None:
    other = registry.push(build("team/other"))
    hang = registry.hang("team/app")
    answer = pool.submit(get, registry, "team/app/manifests/latest")
    registry.wait_requested("team/app/manifests/latest")
    assert get(registry, f"team/other/manifests/{other.tag}").ok
    assert not answer.done()
    hang.release()
    assert answer.result().ok


def test_closing_ends_what_waits(pool: ThreadPoolExecutor) -> None:
    with Registry() as registry:
        registry.hang("team/app")
        hanging = pool.submit(get, registry, "team/app/manifests/latest")
        registry.wait_requested("latest")
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


def test_images_share_layers_and_are_the_same_every_time() -> None:
    common = layer(KIB, "base")
    first, second = build("a/b", (common, common, KIB)), build("c/d", (common, KIB), docker=True)
    assert first == build("a/b", (common, common, KIB))
    assert first.layers[0] == first.layers[1]
    assert first.layers[0].digest == second.layers[0].digest
    assert first.layers[2].digest != second.layers[1].digest
    assert first.size == first.config.size + first.layers[0].size + first.layers[2].size
