"""The label text of what has series, written once while it lives."""

from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

from pulltrace.exposition import label_text
from pulltrace_aggregator.model.view import NodePull, PodImage, PodPull

POD_LABELS: Final = PodImage._fields
PULL_LABELS: Final = ("registry", "repository", "digest")
NODE_PULL_LABELS: Final = ("node", *PULL_LABELS)
INFO_LABELS: Final = ("uid", *PULL_LABELS, "match")


class PodRow(NamedTuple):
    """An image that a pod waits for, and the text of its labels.

    `labels` is there to append others to, `series` has braces, `info` is the text of the labels of the join alone.
    """

    pull: PodPull
    labels: str
    series: str
    info: str


class Rows:
    """Makes rows, remembering the label text of what was in the last scrape and of nothing else.

    Safe for use by several threads: the memory is replaced as a whole, at worst a text is written twice.
    """

    def __init__(self) -> None:
        self._texts: dict[Hashable, str] = {}

    def pods(self, pulls: Iterable[PodPull]) -> list[PodRow]:
        """One row for each image of a pod."""
        known, texts, rows = self._texts, dict[Hashable, str](), []
        for pull in pulls:
            labels = texts[pull.labels] = known.get(pull.labels) or label_text(POD_LABELS, pull.labels)
            join = (pull.uid, pull.registry, pull.repository, pull.digest, pull.match)
            info = texts[join] = known.get(join) or label_text(INFO_LABELS, join)
            rows.append(PodRow(pull, labels, f"{{{labels}}}", info))
        self._texts = texts
        return rows


def node_pull_labels(entry: NodePull) -> str:
    """The text of the labels of a pull on its node."""
    return label_text(NODE_PULL_LABELS, (entry.node, *entry.pull.key))
