"""What an exporter answers the aggregator at `/v1/pulls`, one answer a line, two seconds apart; or one in gzip."""

import gzip
import json
from typing import Any, Final

from fuzz.cluster import Core
from fuzz.documents import MutateBytes
from fuzz.documents import mutate as mutate_documents
from pulltrace.errors import PulltraceError
from pulltrace_aggregator.exporters.answer import Answer, read_report

__all__ = ["SEEDS", "mutate", "run"]

GZIP: Final = b"\x1f\x8b"
MOST_ANSWERS: Final = 20


def run(data: bytes) -> None:
    core = Core()
    packed = data.startswith(GZIP)
    for body in [data] if packed else data.split(b"\n")[:MOST_ANSWERS]:
        try:
            report = read_report(Answer(200, body, "gzip" if packed else ""), core.now.wall, layers=True)
        except PulltraceError:
            core.lose_node()
        else:
            core.read(report)
        core.check()


def mutate(data: bytes, most: int, seed: int, mutate_bytes: MutateBytes) -> bytes:
    """As documents, but for what is packed."""
    return mutate_bytes(data, most) if data.startswith(GZIP) else mutate_documents(data, most, seed, mutate_bytes)


def _answer(phase: str, downloaded: int, **more: Any) -> bytes:
    pull = {
        "registry": "registry.example",
        "repository": "team/app",
        "repositories": ["team/app"],
        "digest": "sha256:" + "a" * 64,
        "references": ["registry.example/team/app:v1"],
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "phase": phase,
        "requests": 1,
        "sizeBytes": 900,
        "cachedBytes": 100,
        "downloadedBytes": downloaded,
        "unpackedBytes": 100,
        "bytesPerSecond": 12.5,
        "etaSeconds": 3.5,
        "startedAt": 1_699_999_000.0,
        "ageSeconds": 1000.0,
        "lastProgressAgeSeconds": 90.0,
        "layers": [
            {
                "index": 0,
                "digest": "sha256:" + "b" * 64,
                "sizeBytes": 800,
                "downloadedBytes": downloaded,
                "state": "downloading",
            }
        ],
        **more,
    }
    document = {
        "schema": "pulltrace/v1",
        "node": "node-1",
        "version": "1",
        "nodeNow": 1_700_000_000.0,
        "containerd": {"up": True, "version": "2.1.9", "startedAgeSeconds": 5000.0},
        "resolving": [{"ageSeconds": 40.0}],
        "queued": [{"reference": "registry.example/team/next:v1", "ageSeconds": 30.0}],
        "pulls": [pull],
    }
    return json.dumps(document).encode()


SEEDS: Final = (
    b"\n".join((_answer("downloading", 50), _answer("downloading", 500), _answer("unpacking", 800))),
    b"\n".join((_answer("succeeded", 800, endedAgeSeconds=1.0), _answer("orphaned", 8, endedAgeSeconds=2.0))),
    gzip.compress(_answer("failed", 8, endedAgeSeconds=1.0), mtime=0),
)
