"""Makes a report of an exporter's answer. Pure, and bounded in memory whatever the bytes are."""

import re
import zlib
from dataclasses import dataclass, replace
from typing import Final

from pulltrace.model import wire
from pulltrace.model.json_reader import JsonFault
from pulltrace.model.pull import NodeReport
from pulltrace_aggregator.exporters.errors import AskError, Result

LARGEST_BODY: Final = 8 * 1024 * 1024
"""Most bytes of an answer, both compressed and unpacked. A report of a hundred pulls has 70 KB."""
MOST_VALUES: Final = 250_000
"""Most values in an answer. Eight megabytes of `[],[],` would be 200 MB of Python's lists, and seconds of work."""

_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[!#-~]{0,200}"', re.ASCII)
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with status 200 or 304. `coding` is its Content-Encoding in lower case; empty texts mean none."""

    status: int
    body: bytes = b""
    coding: str = ""
    etag: str = ""

    @property
    def not_modified(self) -> bool:
        """Whether nothing has changed since the answer whose entity tag was sent."""
        return self.status == 304


def usable_etag(text: str) -> str:
    """The entity tag (RFC 9110, section 8.8.3) if it can be sent back, else an empty text."""
    return text if _ENTITY_TAG.fullmatch(text) else ""


def read_report(answer: Answer, now: float = 0.0, *, layers: bool = False) -> NodeReport:
    """The report, without layers unless they were requested; raises AskError. `now` is Unix time on our clock."""
    body = _unpacked(answer)
    if body.count(b",") + body.count(b"{") + body.count(b"[") > MOST_VALUES:
        raise AskError(Result.TOO_LARGE, f"the answer has more than {MOST_VALUES} values")
    try:
        report = wire.decode(body, now)
    except JsonFault as error:
        raise AskError(Result.SCHEMA if error.path == "schema" else Result.INVALID, error) from error
    if not layers and any(pull.layers for pull in report.pulls):
        return replace(report, pulls=tuple(replace(pull, layers=()) for pull in report.pulls))
    return report


def _unpacked(answer: Answer) -> bytes:
    if answer.coding in ("", "identity"):
        return answer.body
    if answer.coding not in ("gzip", "x-gzip"):
        raise AskError(Result.INVALID, f"the answer is encoded as {answer.coding!r}, which was not requested")
    unpacking = zlib.decompressobj(_GZIP)
    try:
        body = unpacking.decompress(answer.body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise AskError(Result.INVALID, f"the answer is not gzip: {error}") from error
    if len(body) > LARGEST_BODY:
        raise AskError(Result.TOO_LARGE, f"the answer has more than {LARGEST_BODY} bytes when unpacked")
    if not unpacking.eof or unpacking.unused_data:
        raise AskError(Result.INVALID, "the answer is not one complete gzip stream")
    return body
