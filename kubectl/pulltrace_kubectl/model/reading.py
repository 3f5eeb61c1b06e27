"""Reading the JSON of `/v1/pulls`. Unknown fields and unknown words are taken as they are; absent is unknown."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pulltrace.errors import PulltraceError
from pulltrace.model.json_reader import JsonFault, JsonObject, count, flag, number, text
from pulltrace_kubectl.model.pulls import Answer, Layer, Pull, Report, Wait

SCHEMA: Final = "pulltrace/v1"


class UnreadableAnswer(PulltraceError):
    """An answer that is not one of Pulltrace's, or one of another version; the message says which."""


def read(body: bytes) -> Answer | Report:
    """What an aggregator or an exporter answered; raises UnreadableAnswer."""
    try:
        document = json.loads(body)
        reader = JsonObject(document)
        schema = reader.find("schema", text)
        if schema is None:
            raise UnreadableAnswer("the answer is not one of Pulltrace's: it has no schema")
        if schema != SCHEMA:
            raise UnreadableAnswer(f"the answer has the schema {schema!r}, and this client reads {SCHEMA!r}")
        return _answer(reader, document) if "pods" in document else _report(reader, document)
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer("the answer is not JSON") from error
    except JsonFault as error:
        raise UnreadableAnswer(f"the answer cannot be read: {error}") from error


def merged(answers: list[Answer]) -> Answer:
    """The answers of all shards as one. A wait that two of them tell of is told once."""
    waits = {wait.key: wait for each in answers for wait in each.waits}
    return Answer(
        waits=tuple(waits.values()),
        pulls=tuple(pull for each in answers for pull in each.pulls),
        nodes=tuple(node for each in answers for node in each.nodes),
    )


def _answer(reader: JsonObject, document: Mapping[str, Any]) -> Answer:
    return Answer(
        waits=tuple(_wait(entry, raw) for entry, raw in _entries(reader, document, "pods")),
        pulls=tuple(_pull(entry, raw) for entry, raw in _entries(reader, document, "pulls")),
        nodes=tuple(entry.need("node", text) for entry in reader.objects("nodes")),
    )


def _report(reader: JsonObject, document: Mapping[str, Any]) -> Report:
    node = reader.find("node", text) or ""
    daemon = reader.object("containerd")
    return Report(
        node=node,
        raw=document,
        up=daemon.find("up", flag) is not False,
        runtime_version=daemon.find("version", text) or "",
        resolving=tuple(entry.find("ageSeconds", number) or 0.0 for entry in reader.objects("resolving")),
        queued=tuple(
            (entry.need("reference", text), entry.find("ageSeconds", number)) for entry in reader.objects("queued")
        ),
        pulls=tuple(_pull(entry, raw, node) for entry, raw in _entries(reader, document, "pulls")),
    )


def _entries(reader: JsonObject, document: Mapping[str, Any], key: str) -> list[tuple[JsonObject, Mapping[str, Any]]]:
    entries = list(reader.objects(key))
    return list(zip(entries, document.get(key, ()), strict=True))


def _wait(entry: JsonObject, raw: Mapping[str, Any]) -> Wait:
    return Wait(
        namespace=entry.need("namespace", text),
        pod=entry.need("pod", text),
        container=entry.need("container", text),
        image=entry.need("image", text),
        phase=entry.need("phase", text),
        raw=raw,
        uid=entry.find("uid", text) or "",
        container_type=entry.find("containerType", text) or "",
        node=entry.find("node", text) or "",
        waiting=entry.find("waitingSeconds", number),
        cause=entry.find("blockedBy", text) or "",
        reason=entry.find("failureReason", text) or "",
        behind=entry.find("behind", text) or "",
        pull=_pull(JsonObject(raw["pull"], "pods[].pull"), raw["pull"]) if "pull" in raw else None,
    )


def _pull(entry: JsonObject, raw: Mapping[str, Any], node: str = "") -> Pull:
    return Pull(
        registry=entry.need("registry", text),
        repository=entry.need("repository", text),
        digest=entry.find("digest", text) or "",
        phase=entry.need("phase", text),
        raw=raw,
        node=entry.find("node", text) or node,
        references=entry.each("references", text),
        size=entry.find("sizeBytes", count),
        cached=entry.find("cachedBytes", count),
        downloaded=entry.find("downloadedBytes", count),
        unpacked=entry.find("unpackedBytes", count),
        rate=entry.find("bytesPerSecond", number),
        eta=entry.find("etaSeconds", number),
        age=entry.find("ageSeconds", number),
        ended_age=entry.find("endedAgeSeconds", number),
        idle=entry.find("lastProgressAgeSeconds", number),
        stale=entry.find("stale", text) or "",
        snapshotter=entry.find("snapshotter", text) or "",
        remote=entry.find("remoteBytes", count) or 0,
        remote_pending=entry.find("remotePendingBytes", count) or 0,
        layers=tuple(_layer(layer) for layer in entry.objects("layers")),
    )


def _layer(entry: JsonObject) -> Layer:
    return Layer(
        index=entry.need("index", count),
        media_type=entry.find("mediaType", text) or "",
        state=entry.find("state", text) or "",
        size=entry.find("sizeBytes", count),
        downloaded=entry.find("downloadedBytes", count),
        rate=entry.find("bytesPerSecond", number),
    )
