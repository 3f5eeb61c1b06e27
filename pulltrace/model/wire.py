"""The JSON form of a node's report, `pulltrace/v1`: what the exporter answers at `/v1/pulls` and the aggregator reads.

Instants become ages in seconds, because the reader's clock is another. Only `nodeNow` and `startedAt` are Unix times,
on the node's clock. An absent field is unknown, or 0 where the schema (`pulltrace/schema/pulls.schema.json`) says so.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from pulltrace.clock import NodeTime
from pulltrace.model.json_reader import JsonFault, JsonObject, WrongValue, count, flag, number, text
from pulltrace.model.pull import Daemon, ImageKey, Layer, LayerState, NodeReport, Phase, Pull, QueuedImage
from pulltrace.model.reference import Reference
from pulltrace.text import presentable

SCHEMA: Final = "pulltrace/v1"


def encode(report: NodeReport, *, layers: bool = True) -> bytes:
    """The report as JSON, with or without the layers of each pull."""
    age = partial(age_of, report.now)
    document = known(
        schema=SCHEMA,
        node=presentable(report.node),
        version=report.version,
        nodeNow=report.now,
        containerd=known(
            up=report.daemon.up,
            version=presentable(report.daemon.version) or None,
            startedAgeSeconds=age(report.daemon.started_at),
        ),
        resolving=[{"ageSeconds": age(start)} for start in report.resolving],
        unidentified=report.unidentified or None,
        queued=[{"reference": presentable(image.reference), "ageSeconds": age(image.since)} for image in report.queued],
        pulls=[pull_document(pull, report.now, layers=layers) for pull in report.pulls],
    )
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def etag(report: NodeReport, *, layers: bool = True) -> str:
    """The entity tag of `encode`'s answer: the same as long as nothing but time has passed.

    It covers the instants, which stay the same, and not the ages in the answer, which grow. Progress that changes no
    size changes the tag. The tag is weak, because two answers with the same tag differ in their ages.
    """
    pulls = report.pulls if layers else tuple(replace(pull, layers=()) for pull in report.pulls)
    state = repr((layers, replace(report, now=NodeTime(0.0), pulls=pulls)))
    return f'W/"{sha256(state.encode()).hexdigest()[:32]}"'


def decode(body: bytes, wall: float = 0.0) -> NodeReport:
    """The report that a node sent; raises JsonFault, which names the place, for anything else.

    `wall` is the reader's own clock. It is used for a report without the node's time; then only ages are read, because
    instants on the node's clock mean nothing on another. Byte counts are limited to the size of the pull or layer.

    The JSON has no registry and repository of a queued image. They come from its reference, and stay empty where that
    is invalid.
    """
    document = JsonObject.parse(body)
    if (schema := document.need("schema", text)) != SCHEMA:
        raise JsonFault("schema", f"is {schema!r}, only {SCHEMA!r} can be read")
    told = document.find("nodeNow", number)
    now = NodeTime(wall if told is None else told)
    return NodeReport(
        node=document.find("node", text) or "",
        version=document.find("version", text) or "",
        now=now,
        daemon=_read_daemon(document, now),
        resolving=tuple(_instant(entry, "ageSeconds", now) or now for entry in document.objects("resolving")),
        queued=tuple(_read_queued(entry, now) for entry in document.objects("queued")),
        pulls=tuple(_read_pull(entry, now, timed=told is not None) for entry in document.objects("pulls")),
        timed=told is not None,
        unidentified=document.find("unidentified", count) or 0,
    )


def schema() -> Mapping[str, Any]:
    """The JSON Schema of the exporter's answer."""
    content = files("pulltrace").joinpath("schema", "pulls.schema.json").read_text("utf-8")
    document: Mapping[str, Any] = json.loads(content)
    return document


def pull_document(pull: Pull, now: NodeTime, *, layers: bool) -> dict[str, object]:
    """The JSON form of one pull at `now` on its node's clock; what is not known is left out."""
    return known(
        registry=presentable(pull.key.registry),
        repository=presentable(pull.key.repository),
        repositories=_texts(pull.repositories),
        digest=presentable(pull.key.digest),
        references=_texts(pull.references),
        mediaType=presentable(pull.media_type) or None,
        snapshotter=presentable(pull.snapshotter) or None,
        phase=pull.phase,
        requests=pull.requests,
        sizeBytes=pull.size,
        cachedBytes=pull.cached,
        downloadedBytes=pull.downloaded,
        unpackedBytes=pull.unpacked,
        remoteBytes=pull.remote or None,
        remotePendingBytes=pull.remote_pending or None,
        bytesPerSecond=pull.bytes_per_second,
        etaSeconds=pull.eta_seconds,
        startedAt=pull.started_at,
        ageSeconds=age_of(now, pull.started_at),
        endedAgeSeconds=age_of(now, pull.ended_at),
        lastProgressAgeSeconds=age_of(now, pull.last_progress_at),
        layers=[_layer(layer) for layer in pull.layers] if layers and pull.size is not None else None,
    )


