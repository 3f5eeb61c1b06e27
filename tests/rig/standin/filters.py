"""containerd's filter language: `path==value,path~=regex,path` - all of one text must hold, one text of several."""

import re
from collections.abc import Callable, Iterable, Iterator

Lookup = Callable[[tuple[str, ...]], str | None]
"""The value at a field path of the object asked about, None when it has none."""

Filter = Callable[[Lookup], bool]

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_FIELD = rf"(?:{_QUOTED}|[A-Za-z][A-Za-z0-9_]*)"
_SELECTOR = re.compile(
    rf"(?P<path>{_FIELD}(?:\.{_FIELD})*)"
    rf"(?:==(?P<value>{_QUOTED}|[^\s,\"/|][^\s,]*)|~=/(?P<pattern>[^/]*)/)?(?P<end>,(?=.)|$)"
)


def parse(texts: Iterable[str]) -> Filter:
    """One filter of all texts; none matches everything. Raises ValueError."""
    alternatives = [list(_selectors(text)) for text in texts]

    def matches(lookup: Lookup) -> bool:
        return not alternatives or any(all(holds(lookup) for holds in each) for each in alternatives)

    return matches


def _selectors(text: str) -> Iterator[Filter]:
    at = 0
    while at < len(text):
        found = _SELECTOR.match(text, at)
        if found is None:
            raise ValueError(f"filters: parse error: [{text}]")
        yield _selector(found)
        at = found.end()


def _selector(found: re.Match[str]) -> Filter:
    path = tuple(_unquote(field) for field in re.findall(_FIELD, found["path"]))
    if (pattern := found["pattern"]) is not None:
        # What is absent is matched as an empty text.
        return lambda lookup: re.search(pattern, lookup(path) or "") is not None
    if (value := found["value"]) is not None:
        return lambda lookup: lookup(path) == _unquote(value)
    return lambda lookup: lookup(path) is not None


def _unquote(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word[:1] == '"' else word
