"""containerd's filter language: `path==value,path~=regex,path` - all of one text must hold, one text of several."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Lookup = Callable[[tuple[str, ...]], str | None]
"""The value at a field path of the object asked about, None when it has none."""

Filter = Callable[[Lookup], bool]

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_FIELD = rf"(?:{_QUOTED}|[A-Za-z][A-Za-z0-9_]*)"
_VALUE = rf'{_QUOTED}|/[^/]*/|\|[^|]*\||[^\s,"/|][^\s,]*'
_SELECTOR = re.compile(
    rf"(?P<path>{_FIELD}(?:\.{_FIELD})*)(?:(?P<operator>[=!~]=)(?P<value>{_VALUE}))?(?P<end>,(?=.)|$)"
)


class BadFilter(ValueError):
    """Not a filter."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One expression; without an operator it asks for presence."""

    path: tuple[str, ...]
    operator: str
    value: str

    def holds(self, lookup: Lookup) -> bool:
        found = lookup(self.path)
        if self.operator == "==":
            return found == self.value
        if self.operator == "!=":
            return found != self.value
        if self.operator == "~=":
            return re.search(self.value, found or "") is not None  # what is absent is matched as an empty text
        return found is not None


def parse(texts: Iterable[str]) -> Filter:
    """One filter of all texts; none matches everything. Raises BadFilter."""
    alternatives = [list(_selectors(text)) for text in texts]

    def matches(lookup: Lookup) -> bool:
        return not alternatives or any(all(one.holds(lookup) for one in each) for each in alternatives)

    return matches


def _selectors(text: str) -> Iterator[Selector]:
    at = 0
    while at < len(text):
        found = _SELECTOR.match(text, at)
        if found is None:
            raise BadFilter(f"filters: parse error: [{text}]")
        path = tuple(_unquote(field) for field in re.findall(_FIELD, found["path"]))
        yield Selector(path, found["operator"] or "", _value(found, text))
        at = found.end()


def _value(found: "re.Match[str]", text: str) -> str:
    value = found["value"] or ""
    if value[:1] not in ("/", "|"):
        return _unquote(value)
    if found["operator"] != "~=":
        raise BadFilter(f"filters: parse error: [{text}]: invalid quote encountered")
    return value[1:-1]


def _unquote(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word[:1] == '"' else word
