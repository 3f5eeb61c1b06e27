"""Life-cycle events as lines on standard output, for those who keep logs rather than metrics."""

from collections.abc import Callable, Iterable

from pulltrace.logs import RENDERERS, LogFormat, timestamp
from pulltrace_exporter.model.events import Event


class Journal:
    """Makes one line of each event, in the format of the logs; the schema is `journal.schema.json`."""

    def __init__(self, node: str, form: LogFormat, write: Callable[[str], object]) -> None:
        self._node = node
        self._render = RENDERERS[form]
        self._write = write

    def write(self, events: Iterable[Event]) -> None:
        """Hand over the lines of these events all at once, or nothing."""
        self._write("".join(self._render(self._entry(event)) + "\n" for event in events))

    def _entry(self, event: Event) -> dict[str, object]:
        entry: dict[str, object] = {
            "ts": timestamp(event.at),
            "event": event.kind.value,
            "node": self._node,
            "registry": event.key.registry,
            "repository": event.key.repository,
            "digest": event.key.digest,
        }
        if event.reference:
            entry["reference"] = event.reference
        if event.layer is not None:
            entry |= {
                "layer": event.layer.index,
                "layerDigest": event.layer.digest,
                "mediaType": event.layer.media_type,
            }
        if event.size is not None:
            entry["bytes"] = event.size
        if event.seconds is not None:
            entry["durationSeconds"] = round(max(event.seconds, 0.0), 3)
        if event.reason:
            entry["reason"] = event.reason
        return entry
