"""Why a pull failed, by the words of the kubelet, runtime and registry: one ordered table of rules.

No contract fixes these words. They come from containerd 1.6 to 2.4, CRI-O, Docker, Go's net packages on Linux and
Windows, and the larger registries; `tests/aggregator/data` has them with their sources. Where a text has a fixed form,
the rule has that form, with any address, number or system error in it. A text that no rule matches is `other`. No part
of a text is published.
"""

import re
from dataclasses import dataclass
from typing import Final

from pulltrace_aggregator.model.states import FailureReason


@dataclass(frozen=True, slots=True)
class Rule:
    """A text in which one of the patterns is found, in either case, has this reason. The first such rule decides."""

    reason: FailureReason
    why: str
    patterns: tuple[str, ...]


def _http(status: str) -> str:
    """The spellings of an HTTP status: `code [manifests 1]: 429 Too…`, `HTTP 429 response`, `Status 429 trying to`."""
    written = rf"\bhttp (?:status(?: code)?:? |error )?{status}\b"
    behind = rf"(?<!exit )\bstatus(?: ?code)?\b(?:(?!\b[1-5]\d\d\b)[^\n]){{0,120}}?\b{status}\b"
    return rf": {status} [a-z]|{written}|{behind}"


_CLAUSE: Final = r"(?:[^:\n]|:(?!\s))*"
"""Text up to the next colon that a space follows."""
_ABSENT: Final = r"(?:not found|does(?: not|n't) exist)\b"
_OF_A_REGISTRY: Final = (
    "manifest|tag|repository|repo|image|artifact|name|reference|blob|content|platform|project|package|page|resource"
    "|remote"
)
_CALLS: Final = "connect|bind|socket|[gs]etsockopt"

