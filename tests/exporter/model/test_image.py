import json
from hashlib import sha256
from typing import Any

import pytest

from pulltrace_exporter.model.image import (
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    Unreadable,
    chain_ids,
    parse_diff_ids,
    parse_document,
)

pytestmark = pytest.mark.unit

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def descriptor(digest: Any = A, size: Any = 10, **more: Any) -> dict[str, Any]:
    return {"mediaType": "a/layer", "digest": digest, "size": size, **more}


def manifest(**changes: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(C, 5), "layers": [descriptor()]}
    return json.dumps({**document, **changes}).encode()


CONFIG = json.dumps(descriptor(C, 5)).encode()


def test_a_manifest_of_docker_or_oci_names_config_and_layers_in_order() -> None:
    read = parse_document(
        manifest(mediaType=DOCKER_MANIFEST, layers=[descriptor(B, 7), descriptor(A, 8), descriptor(B, 7)])
    )

    assert read == Manifest(
        DOCKER_MANIFEST,
        Descriptor(C, 5, "a/layer"),
        (Descriptor(B, 7, "a/layer"), Descriptor(A, 8, "a/layer"), Descriptor(B, 7, "a/layer")),
    )
    assert [reference.digest for reference in read.references] == [C, B, A, B]


def test_an_index_of_docker_or_oci_names_its_manifests() -> None:
    data = json.dumps({"mediaType": DOCKER_LIST, "manifests": [descriptor(A, platform={"os": "linux"}), descriptor(B)]})

    read = parse_document(data.encode())

    assert isinstance(read, Index)
    assert read.media_type == DOCKER_LIST
    assert [reference.digest for reference in read.references] == [A, B]


def test_oci_documents_may_leave_their_media_type_out() -> None:
    assert parse_document(manifest(mediaType=None)).media_type == OCI_MANIFEST
    assert parse_document(b'{"manifests": []}') == Index(OCI_INDEX, ())


def test_an_unknown_artifact_is_read_like_any_image() -> None:
    layers = [descriptor(A, 3, mediaType="application/vnd.acme.model"), {"digest": B, "size": 0}]

    read = parse_document(manifest(artifactType="application/vnd.acme", layers=layers))

    assert isinstance(read, Manifest)
    assert read.layers == (Descriptor(A, 3, "application/vnd.acme.model"), Descriptor(B, 0, ""))


@pytest.mark.parametrize(
    "data", [manifest(layers=None), manifest(layers=[]), b'{"config": %b}' % CONFIG, manifest(layers=7)]
)
def test_a_manifest_without_layers_has_none(data: bytes) -> None:
    read = parse_document(data)

    assert isinstance(read, Manifest)
    assert read.config == Descriptor(C, 5, "a/layer")
    assert read.layers == ()


@pytest.mark.parametrize(
    "odd",
    [
        None,
        5,
        {},
        {"digest": "latest", "size": 1},
        descriptor(digest="sha256:../../etc"),
        descriptor(digest="sha256:" + "a" * 32),
        descriptor(digest="sha256:" + "A" * 64),
        descriptor(digest="sha256:" + "a" * 4000),
        descriptor(digest="md5:" + "a" * 32),
        descriptor(digest=5),
    ],
)
def test_a_part_that_cannot_be_read_takes_no_other_with_it(odd: Any) -> None:
    read = parse_document(manifest(layers=[odd, descriptor(B, 7)]))
    index = parse_document(json.dumps({"manifests": [descriptor(A), odd]}).encode())
    configless = parse_document(manifest(config=odd))

    assert isinstance(read, Manifest)
    assert [layer.digest for layer in read.layers] == [B]
    assert [reference.digest for reference in index.references] == [A]
    assert isinstance(configless, Manifest)
    assert (configless.config, [layer.digest for layer in configless.layers]) == (None, [A])


@pytest.mark.parametrize("size", [-1, "10", 1.5, True, None, 2**63, float("nan")])
def test_a_layer_whose_size_cannot_be_read_is_one_of_unknown_size(size: Any) -> None:
    """containerd fetches it all the same, whatever its size turns out to be."""
    read = parse_document(manifest(layers=[descriptor(A, size), descriptor(B, 7)]))

    assert isinstance(read, Manifest)
    assert [(layer.digest, layer.size) for layer in read.layers] == [(A, 0), (B, 7)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"[" * 200_000,
        b'{"config": 1, "layers": 2}',
        b'{"manifests": [1]}',
        b'{"manifests": [{"digest": "sha256:short", "size": 1}]}',
        manifest(config=None, layers=[]),
        manifest().replace(b'"size": 10', b'"size": 1' + b"0" * 10_000),
        b'{"schemaVersion": 1, "fsLayers": [{"blobSum": "' + A.encode() + b'"}]}',
    ],
    ids=lambda data: repr(data[:40]),
)
def test_a_broken_document_is_said_to_be_unreadable_and_raises_nothing(data: bytes) -> None:
    read = parse_document(data)

    assert isinstance(read, Unreadable)
    assert 0 < len(read.reason) <= 200
    assert read.references == ()
    assert read.media_type == ""


def test_sizes_up_to_what_registries_can_write_are_read() -> None:
    read = parse_document(manifest(layers=[descriptor(size=2**63 - 1)]))

    assert isinstance(read, Manifest)
    assert read.layers[0].size == 2**63 - 1


def test_diff_ids_are_read_in_order() -> None:
    config = json.dumps({"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [B, A, B]}})

    assert parse_diff_ids(config.encode()) == (B, A, B)


@pytest.mark.parametrize(
    "data",
    [b"{}", b"{", b"[]", b'{"rootfs": null}', b'{"rootfs": {"diff_ids": [5]}}', b'{"rootfs": {"diff_ids": "abc"}}'],
)
def test_a_config_without_diff_ids_has_none(data: bytes) -> None:
    assert parse_diff_ids(data) == ()


def test_diff_ids_are_read_up_to_the_first_that_is_none() -> None:
    """The snapshots below it have names all the same."""
    assert parse_diff_ids(json.dumps({"rootfs": {"diff_ids": [B, A, 5, C]}}).encode()) == (B, A)


def test_chain_ids_are_those_of_the_image_specification() -> None:
    second = "sha256:" + sha256(f"{A} {B}".encode()).hexdigest()
    third = "sha256:" + sha256(f"{second} {C}".encode()).hexdigest()

    assert chain_ids(()) == ()
    assert chain_ids((A, B, C)) == (A, second, third)
