"""What a registry serves: indexes, manifests and configs, one after the other."""

import json
from typing import Final

from fuzz.documents import mutate
from fuzz.targets.containerd_seeds import CONFIG, INDEX, MANIFEST
from pulltrace_exporter.model.image import Index, Manifest, chain_ids, parse_diff_ids, parse_document

__all__ = ["SEEDS", "mutate", "run"]

SEEDS: Final = (INDEX + b"\n" + MANIFEST + b"\n" + CONFIG, json.dumps({"mediaType": "x", "layers": None}).encode())


def run(data: bytes) -> None:
    for line in data.split(b"\n"):
        document = parse_document(line)
        for reference in document.references:
            assert reference.digest
            assert 0 <= reference.size < 2**63
        assert isinstance(document, Index | Manifest) or document.reason
        chain_ids(parse_diff_ids(line))
