"""Field and label selectors: `=`, `==` and `!=`, joined by AND. All others are refused."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rig.kubernetes.fake.store import Matcher, Object

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "pods": (
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
    "events": (
        "metadata.name",
        "metadata.namespace",
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.fieldPath",
        "reason",
        "source",
        "type",
    ),
}
USUAL: Final = ("metadata.name", "metadata.namespace")
TERM: Final = re.compile(r"(?P<field>[^=!]+)(?P<operator>==|=|!=)(?P<value>.*)")


class UnsupportedSelector(Exception):
    """A selector that the fake answers with 400, in the words of the real API server."""


def matcher(resource: str, field_selector: str, label_selector: str) -> Matcher:
    """Whether an object is selected; raises UnsupportedSelector."""
    terms = [*_fields(resource, field_selector), *_labels(label_selector)]
    return lambda item: all(term(item) for term in terms)


def _fields(resource: str, selector: str) -> Iterable[Matcher]:
    for field, operator, value in _terms(selector):
        if field not in FIELDS.get(resource, USUAL):
            raise UnsupportedSelector(f'field label not supported: "{field}"')
        yield _compare(_reader(field), operator, value)


def _labels(selector: str) -> Iterable[Matcher]:
    for label, operator, value in _terms(selector):
        yield _compare(_label_reader(label), operator, value)


def _terms(selector: str) -> Iterable[tuple[str, str, str]]:
    for text in filter(None, selector.split(",")):
        match = TERM.fullmatch(text)
        if not match:
            raise UnsupportedSelector(f"invalid selector: '{text}'; can't understand '{text}'")
        yield match["field"].strip(), match["operator"], match["value"].strip()


def _compare(read: Callable[[Object], str], operator: str, value: str) -> Matcher:
    if operator == "!=":
        return lambda item: read(item) != value
    return lambda item: read(item) == value


def _label_reader(label: str) -> Callable[[Object], str]:
    return lambda item: str(item["metadata"].get("labels", {}).get(label, ""))


def _reader(field: str) -> Callable[[Object], str]:
    if field == "source":
        return lambda item: str(item.get("source", {}).get("component", ""))
    parts = field.split(".")

    def read(item: Object) -> str:
        found: object = item
        for part in parts:
            found = found.get(part, "") if isinstance(found, dict) else ""
        return str(found)

    return read
