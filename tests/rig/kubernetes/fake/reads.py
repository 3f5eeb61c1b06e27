"""Lists in pages and watches, as the real server answers them."""

import base64
import json
import time

from rig.kubernetes.fake.faults import status_object
from rig.kubernetes.fake.request import Asked, Denied
from rig.kubernetes.fake.server import Handler
from rig.kubernetes.fake.store import Compacted, Key, Matcher, Object, Store
from rig.threaded_server import PAUSE

BOOKMARK_INTERVAL = 60.0
DEADLINE_BOOKMARK = 2.0
"""Seconds before the end of a watch at which the real server sends a bookmark, whatever the interval."""
TOO_OLD = "The provided continue parameter is too old to display a consistent list result."


def page(store: Store, asked: Asked) -> Object:
    """One page of a list; raises Denied."""
    where, limit, matches = asked.where, int(asked.query.get("limit", "0")), asked.matcher
    revision, after = _continuation(asked.query.get("continue", "")) or (store.revision, None)
    try:
        found = store.at(revision, where.resource, where.namespace)
    except Compacted as error:
        raise Denied(410, TOO_OLD) from error
    selected = [(key, item) for key, item in found if matches(item) and (after is None or key > after)]
    shown = selected[:limit] if limit else selected
    meta = {"resourceVersion": str(revision)}
    if len(shown) < len(selected):
        meta["continue"] = _token(revision, shown[-1][0])
    # The real server leaves these two out of a list's items.
    items = [{name: part for name, part in item.items() if name not in ("kind", "apiVersion")} for _, item in shown]
    return {"kind": f"{where.kind}List", "apiVersion": where.version, "metadata": meta, "items": items}


def watch(store: Store, handler: Handler, asked: Asked) -> None:
    """Send changes until the time that was asked for is over; raises Denied, and Gone when nobody listens."""
    matches, where = asked.matcher, asked.where
    began_at = position = int(asked.query.get("resourceVersion") or store.revision)
    deadline = time.monotonic() + float(asked.query.get("timeoutSeconds", "3600"))
    last_bookmark = deadline - DEADLINE_BOOKMARK
    next_bookmark = min(time.monotonic() + BOOKMARK_INTERVAL, last_bookmark)
    handler.begin()
    while (now := time.monotonic()) < deadline:
        handler.check()
        try:
            position = _deliver(store, handler, asked, matches, position)
        except Compacted:
            message = f"too old resource version: {position} ({store.revision})"
            handler.send(line("ERROR", status_object(410, message)))
            break
        if asked.query.get("allowWatchBookmarks") != "true" or now < next_bookmark:
            continue
        next_bookmark = min(now + BOOKMARK_INTERVAL, last_bookmark) if now < last_bookmark else deadline
        # As long as nothing has happened there is nothing to tell.
        if position > began_at:
            meta = {"resourceVersion": str(position), "creationTimestamp": None}
            handler.send(line("BOOKMARK", {"kind": where.kind, "apiVersion": where.version, "metadata": meta}))
    handler.end()


def line(kind: str, item: Object) -> bytes:
    return json.dumps({"type": kind, "object": item}, separators=(",", ":")).encode() + b"\n"


def _deliver(store: Store, handler: Handler, asked: Asked, matches: Matcher, position: int) -> int:
    """Send what came after a revision, or wait a moment for it; returns the revision that is reached."""
    with store.changed:
        if store.revision <= position:
            store.changed.wait(PAUSE)
        reached = max(store.revision, position)
        deliveries = store.since(position, asked.where.resource, asked.where.namespace, matches)
    for delivery in deliveries:
        handler.send(line(delivery.type, delivery.item))
    return reached


def _token(revision: int, last: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *last]).encode()).decode()


def _continuation(token: str) -> tuple[int, Key] | None:
    if not token:
        return None
    revision, *last = json.loads(base64.urlsafe_b64decode(token))
    return revision, Key(*last)
