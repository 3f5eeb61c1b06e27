"""Reads JSON from another program; each fault becomes an exception that names the place."""

import json
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, Self, TypeVar

from pulltrace.errors import PulltraceError
from pulltrace.text import presentable

_T = TypeVar("_T")
_LARGEST: Final = 2**63 - 1

Kind = Callable[[object], _T]
"""Converts a JSON value, or raises WrongValue."""


class JsonFault(PulltraceError):
    """A document that breaks the format. `path` is where, like `pulls[2].digest`; `$` is the whole document."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        super().__init__(f"{path}: {problem}")


class WrongValue(Exception):
    """What is wrong with a value, without its path: `is not text`."""


class JsonObject:
    """An object of the document. Keys that nobody asks for are ignored; null is a wrong type, not an absence."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise JsonFault(path or "$", "is not an object")
        self._members: dict[str, object] = value
        self._path = path

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a whole document; raises JsonFault. The caller bounds its length."""
        try:
            return cls(json.loads(body, parse_constant=_refuse))
        except (ValueError, RecursionError) as error:
            raise JsonFault("$", f"is not JSON: {error}") from error

    def need(self, key: str, kind: Kind[_T]) -> _T:
        """The member, which must be there; raises JsonFault."""
        if key not in self._members:
            raise JsonFault(self._at(key), "is missing")
        try:
            return kind(self._members[key])
        except WrongValue as error:
            raise JsonFault(self._at(key), str(error)) from error

    def find(self, key: str, kind: Kind[_T]) -> _T | None:
        """The member, or None where it is absent; raises JsonFault."""
        return self.need(key, kind) if key in self._members else None

    def each(self, key: str, kind: Kind[_T]) -> tuple[_T, ...]:
        """The elements of the array, none where it is absent; raises JsonFault."""
        elements, converted = self.find(key, _array) or [], list[_T]()
        try:
            for value in elements:
                converted.append(kind(value))
        except WrongValue as error:
            raise JsonFault(f"{self._at(key)}[{len(converted)}]", str(error)) from error
        return tuple(converted)

    def object(self, key: str) -> "JsonObject":
        """The member that is an object, an empty one where it is absent; raises JsonFault."""
        return JsonObject(self._members.get(key, {}), self._at(key))

    def objects(self, key: str) -> Iterator["JsonObject"]:
        """The elements of an array of objects, none where it is absent; raises JsonFault."""
        path = self._at(key)
        for index, value in enumerate(self.find(key, _array) or ()):
            yield JsonObject(value, f"{path}[{index}]")

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def text(value: object) -> str:
    """A text, made presentable."""
    if not isinstance(value, str):
        raise WrongValue("is not text")
    return presentable(value)


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise WrongValue("is neither true nor false")
    return value


def count(value: object) -> int:
    """A whole number of 0 or more, below 2^63."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise WrongValue("is not a whole number of 0 or more")
    return value


def number(value: object) -> float:
    """A finite number of 0 or more: an age, a rate or a Unix time."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
        raise WrongValue("is not a number of 0 or more")
    return float(value)


def _array(value: object) -> list[object]:
    if not isinstance(value, list):
        raise WrongValue("is not an array")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
