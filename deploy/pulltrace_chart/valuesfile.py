"""Reads values.yaml: every value that is described, with its default and the comment above it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

MARK: Final = "# -- "


class UndescribedValue(Exception):
    """A value has no comment; the text names it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a user may set."""

    path: tuple[str, ...]
    default: Any
    description: str

    @property
    def name(self) -> str:
        """The name that `--set` takes."""
        return ".".join(self.path)


def values(text: str) -> list[Value]:
    """All values in order; raises UndescribedValue. A mapping with a comment is one value, whatever is in it."""
    document = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(document, yaml.MappingNode):
        raise UndescribedValue("values.yaml is not a mapping")
    return list(_walk(document, text.splitlines(), ()))


def _walk(node: yaml.MappingNode, lines: Sequence[str], path: tuple[str, ...]) -> Iterator[Value]:
    for key, value in node.value:
        here = (*path, key.value)
        described = _comment(lines, key.start_mark.line)
        if described:
            yield Value(here, _plain(value), described)
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _walk(value, lines, here)
        else:
            raise UndescribedValue(f"{'.'.join(here)}: no comment `{MARK}…` above it")


def _comment(lines: Sequence[str], line: int) -> str:
    """The text of the comment that ends above this line; empty where there is none with the mark."""
    found: list[str] = []
    for above in reversed(lines[:line]):
        comment = above.strip()
        if not comment.startswith("#"):
            break
        found.insert(0, comment)
        if comment.startswith(MARK):
            return " ".join(part.removeprefix(MARK).removeprefix("#").strip() for part in found)
    return ""


def _plain(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()
