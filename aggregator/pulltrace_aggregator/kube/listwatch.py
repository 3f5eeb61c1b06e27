"""Follows a selection: one list if it is needed, then one watch, until something ends it."""

import random
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from pulltrace_aggregator.kube.client import ApiClient, Timing
from pulltrace_aggregator.kube.decode import Object, member, members
from pulltrace_aggregator.kube.errors import InvalidAnswer, KubernetesError, error_event, parsed
from pulltrace_aggregator.kube.resources import Request, Selection
from pulltrace_aggregator.model.cluster import Change, Gone, Listed, Observed, Receiver

ANY_VERSION: Final = "0"
"""The version to watch from after a list without a version: the watch begins with all objects that exist."""
_CHANGES: Final = {"ADDED": Change.ADDED, "MODIFIED": Change.MODIFIED}


class Progress(Protocol):
    """Learns how far a list and watch is."""

    def listed(self) -> None:
        """The list is complete."""

    def watching(self) -> None:
        """The server has accepted the watch."""


class ListWatch:
    """Follows one selection. Keeps no objects; of those that are remembered it keeps what reports them gone.

    `resource_version` is the version from which the next watch continues; empty when a list must come first.
    """

    def __init__(
        self,
        client: ApiClient,
        selection: Selection,
        receiver: Receiver[Observed],
        progress: Progress,
        timing: Timing,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._selection = selection
        self._receiver = receiver
        self._progress = progress
        self._timing = timing
        self._jitter = jitter
        self._known: dict[str, Gone] = {}
        self.resource_version = ""

    def run(self) -> None:
        """List if needed and watch once. Returns when the server ended the watch; raises KubernetesError."""
        try:
            if not self.resource_version:
                self._list()
                self._progress.listed()
            self._watch()
        except KubernetesError as error:
            if error.relist:
                self.resource_version = ""
            raise

    def _list(self) -> None:
        before, self._known = self._known, {}
        version = ""
        try:
            for page in self._pages():
                version = version or _version(page)
                for item in members(page, "items"):
                    self._report(item, Change.LISTED)
        except BaseException:
            # The rest of the list might have shown these: they are not gone yet.
            self._known = {**before, **self._known}
            raise
        for uid in before.keys() - self._known.keys():
            self._receiver.receive(before[uid])
        self._receiver.receive(Listed(self._selection.resource, self._selection.namespace, self._selection.detail))
        self.resource_version = version or ANY_VERSION

    def _pages(self) -> Iterator[Object]:
        continuation = ""
        while True:
            request = self._selection.list_page(continuation)
            page = self._client.get(request)
            if not isinstance(page.get("items", ""), list | None):
                raise InvalidAnswer(f"{request.right}: the answer is not a list")
            yield page
            continuation = member(page, "metadata").get("continue") or ""
            if not isinstance(continuation, str):
                raise InvalidAnswer(f"{request.right}: the list's continuation is not text")
            if not continuation:
                return

    def _watch(self) -> None:
        usual = self._timing.watch if self._selection.bookmarked else self._timing.long_watch
        seconds = max(1, round(usual * (0.75 + self._jitter() / 2)))
        request = self._selection.watch(self.resource_version, seconds)
        with self._client.lines(request, seconds + self._timing.grace) as lines:
            self._progress.watching()
            for line in lines:
                if line.strip():
                    self._handle(parsed(line, request.right), request)

    def _handle(self, change: Object, request: Request) -> None:
        kind, item = change.get("type"), change.get("object")
        if not isinstance(kind, str) or not isinstance(item, dict):
            raise InvalidAnswer(f"{request.right}: a change without a type or an object")
        if kind == "ERROR":
            raise error_event(request.right, item)
        # First, so that the watch does not start again before an object that cannot be handled.
        self.resource_version = _version(item) or self.resource_version
        if kind in _CHANGES:
            self._report(item, _CHANGES[kind])
        elif kind == "DELETED":
            self._report_gone(item)
        elif kind != "BOOKMARK":
            raise InvalidAnswer(f"{request.right}: a change of an unknown type")

    def _report(self, item: Object, change: Change) -> None:
        if (seen := self._selection.seen(item, change)) is None:
            return
        if self._selection.remembered and (gone := self._selection.gone(item)) is not None:
            self._known[_key(gone)] = gone
        self._receiver.receive(seen)

    def _report_gone(self, item: Object) -> None:
        if (gone := self._selection.gone(item)) is not None:
            self._known.pop(_key(gone), None)
            self._receiver.receive(gone)


def _key(gone: Gone) -> str:
    """The uid. A real server gives every object one."""
    return gone.uid or f"{gone.namespace}/{gone.name}"


def _version(item: Object) -> str:
    version = member(item, "metadata").get("resourceVersion")
    return version if isinstance(version, str) else ""
