"""Inputs that are documents of JSON, one a line: where they change, they change as documents."""

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

MutateBytes = Callable[[bytes, int], bytes]

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 2**31, 2**63 - 1, 2**63, -(2**63), 10**400, 1e308),
    *(float("inf"), float("nan"), "", "a", "0", "\x00", "\ud800", "\u202e", "\n", '"', "\\", "{}"),
    *("é" * 300, "a" * 5000, [], {}, [[]], [{}], {"": ""}, [None], [[[[[[[[[[]]]]]]]]]]),
    *("sha256:" + "a" * 64, "registry.example/team/app:v1", "docker.io/library/a@sha256:" + "b" * 64),
    "2024-01-01T00:00:00Z",
)
"""Values that a careless reader stumbles over, and a few that pass all checks."""


def mutate(data: bytes, most: int, seed: int, mutate_bytes: MutateBytes) -> bytes:
    """Change one line, mostly a value in it."""
    random = Random(seed)
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(10):
        case 0:
            return mutate_bytes(data, most)
        case 1:
            lines.insert(random.randrange(len(lines) + 1), lines[at])
        case 2:
            del lines[at]
        case _:
            lines[at] = _changed(lines[at], most, random, mutate_bytes)
    return b"\n".join(lines)[:most]


def _changed(line: bytes, most: int, random: Random, mutate_bytes: MutateBytes) -> bytes:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return mutate_bytes(line or b"{}", most)
    places = list(_places(document))
    if not places:
        return json.dumps(random.choice(ODD)).encode()
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        _change(*random.choice(places), places, random, mutate_bytes)
    try:
        return json.dumps(document, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # a value has come to hold itself
        return line


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each member and element, as where it is and under which key."""
    found: list[tuple[Any, Any]] = []
    rest = [value]
    while rest and len(found) < 2000:
        each = rest.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        found += [(each, key) for key in keys]
        rest += [each[key] for key in keys]
    return found


def _change(holder: Any, key: Any, places: list[tuple[Any, Any]], random: Random, mutate_bytes: MutateBytes) -> None:
    if (isinstance(holder, dict) and key not in holder) or (isinstance(holder, list) and key >= len(holder)):
        return  # an earlier change has taken it away
    old = holder[key]
    match random.randrange(7):
        case 0:
            del holder[key]
        case 1 | 2:
            holder[key] = random.choice(ODD)
        case 3 if isinstance(old, str):
            holder[key] = mutate_bytes(old.encode("utf-8", "replace") or b"a", 200).decode("utf-8", "replace")
        case 4 if isinstance(old, int | float):
            holder[key] = random.choice((old + 1, old - 1, old * 2, -old, str(old)))
        case 5 if isinstance(old, list):
            holder[key] = old * random.choice((2, 10, 100)) if len(old) < 1000 else old[:1]
        case 6 if isinstance(holder, dict):
            holder[random.choice([str(other) for _, other in places])] = old
        case _:
            other, at = random.choice(places)
            if not isinstance(other, list | dict) or (isinstance(other, dict) and at not in other):
                return
            if isinstance(other, list) and at >= len(other):
                return
            holder[key] = json.loads(json.dumps(other[at]))
