"""What single values look like: texts, numbers and lists as JSON Schema.

Helm's regular expressions are Go's, which cannot look ahead: what a pattern cannot say, a second one beside it does.
"""

from typing import Any, Final

Schema = dict[str, Any]

_LABEL: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_PROMETHEUS_UNITS: Final = ("y", "w", "d", "h", "m", "s", "ms")
_GO_UNITS: Final = ("h", "m", "s", "ms")
_SOME: Final = "[1-9]"
"""A duration that is longer than zero has such a digit."""
_BLOCK: Final = (
    r"^([0-9]{1,3}(\.[0-9]{1,3}){3}/([0-9]|[12][0-9]|3[0-2])"
    r"|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))$"
)
_MOST: Final = 2**31 - 1
"""The largest number that Kubernetes accepts."""

BOOLEAN: Final[Schema] = {"type": "boolean"}
SWITCH: Final[Schema] = {"enum": ["auto", True, False]}
ANYTHING: Final[Schema] = {"type": "object"}
ANYTHING_LISTED: Final[Schema] = {"type": "array", "items": {"type": "object"}}


def text(pattern: str = "", *, longest: int = 0) -> Schema:
    """A text, of so many characters at most."""
    shape: Schema = {"type": "string", "pattern": pattern} if pattern else {"type": "string"}
    return {**shape, "maxLength": longest} if longest else shape


def number(least: int, most: int = _MOST) -> Schema:
    """A whole number within these bounds."""
    return {"type": "integer", "minimum": least, "maximum": most}


def one_of(*texts: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(texts)}


def listed(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def texts(pattern: str = "", *, longest: int = 0) -> Schema:
    """A mapping to texts."""
    return {"type": "object", "additionalProperties": text(pattern, longest=longest)}


def obj(**properties: Schema) -> Schema:
    """An object with these fields and no others."""
    # Each place its own copy: descriptions are put in.
    own = {name: dict(each) for name, each in properties.items()}
    return {"type": "object", "additionalProperties": False, "properties": own}


def duration() -> Schema:
    """A duration as Prometheus, its operator and both programs read it: `1h30m`, `2d`, `0s`, `0`."""
    return {**text(_in_order(*_PROMETHEUS_UNITS)), "minLength": 1}


def period() -> Schema:
    """A duration that is longer than none."""
    return {**duration(), "allOf": [{"pattern": _SOME}]}


def period_or_empty() -> Schema:
    """A duration that is longer than none, or an empty text."""
    return {**text(_in_order(*_PROMETHEUS_UNITS)), "allOf": [{"pattern": f"^$|{_SOME}"}]}


def go_period() -> Schema:
    """A duration as Go reads it, and with it cert-manager and Grafana's operator: there are no days."""
    return {**text(_in_order(*_GO_UNITS)), "minLength": 1, "allOf": [{"pattern": _SOME}]}


def label() -> Schema:
    """A DNS label: the name of a namespace, or of a part of names; empty for none."""
    return text(f"^({_LABEL})?$", longest=63)


def given_label() -> Schema:
    """A DNS label that is there."""
    return text(f"^{_LABEL}$", longest=63)


def service_label() -> Schema:
    """The beginning of a Service's name, which needs a letter first; empty for none."""
    return text(r"^([a-z]([a-z0-9-]*[a-z0-9])?)?$")


def subdomain() -> Schema:
    """The name of most objects, which may have dots; empty for none."""
    return text(rf"^({_LABEL}(\.{_LABEL})*)?$", longest=253)


def labels() -> Schema:
    """Labels of objects."""
    return texts(r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$", longest=63)


def of_alert() -> Schema:
    """Labels or annotations of an alert, named as Prometheus wants it."""
    return {**obj(), "patternProperties": {"^[a-zA-Z_][a-zA-Z0-9_]*$": text()}}


def port() -> Schema:
    """A port of TCP."""
    return number(1, 65535)


def address_block() -> Schema:
    """Addresses in CIDR notation."""
    return text(_BLOCK)


def size() -> Schema:
    """Bytes, with or without a unit."""
    return {**number(0), "type": ["string", "integer"], "pattern": r"^[0-9]+([KMG]iB)?$"}


def _in_order(*units: str) -> str:
    """Each unit at most once, the longest first; a bare 0 as Prometheus and Go allow it."""
    return f"^(0|{''.join(f'([0-9]+{unit})?' for unit in units)})$"
