"""Field and label selectors: `=`, `==` and `!=`, joined by AND. All others are refused."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from rig.kubernetes.fake.store import Matcher, Object

FIELDS: Final = {"pods": ("spec.nodeName", "status.phase"), "events": ("involvedObject.kind", "reason")}
"""What the aggregator selects by, of all that the real server takes."""
TERM: Final = re.compile(r"(?P<field>[^=!]+)(?P<operator>==|=|!=)(?P<value>.*)")
Reader = Callable[[Object], object]


class UnsupportedSelector(Exception):
    """A selector that the fake answers with 400, in the words of the real API server."""


def matcher(resource: str, field_selector: str, label_selector: str) -> Matcher:
    """Whether an object is selected; raises UnsupportedSelector."""
    fields = _terms(field_selector, lambda field: _field(resource, field))
    terms = [*fields, *_terms(label_selector, _label)]
    return lambda item: all(term(item) for term in terms)


def _terms(selector: str, reader: Callable[[str], Reader]) -> Iterator[Matcher]:
    for text in filter(None, selector.split(",")):
        match = TERM.fullmatch(text)
        if not match:
            raise UnsupportedSelector(f"invalid selector: '{text}'; can't understand '{text}'")
        yield _term(reader(match["field"].strip()), match["value"].strip(), match["operator"] != "!=")


def _term(read: Reader, value: str, wanted: bool) -> Matcher:
    return lambda item: (read(item) == value) is wanted


def _field(resource: str, field: str) -> Reader:
    if field not in FIELDS.get(resource, ()):
        raise UnsupportedSelector(f'field label not supported: "{field}"')
    part, _, name = field.rpartition(".")
    return lambda item: (item.get(part, {}) if part else item).get(name, "")


def _label(label: str) -> Reader:
    return lambda item: item["metadata"].get("labels", {}).get(label, "")
