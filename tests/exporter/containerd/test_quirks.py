"""What depends on containerd's version."""

from collections.abc import Sequence

import pytest

from pulltrace_exporter.containerd.quirks import (
    converts_schema_1,
    is_converted,
    refuses_to_unpack,
    rewrites_records,
)
from pulltrace_exporter.model.image import OCI_CONFIG, Descriptor, Manifest

pytestmark = pytest.mark.unit

OCI, DOCKER = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"
WASM, DOCKER_ZSTD = "application/vnd.wasm.content.layer.v1+wasm", "application/vnd.docker.image.rootfs.diff.tar.zstd"
OLD, NEW, TRANSFER = "1.6.20~ds1", "v1.7.24-k3s1", "2.1.9"


@pytest.mark.parametrize(
    ("version", "rewrites"),
    [
        ("1.5.18", True),
        ("1.6.20~ds1", True),
        ("1.6.28", True),
        ("1.6.29", False),
        ("v1.7.3-k3s1", True),
        ("1.7.13", True),
        ("v1.7.14", False),
        ("1.7.24~ds1", False),
        ("2.1.9", False),
        ("v2.0.0-rc.1", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_versions_that_write_all_names_at_each_pull(version: str, *, rewrites: bool) -> None:
    assert rewrites_records(version) is rewrites


@pytest.mark.parametrize(
    ("versions", "media_types", "diff_ids", "refuses"),
    [
        ((OLD, NEW), [OCI, DOCKER, "application/vnd.docker.image.rootfs.foreign.diff.tar"], 3, False),
        ((OLD, NEW), [OCI + "+encrypted", "application/vnd.oci.image.layer.nondistributable.v1.tar"], 2, False),
        ((OLD, NEW), [], 0, False),
        ((OLD, NEW), [WASM], 1, True),
        ((OLD, NEW), [DOCKER_ZSTD], 1, True),
        ((OLD, NEW), [OCI], 0, True),
        ((OLD,), [WASM], 0, True),
        ((NEW,), [WASM], 0, False),
        ((NEW,), [OCI, WASM], 1, False),
        ((TRANSFER, "", "unknown"), [WASM, OCI], 0, False),
    ],
)
def test_what_a_client_refuses_to_unpack_after_it_wrote_the_record(
    versions: Sequence[str], media_types: Sequence[str], diff_ids: int, *, refuses: bool
) -> None:
    assert [refuses_to_unpack(version, media_types, diff_ids) for version in versions] == [refuses] * len(versions)


@pytest.mark.parametrize(("config", "layer", "converted"), [(OCI_CONFIG, DOCKER, True), (OCI_CONFIG, OCI, False)])
def test_a_manifest_that_containerd_made_of_one_of_schema_1(config: str, layer: str, *, converted: bool) -> None:
    parts = Descriptor("sha256:1", 1, config), (Descriptor("sha256:2", 2, layer),)
    assert is_converted(Manifest("", *parts)) is converted
    assert [converts_schema_1(version) for version in (OLD, NEW, TRANSFER, "")] == [True, True, False, False]
