"""The project's pages in Markdown, taken apart as tests of them need it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

CHECKOUT = Path(__file__).parents[2]
FENCE = re.compile(r"^ {0,3}```(\w*)[^\n]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}\S[^\n]*\n(?:\n(?= {4}))?)+")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
INLINE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LEFT_OUT = {".venv", ".venv-wheel", ".venv-lowest", ".venv-stubs", "node_modules", ".git", "dist"}


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code and the language that its fence names."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `prose` is its text without blocks of code and comments."""

    path: Path
    text: str = field(repr=False)

    @classmethod
    def at(cls, path: Path) -> Self:
        return cls(path, path.read_text())

    @property
    def name(self) -> str:
        return str(self.path.relative_to(CHECKOUT))

    @property
    def prose(self) -> str:
        return INDENTED.sub("\n", FENCE.sub("", COMMENT.sub("", self.text)))

    @property
    def blocks(self) -> Iterator[Block]:
        for language, text in FENCE.findall(self.text):
            yield Block(language, text)
        for match in INDENTED.finditer(FENCE.sub("", self.text)):
            yield Block("", re.sub(r"^ {4}", "", match[0], flags=re.MULTILINE))

    def texts(self, *languages: str) -> list[str]:
        """The blocks in these languages."""
        return [block.text for block in self.blocks if block.language in languages]

    @property
    def code(self) -> Iterator[str]:
        """What stands in backticks in a line."""
        return (text.strip() for _, text in INLINE.findall(self.prose))

    @property
    def links(self) -> Iterator[str]:
        return (match[1] for match in LINK.finditer(INLINE.sub("", self.prose)))

    @property
    def anchors(self) -> set[str]:
        """The fragments that GitHub gives the headings."""
        found: dict[str, int] = {}
        anchors = set()
        for match in HEADING.finditer(FENCE.sub("", self.text)):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).replace("`", "").lower()
            slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            seen = found.get(slug, 0)
            found[slug] = seen + 1
            anchors.add(f"{slug}-{seen}" if seen else slug)
        return anchors


@cache
def pages() -> tuple[Page, ...]:
    paths = (path for path in CHECKOUT.rglob("*.md") if not LEFT_OUT.intersection(path.relative_to(CHECKOUT).parts))
    return tuple(Page.at(path) for path in sorted(paths) if not _hidden(path))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(CHECKOUT).parts)