RULES: Final = (
    Rule(
        FailureReason.KUBELET_RATE_LIMIT,
        "the kubelet's own registryPullQPS; the registry was not asked",
        ("pull QPS exceeded",),
    ),
    Rule(
        FailureReason.NEVER_PULL,
        "imagePullPolicy is Never and the image is not there",
        ("is not present with pull policy of Never",),
    ),
    Rule(
        FailureReason.INVALID_NAME,
        "the node or the registry refused the name; an invalid digest alone can be that of other content",
        (
            "invalid reference format",
            "(?:couldn't|failed to) parse image (?:name|reference)",
            "repository name must be (?:lowercase|canonical)",
            r"\bname[ _]invalid\b",
            r"\bshort[- ]name (?:mode is enforcing|resolution enforced)",
            r"\bshort-name \S+ did not resolve",
        ),
    ),
    Rule(
        FailureReason.SIGNATURE,
        "a policy of the node refused the image: CRI-O's, or an image verifier of containerd 2",
        (
            "SignatureValidationFailed",
            "source image rejected",
            "image verifier .*(?:blocked pull|returned error)",
            r"(?<!certificate )(?<!certificate is )\bnot signed\b",
        ),
    ),
    Rule(
        FailureReason.DISK_FULL,
        "before the rules for the step at which it happened",
        (
            "no space left on device",
            "disk quota exceeded",
            "not enough space on the disk",
            "less than minimum required [0-9]+ free data blocks",
        ),
    ),
    Rule(
        FailureReason.CANCELED,
        "given up: no byte for image_pull_progress_timeout, the runtime ends, or the kubelet cancels its request",
        ("context canceled", "code = Canceled", "operation was canceled"),
    ),
    Rule(
        FailureReason.OTHER,
        "the runtime does not answer; errors of that connection look like those of a registry's",
        (
            "code = Unavailable desc = (?:error reading from server|connection (?:error|closed)|transport is closing)",
            r"dial unix\b",
        ),
    ),
    Rule(
        FailureReason.OTHER,
        "the content came but is bad, or the node cannot store it; such texts often end in `not found` or `EOF`",
        (
            "failed to extract layer",
            "failed to prepare extraction snapshot",
            "failed to unpack image",
            "failed to register layer",
            "stream processor",
            "unexpected commit digest",
            "unexpected media type",
            "no (?:resolve|pull) hosts",
        ),
    ),
    Rule(
        FailureReason.RATE_LIMITED,
        "before refusals: some registries answer 403 and name the limit only in words",
        (
            r"\btoo ?many ?requests\b",
            _http("429"),
            "rate[- ]?limit",
            "(?:rate|data limit|quota) exceeded",
        ),
    ),
    Rule(
        FailureReason.DNS,
        "before timeouts: a name server that does not answer is not the registry",
        (r"\bdial tcp: lookup\b", "no such host"),
    ),
    Rule(
        FailureReason.TIMEOUT,
        "no answer in time, in Go's words and in those of Windows",
        (
            "i/o timeout",
            "TLS handshake timeout",
            "deadline ?exceeded",
            "timeout awaiting response headers",
            r"exceeded while (?:awaiting headers|reading body)",
            "request canceled while waiting for connection",
            r"\btimed out\b",
            "did not properly respond|has failed to respond",
            _http("408"),
        ),
    ),
    Rule(
        FailureReason.TLS,
        "one side rejects the other's certificate, or does not speak TLS",
        (r"\bx509:", r"\btls: ", "HTTP response to HTTPS client"),
    ),
    Rule(
        FailureReason.REGISTRY_UNAVAILABLE,
        "no connection, one that broke, or a status 5xx; also of the server that hands out tokens",
        (
            _http(r"5\d\d"),
            "internal server error|bad gateway|service unavailable|gateway time-?out",
            rf"\bdial tcp[46]? \S+ (?:{_CALLS}): ",
            r"\bread tcp \S+ read: ",
            r"\bwrite tcp \S+ write: ",
            r"\b(?:connectex(?: tcp)?|wsarecv|wsasend): ",
            "connection (?:refused|reset)",
            "no route to host|network is unreachable",
            r"\b(?:unexpected )?EOF\b",
            "server closed idle connection|client connection lost|transport connection broken",
            "use of closed network connection",
            r"\bGOAWAY\b",
            r"\bstream error\b",
            "RegistryUnavailable",
        ),
    ),
    Rule(
        FailureReason.UNAUTHORIZED,
        "before absence: what may not be seen is often said not to exist. `permission denied` alone is about a file",
        (
            _http("40[137]"),
            "unauthorized|unauthenticated",
            r"\bforbidden\b",
            r"(?<!permission )\bdenied\b",
            "authorization failed",
            "failed to authorize",
            "authorization token has expired",
            "(?:authentication|login) required",
            r"\bbasic auth(?:entication)?\b",
            "incorrect username or password",
            r"\bDockerConfig(?:Json|Entry)?\b",
        ),
    ),
    Rule(
        FailureReason.OTHER,
        "something of the node is absent, or the content is not a manifest; the words before `not found` tell",
        (
            r"\b(?:image|content) store\b",
            r"\bcontent digest\b",
            r"\b(?:lease|snapshot|snapshotter|namespace|ingest|runtime handler)\b",
            r"\bexecutable file\b",
            r"\bbyte manifest\b",
        ),
    ),
    Rule(
        FailureReason.NOT_FOUND,
        "no such repository, tag, digest or platform",
        (
            _http("404"),
            rf"\b(?:{_OF_A_REGISTRY})\b{_CLAUSE}(?::\s)?{_ABSENT}",
            # Only a reference, or nothing, stands before it.
            rf"(?:^|[:=]\s)(?:(?:…|\S+[:@]\S+):?\s)?{_ABSENT}",
            r"\b(?:name|manifest|blob)[ _]unknown\b",
            r"\bunknown (?:blob|manifest|image)\b",
            r"\bno such (?:image|manifest)\b",
            "not known to the registry",
            "no match(?:ing manifest)? for",
            r"\bno image found in (?:manifest list|image index)\b",
            r"\barchitecture mismatch\b|does not match the specified platform",
        ),
    ),
)

_COMPILED = tuple((rule.reason, re.compile("|".join(rule.patterns), re.IGNORECASE)) for rule in RULES)
_WORD = re.compile(
    r"""(?:\b(?:lookup|host)\ |\b(?:name|repository)\ ['"])?   # words before a name that may have no slash
    [^\s"'{}\[\](),;<>]+""",
    re.IGNORECASE | re.VERBOSE,
)
_PHRASES = frozenset({"i/o", "net/http:"})

LONGEST: Final = 8 * 1024
"""Most characters of a text that are read. A registry may answer with a whole page; the cause stands before it."""


def classify(error: str) -> FailureReason:
    """The reason that the words of an error tell; never raises.

    Names in the text do not count: an image may be called `denied` and a host `timeout`.
    """
    text = without_names(error)
    return next((reason for reason, pattern in _COMPILED if pattern.search(text)), FailureReason.OTHER)


def without_names(error: str) -> str:
    """The text with `…` for each name."""
    return _WORD.sub(_without_name, error[:LONGEST])


def _without_name(found: re.Match[str]) -> str:
    """References, addresses and paths hold a slash. A colon at their end belongs to the sentence."""
    before, _, name = found[0].rpartition(" ")
    if not before and ("/" not in name or name in _PHRASES):
        return found[0]
    return f"{before} …:" if name.endswith(":") else f"{before} …"
