"""What a client accepts, by the weights of a header (RFC 9110, section 12.4.2)."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_QVALUE: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)


class Accepted(NamedTuple):
    """An element of Accept or Accept-Encoding, in lower case; `weight` is its q-value, 0 to 1."""

    name: str
    parameters: Mapping[str, str]
    weight: float


def accepted(header: str) -> Iterator[Accepted]:
    """The elements of a header. A malformed q-value counts as 0: Python alone would accept `nan` and `1e9`."""
    for element in header.lower().split(","):
        name, *pairs = (part.strip() for part in element.split(";"))
        parameters = {
            key.strip(): value.strip().strip('"') for key, _, value in (each.partition("=") for each in pairs)
        }
        qvalue = parameters.get("q", "1")
        yield Accepted(name, parameters, float(qvalue) if _QVALUE.fullmatch(qvalue) else 0.0)
