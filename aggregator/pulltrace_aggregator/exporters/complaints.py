"""What the log says of exporters: that one does not answer and that it does again, not each time that it is so."""

import logging
from collections.abc import Mapping
from typing import Final

from pulltrace.logs import fields
from pulltrace_aggregator.exporters.values import ExporterSeen

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 60.0
"""Between two complaints about one node: one that answers now and then would fill the log."""


class Complaints:
    """Remembers what was said."""

    def __init__(self) -> None:
        self._failing: dict[str, bool] = {}
        self._said_at: dict[str, float] = {}
        self._claims: dict[str, str] = {}
        self._rivals: Mapping[str, tuple[str, ...]] = {}

    def hear(self, seen: ExporterSeen, now: float) -> None:
        """Take the outcome of a request."""
        failing = seen.error is not None
        changed = failing != self._failing.get(seen.node, False)
        if changed and (not failing or now - self._said_at.get(seen.node, float("-inf")) >= QUIET_SECONDS):
            self._failing[seen.node] = failing
            self._say(seen, now)
        if seen.claims and self._claims.get(seen.node) != seen.claims:
            self._claims[seen.node] = seen.claims
            log.warning(
                "exporter calls its node by another name; the name under which it was found counts",
                extra=fields(node=seen.node, url=seen.base_url, claims=seen.claims),
            )

    def compare(self, rivals: Mapping[str, tuple[str, ...]], used: Mapping[str, str]) -> None:
        """Take the exporters that were passed over for others of the same node."""
        for node in rivals.keys() - self._rivals.keys():
            log.warning(
                "node has more than one exporter, one of them is read",
                extra=fields(node=node, url=used[node], others=", ".join(rivals[node])),
            )
        self._rivals = rivals

    def forget(self, node: str) -> None:
        """Drop what is remembered of a node that is no more."""
        for memory in (self._failing, self._said_at, self._claims):
            memory.pop(node, None)

    def _say(self, seen: ExporterSeen, now: float) -> None:
        what = {"node": seen.node, "url": seen.base_url}
        if seen.error is None:
            log.info("exporter answers again", extra=fields(**what))
        else:
            self._said_at[seen.node] = now
            log.warning("exporter does not answer", extra=fields(**what, reason=seen.error, error=seen.detail))