def _layer(layer: Layer) -> dict[str, object]:
    return known(
        index=layer.index,
        digest=presentable(layer.digest),
        mediaType=presentable(layer.media_type) or None,
        sizeBytes=layer.size,
        downloadedBytes=layer.downloaded,
        bytesPerSecond=layer.bytes_per_second,
        state=layer.state,
    )


def known(**fields: object) -> dict[str, object]:
    """The fields of a JSON object that are known."""
    return {name: value for name, value in fields.items() if value is not None}


def _texts(texts: Iterable[str]) -> list[str]:
    return [presentable(one) for one in texts]


def age_of(now: float, instant: float | None) -> float | None:
    """Seconds since the instant, to the millisecond; 0 for one in the future, which a clock step leaves."""
    return None if instant is None else round(max(0.0, now - instant), 3)


def _read_daemon(document: JsonObject, now: NodeTime) -> Daemon:
    entry = document.object("containerd")
    return Daemon(
        up=entry.find("up", flag) is not False,
        version=entry.find("version", text) or "",
        started_at=_instant(entry, "startedAgeSeconds", now),
    )


def _read_queued(entry: JsonObject, now: NodeTime) -> QueuedImage:
    written = entry.need("reference", text)
    since = _instant(entry, "ageSeconds", now) or now
    reference = Reference.find(written)
    return QueuedImage(*(reference.source if reference else ("", "")), written, since)


def _read_pull(entry: JsonObject, now: NodeTime, *, timed: bool) -> Pull:
    key = ImageKey(entry.need("registry", text), entry.need("repository", text), entry.need("digest", text))
    started_at, begun = entry.find("startedAt", number), _instant(entry, "ageSeconds", now)
    size, downloaded = entry.find("sizeBytes", count), entry.find("downloadedBytes", count)
    cached, remote = (_at_most(entry.find(name, count), size) for name in ("cachedBytes", "remoteBytes"))
    return Pull(
        key=key,
        repositories=entry.each("repositories", text) or (key.repository,),
        references=entry.each("references", text),
        media_type=entry.find("mediaType", text) or "",
        snapshotter=entry.find("snapshotter", text) or "",
        phase=entry.need("phase", _phase),
        requests=entry.find("requests", count),
        size=size,
        cached=cached,
        downloaded=_at_most(downloaded, None if size is None else max(size - (cached or 0) - (remote or 0), 0)),
        unpacked=_at_most(entry.find("unpackedBytes", count), size),
        bytes_per_second=entry.find("bytesPerSecond", number),
        started_at=NodeTime(started_at) if timed and started_at is not None else begun,
        ended_at=_instant(entry, "endedAgeSeconds", now),
        last_progress_at=_instant(entry, "lastProgressAgeSeconds", now),
        layers=tuple(_read_layer(layer) for layer in entry.objects("layers")),
        remote=remote or 0,
        remote_pending=_at_most(entry.find("remotePendingBytes", count), size) or 0,
    )


def _read_layer(entry: JsonObject) -> Layer:
    size = entry.need("sizeBytes", count)
    return Layer(
        index=entry.need("index", count),
        digest=entry.need("digest", text),
        media_type=entry.find("mediaType", text) or "",
        size=size,
        downloaded=_at_most(entry.find("downloadedBytes", count), size),
        bytes_per_second=entry.find("bytesPerSecond", number),
        state=entry.need("state", _state),
    )


def _instant(entry: JsonObject, key: str, now: NodeTime) -> NodeTime | None:
    age = entry.find(key, number)
    return None if age is None else NodeTime(now - age)


def _phase(value: object) -> Phase:
    try:
        return Phase(text(value))
    except ValueError:
        raise WrongValue("is not a pull phase") from None


def _state(value: object) -> LayerState:
    try:
        return LayerState(text(value))
    except ValueError:
        raise WrongValue("is not a layer state") from None


def _at_most(value: int | None, limit: int | None) -> int | None:
    return value if value is None or limit is None else min(value, limit)
