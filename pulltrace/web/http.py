"""Requests and responses as handlers see them, and the parts of RFC 9110 that handlers and the server share."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote

from pulltrace.negotiation import accepted

TEXT: Final = "text/plain; charset=utf-8"
LANDING_PATH, PULLS_PATH, HEALTHY_PATH, READY_PATH = "/", "/v1/pulls", "/-/healthy", "/-/ready"
"""What both programs serve beside their metrics, whose path is a flag."""
METHODS: Final = ("GET", "HEAD")
ALLOW: Final = ", ".join(METHODS)

_ABSOLUTE = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')
_MAX_QUERY_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Request:
    """One request without a body. `path` is percent-decoded, header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer. The server adds length and date, and compresses all but short bodies if the client wants it."""

    status: int = 200
    body: bytes = b""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Response]
"""Answers GET and HEAD alike, in a thread. An exception becomes a 500."""


def text_response(status: int, text: str, **headers: str) -> Response:
    """Build a short answer for people and logs; `_` in a header's name becomes `-`."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, f"{text}\n".encode(), headers=names)


def parse_target(target: str) -> tuple[str, Mapping[str, tuple[str, ...]]]:
    """Split a request target in origin or absolute form (RFC 9112, section 3.2) into path and query.

    Raises ValueError if it has neither form, or more than 100 query fields.
    """
    absolute = _ABSOLUTE.match(target)
    local = target[absolute.end() :] if absolute else target
    path, _, query = local.partition("?")
    if not path.startswith("/") and not (absolute and path == ""):
        raise ValueError("the request target is neither a path nor a URL")
    fields = parse_qs(query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    return unquote(path) or "/", {name: tuple(values) for name, values in fields.items()}


def matches_etag(request: Request, etag: str) -> bool:
    """Whether the client already has `etag` (`"…"` or `W/"…"`), so that the answer is 304.

    The comparison is the weak one of RFC 9110, section 13.1.2. Use weak tags: the server may send the same state with
    and without gzip.
    """
    known = request.headers.get("if-none-match", "")
    opaque = etag.removeprefix("W/")
    return known.strip() == "*" or opaque in _ENTITY_TAG.findall(known)


def prefers_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header (RFC 9110, section 12.5.3) accepts gzip and ranks it no lower than identity."""
    weights = {coding: weight for coding, _, weight in accepted(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)
