"""What an exporter answers the aggregator at `/v1/pulls`, one answer a line, two seconds apart; or one in gzip."""

import gzip
from typing import Final

from fuzz.cluster import Core
from fuzz.documents import MutateBytes
from fuzz.documents import mutate as mutate_documents
from pulltrace.clock import NodeTime
from pulltrace.errors import PulltraceError
from pulltrace.model import wire
from pulltrace.model.pull import Phase, Pull, QueuedImage
from pulltrace_aggregator.exporters.answer import Answer, read_report
from rig.sample_views import NOW, a_pull, a_report, an_ended_pull

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


def _answers(*pulls: Pull) -> bytes:
    waiting = (QueuedImage("registry.example", "team/next", "registry.example/team/next:1", NodeTime(NOW - 30)),)
    reports = (a_report(pull, resolving=(NOW - 40,), queued=waiting) for pull in pulls)
    return b"\n".join(map(wire.encode, reports))


SEEDS: Final = (
    _answers(a_pull(), a_pull(downloaded=500), a_pull(phase=Phase.UNPACKING, downloaded=1000)),
    _answers(an_ended_pull(), an_ended_pull(phase=Phase.ORPHANED, downloaded=8)),
    gzip.compress(_answers(an_ended_pull(phase=Phase.FAILED, downloaded=8)), mtime=0),
)
