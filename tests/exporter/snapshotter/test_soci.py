"""Pulls on a node with a real SOCI snapshotter."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rig import needs
from rig.images import KIB, MIB
from rig.invariants import check_whole
from rig.kube import parts
from rig.node_setup import NodeSetup, node_setup
from rig.soci import LABEL, NAME, SociNode, SociSettings

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("soci")]

NEAR = 64 * KIB
"""How far what is seen may be from what the registry's socket took: the buffers of both sides."""
BLOCK = 4 * KIB


@contextmanager
def own(folder: Path, settings: SociSettings | None = None) -> Iterator[tuple[SociNode, NodeSetup]]:
    """A node with a snapshotter of its own for one test."""
    _check_needs()
    with SociNode.made(settings) as node, node_setup(node, "own", folder) as opened:
        yield node, opened


def test_layers_that_it_leaves_to_containerd_are_ordinary(tmp_path: Path) -> None:
    """By default SOCI brings only images with an index."""
    with own(tmp_path, SociSettings(parallel=False)) as (_, setup):
        image = setup.push(layers=[4 * MIB, MIB])
        stall = setup.registry.stall(image.layers[0].digest, after=3 * MIB + 100_000)
        exporter = setup.exporter()
        pull = setup.pull(image)
        stall.wait_held()
        seen = exporter.wait_until(lambda scrape: scrape.downloaded(image) >= 3 * MIB).pull(image)
        assert (seen.snapshotter, seen.states[0]) == (NAME, "downloading")
        stall.release()
        pull.wait()
        end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
        check_whole(end.pull(image), image)
        assert end.total("pulltrace_remote_bytes_total") == 0


def _check_needs() -> None:
    needs.containerd(LABEL)
    needs.built(parts.SOCI)
