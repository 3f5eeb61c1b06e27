"""What went wrong, said once: an outage hits all watches at a time, and in several ways while it lasts."""

import logging
import threading
from dataclasses import dataclass

from pulltrace.logs import fields

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that is wrong. `kind` is the same for all watches that suffer from the same thing."""

    kind: str
    text: str


class Complaints:
    """Shared by all feeds. Each has one complaint at most; one that another feed has already made is not repeated."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, str] = {}

    def make(self, watch: str, complaint: Complaint) -> None:
        """Say what is wrong with a watch, in place of what was wrong with it before."""
        with self._lock:
            known = complaint.kind in self._kinds.values()
            self._kinds[watch] = complaint.kind
        if not known:
            extra = fields(watch=watch, reason=complaint.kind, error=complaint.text)
            log.warning("the Kubernetes API fails, trying on", extra=extra)

    def withdraw(self, watch: str) -> None:
        """A watch works; said when it was the last one that did not."""
        with self._lock:
            had = self._kinds.pop(watch, None)
            mended = had is not None and not self._kinds
        if mended:
            log.info("the Kubernetes API is listed and watched again", extra=fields(watch=watch))
