"""The JSON form of the aggregator's view, `pulltrace/v1`: what it answers at `/v1/pulls`.

The schema is `schema/pulls.schema.json` in this package. A field that is absent is unknown.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any

from pulltrace import __version__
from pulltrace.clock import NodeTime
from pulltrace.model.wire import SCHEMA, age_of, known, pull_document
from pulltrace.text import presentable
from pulltrace_aggregator.model.node import NodePull, NodeStatus
from pulltrace_aggregator.model.states import PodPhase
from pulltrace_aggregator.model.view import PodPull, View


def encode(view: View, now: float) -> bytes:
    """The view as JSON at the monotonic time `now`."""
    document = {
        "schema": SCHEMA,
        "version": __version__,
        "pods": [_pod(entry, now) for entry in view.pods],
        "pulls": [{"node": presentable(entry.node), **_pull(entry, now)} for entry in view.pulls],
        "nodes": [_node(entry, now) for entry in view.nodes],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def etag(view: View) -> str:
    """The entity tag of `encode`'s answer: the same as long as nothing but time has passed.

    It covers the instants, which stay the same, and not the ages in the answer, which grow. The time of a node's last
    answer is left out. The tag is weak (RFC 9110, section 8.8.1), since answers with the same tag differ in their ages.
    """
    nodes = [(entry.node, entry.state, entry.answered_at is None, entry.queued) for entry in view.nodes]
    state = repr((view.pods, view.pulls, nodes))
    return f'W/"{sha256(state.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def schema() -> Mapping[str, Any]:
    """The JSON Schema of the aggregator's answer."""
    content = files("pulltrace_aggregator").joinpath("schema", "pulls.schema.json").read_text("utf-8")
    document: Mapping[str, Any] = json.loads(content)
    return document


def _pod(entry: PodPull, now: float) -> dict[str, object]:
    labels = entry.labels
    return known(
        namespace=presentable(labels.namespace),
        pod=presentable(labels.pod),
        uid=presentable(entry.uid),
        container=presentable(labels.container),
        containerType=labels.container_type,
        node=presentable(labels.node),
        image=presentable(labels.image),
        phase=entry.phase,
        waitingSeconds=None if entry.phase is PodPhase.PULLED else age_of(now, entry.since),
        match=entry.match,
        blockedBy=entry.cause,
        failureReason=entry.failure,
        behind=presentable(entry.behind) or None,
        pull=None if entry.pull is None else _pull(entry.pull, now),
    )


def _pull(entry: NodePull, now: float) -> dict[str, object]:
    document = pull_document(entry.pull, NodeTime(now + entry.ahead), layers=False)
    if entry.bytes_per_second is None:
        document.pop("bytesPerSecond", None)
    if entry.eta_seconds is None:
        document.pop("etaSeconds", None)
    if not entry.timed:
        document.pop("startedAt", None)
    return document if entry.stale is None else {**document, "stale": entry.stale}


def _node(entry: NodeStatus, now: float) -> dict[str, object]:
    return known(
        node=presentable(entry.node),
        state=entry.state,
        lastAnswerAgeSeconds=age_of(now, entry.answered_at),
        queuedImages=None if entry.answered_at is None else entry.queued,
    )
