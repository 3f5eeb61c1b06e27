"""Why a pull failed, told from the words of kubelet, runtime and registry: one ordered table of rules.

The words are nobody's contract. They were collected from containerd 1.6 to 2.1 and from the larger registries, and what
no rule knows is `other`. Nothing of a text goes into the answer.
"""

import re
from dataclasses import dataclass
from typing import Final

from pulltrace_aggregator.model.states import FailureReason


@dataclass(frozen=True, slots=True)
class Rule:
    """Any of the patterns in the text, letters of either case, gives the reason, unless an earlier rule did."""

    reason: FailureReason
    why: str
    patterns: tuple[str, ...]


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
        "refused as a name before anybody was asked, or by the registry as one",
        (
            "invalid reference format",
            "(?:couldn't|failed to) parse image (?:name|reference)",
            "invalid checksum digest",
            "unsupported digest algorithm",
            "repository name must be (?:lowercase|canonical)",
            r"\bname[ _]invalid\b",
        ),
    ),
    Rule(
        FailureReason.SIGNATURE,
        "a policy of the node refused the image: CRI-O's, or an image verifier of containerd 2",
        (
            "SignatureValidationFailed",
            "source image rejected",
            "image verifier .*(?:blocked pull|returned error)",
        ),
    ),
    Rule(
        FailureReason.DISK_FULL,
        "before the rules for the place where it happened",
        ("no space left on device", "disk quota exceeded"),
    ),
    Rule(
        FailureReason.CANCELED,
        "given up: no byte for image_pull_progress_timeout, the runtime ends, the kubelet withdraws its request",
        ("context canceled", "code = Canceled", "operation was canceled"),
    ),
    Rule(
        FailureReason.OTHER,
        "the runtime itself does not answer; its connection's errors look like a registry's",
        (
            "code = Unavailable desc = (?:error reading from server|connection (?:error|closed)|transport is closing)",
            r"dial unix\b",
        ),
    ),
    Rule(
        FailureReason.OTHER,
        "the content came and is no good, or the node cannot keep it; such texts go on with `not found` or `EOF`",
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
        "before refusals: some registries answer 403 and say in words that it is too much",
        (
            r"\btoo ?many ?requests\b",
            r": 429\b",
            "rate[- ]?limit",
            "(?:rate|data limit|quota) exceeded",
        ),
    ),
    Rule(
        FailureReason.DNS,
        "the name server's silence is no silence of the registry",
        (r"\bdial tcp: lookup\b", "no such host"),
    ),
    Rule(
        FailureReason.TIMEOUT,
        "no answer in time, in Go's words",
        (
            "i/o timeout",
            "TLS handshake timeout",
            "deadline ?exceeded",
            "timeout awaiting response headers",
            r"exceeded while (?:awaiting headers|reading body)",
            "request canceled while waiting for connection",
            "connection timed out",
        ),
    ),
    Rule(
        FailureReason.TLS,
        "one side does not like the other's certificate, or speaks no TLS",
        (r"\bx509:", r"\btls: ", "HTTP response to HTTPS client"),
    ),
    Rule(
        FailureReason.REGISTRY_UNAVAILABLE,
        "no connection, one that broke, or a status 5xx; also of the server that hands out tokens",
        (
            r"status[^:\n]*: 5\d\d\b",
            "internal server error|bad gateway|service unavailable|gateway time-?out",
            "connection (?:refused|reset)",
            "broken pipe",
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
        "before absence: what may not be seen is often said not to exist. `permission denied` alone is a file's",
        (
            r": 40[137]\b",
            "unauthorized|unauthenticated",
            r"\bforbidden\b",
            r"(?<!permission )\bdenied\b",
            "authorization failed",
            "failed to authorize",
            "authorization token has expired",
            "authentication required",
            "no basic auth credentials",
            "incorrect username or password",
        ),
    ),
    Rule(
        FailureReason.NOT_FOUND,
        "no such repository, tag, digest or platform",
        (
            r"\bnot found\b",
            "(?:name|manifest)[ _]unknown",
            "does not exist",
            "not known to the registry",
            "no match for platform",
            "code = NotFound",
        ),
    ),
)
"""The first rule that holds gives the reason."""

_COMPILED = tuple((rule.reason, re.compile("|".join(rule.patterns), re.IGNORECASE)) for rule in RULES)
_WORD = re.compile(
    r"""(?:\b(?:lookup|host)\ |\b(?:name|repository)\ ['"])?   # what names something that has no slash
    [^\s"'{}\[\](),;<>]+""",
    re.IGNORECASE | re.VERBOSE,
)
_PHRASES = frozenset({"i/o", "net/http:"})

LONGEST: Final = 8 * 1024
"""Characters of a text that are looked at. A registry may answer with a whole page; what happened stands before it."""


def classify(error: str) -> FailureReason:
    """The reason that the words of an error tell; never raises.

    Names in the text do not count: an image may be called `denied` and a host `timeout`.
    """
    text = _WORD.sub(_without_names, error[:LONGEST])
    return next((reason for reason, pattern in _COMPILED if pattern.search(text)), FailureReason.OTHER)


def _without_names(found: re.Match[str]) -> str:
    """References, addresses and paths hold a slash; the colon that ends one of them belongs to the sentence."""
    before, _, name = found[0].rpartition(" ")
    if not before and ("/" not in name or name in _PHRASES):
        return found[0]
    return f"{before} …:" if name.endswith(":") else f"{before} …"
