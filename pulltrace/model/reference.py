"""Image references by the grammar of the distribution project: parse, normalise, compare.

The rules are those of github.com/distribution/reference, which containerd's CRI plugin and the kubelet apply:
names without a registry are Docker Hub's, and a Docker Hub name of one component lies under `library/`.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Self

from pulltrace.errors import PulltraceError
from pulltrace.text import shortened

DOCKER_HUB: Final = "docker.io"
DEFAULT_TAG: Final = "latest"
LONGEST_REPOSITORY: Final = 255

_HUB_LEGACY = "index.docker.io"
_HUB_OFFICIAL = "library/"
_SHOWN = 120

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"(?:sha256:)?[a-f0-9]{64}")
_HEX = re.compile(r"[a-f0-9]+")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class InvalidReference(PulltraceError):
    """A text that is not an image reference. The message has the text, shortened, and what is wrong."""

    def __init__(self, text: str, problem: str) -> None:
        self.problem = problem
        super().__init__(f"invalid image reference {_quoted(text)}: {problem}")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference in normal form; make one with `parse`.

    `registry` is the host with its port, if one was written (case as written, IPv6 in brackets);
    `repository` is the path on that registry, on Docker Hub with its `library/`; `tag` and `digest` are None
    where none was written.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that `text` means; raises InvalidReference.

        64 hexadecimal digits, with or without `sha256:`, are refused: a runtime takes them for an image ID and looks
        among its images first.
        """
        try:
            return cls(*_parts(text))
        except _GrammarError as fault:
            raise InvalidReference(text, str(fault)) from None

    @classmethod
    def find(cls, text: str) -> Self | None:
        """The reference that `text` means; None where it means none."""
        try:
            return cls.parse(text)
        except InvalidReference:
            return None

    @property
    def host(self) -> str:
        """The registry's host without port and brackets, as in containerd's `distribution.source` labels."""
        found = _REGISTRY.fullmatch(self.registry)
        return (found["host"] if found else self.registry).strip("[]")

    @property
    def source(self) -> tuple[str, str]:
        """Host and repository, which containerd writes to the label of what came from there."""
        return self.host, self.repository

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def requested(self) -> Self:
        """What a runtime asks for: the digest without the tag if there is one, else the tag or `latest`."""
        if self.digest:
            return replace(self, tag=None)
        return self if self.tag else replace(self, tag=DEFAULT_TAG)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


class _GrammarError(Exception):
    """What is wrong with a text, without the text."""


def _parts(text: str) -> tuple[str, str, str | None, str | None]:
    if not text:
        raise _GrammarError("it is empty")
    if "://" in text:
        raise _GrammarError("it has a URL scheme")
    if _IMAGE_ID.fullmatch(text):
        raise _GrammarError("it is an image ID, not a name")
    named, at, digest = text.partition("@")
    registry, path = _split_registry(named)
    repository, colon, tag = path.partition(":")
    if registry == DOCKER_HUB and repository and "/" not in repository:
        repository = _HUB_OFFICIAL + repository
    _check_registry(registry)
    _check_repository(repository)
    if colon and not _TAG.fullmatch(tag):
        raise _GrammarError(f"{_quoted(tag)} is not a tag")
    if at:
        _check_digest(digest)
    return registry, repository, tag if colon else None, digest if at else None


def _split_registry(named: str) -> tuple[str, str]:
    first, slash, rest = named.partition("/")
    if not slash or not _is_registry(first):
        return DOCKER_HUB, named
    return DOCKER_HUB if first == _HUB_LEGACY else first, rest


def _is_registry(first: str) -> bool:
    """Whether the part before the first slash is a registry. In `team/app` it is not: that is on Docker Hub."""
    return first == "localhost" or "." in first or ":" in first or first != first.lower()


def _check_registry(registry: str) -> None:
    # A host with an underscore is a component of a path to the grammar. The name passes, and containerd asks what
    # stands before the first slash.
    if not _REGISTRY.fullmatch(registry) and not _COMPONENT.fullmatch(registry):
        raise _GrammarError(f"{_quoted(registry)} is not a registry host with an optional port")


def _check_repository(repository: str) -> None:
    if not repository:
        raise _GrammarError("it names no repository")
    for component in repository.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise _GrammarError(_component_fault(component))
    if len(repository) > LONGEST_REPOSITORY:
        raise _GrammarError(f"its repository has {len(repository)} characters, {LONGEST_REPOSITORY} are allowed")


def _component_fault(component: str) -> str:
    if not component:
        return "a component of its repository is empty"
    if _COMPONENT.fullmatch(component.lower()):
        return f"{_quoted(component)} in its repository has upper-case letters"
    return f"{_quoted(component)} is not a component of a repository"


def _check_digest(digest: str) -> None:
    algorithm, _, encoded = digest.partition(":")
    length = _DIGEST_LENGTHS.get(algorithm)
    if length is None:
        known = ", ".join(_DIGEST_LENGTHS)
        raise _GrammarError(f"its digest's algorithm {_quoted(algorithm)} is not one of {known}")
    if len(encoded) != length or not _HEX.fullmatch(encoded):
        raise _GrammarError(f"a {algorithm} digest has {length} lower-case hexadecimal digits")


def _quoted(part: str) -> str:
    return repr(shortened(part, _SHOWN))


# References as they are compared: by what a runtime asks for, however they were written


@dataclass(frozen=True, slots=True)
class ImageName:
    """A reference taken apart.

    `registry` is its host as written, without the port, as the exporter's labels have it; `host` is the same in lower
    case, since host names are compared so. `canonical` is the text of what a runtime asks for, the host with its
    port in lower case: two references with equal texts are one request. `digest` is None where none was written.
    """

    registry: str
    host: str
    repository: str
    canonical: str
    digest: str | None


@lru_cache(maxsize=4096)
def image_name(text: str) -> ImageName | None:
    """What a reference means; None for a text that is not a reference."""
    reference = Reference.find(text)
    if reference is None:
        return None
    asked = replace(reference, registry=reference.registry.lower()).requested
    return ImageName(reference.host, asked.host, reference.repository, str(asked), reference.digest)


def canonical_reference(text: str) -> str:
    """One text for all spellings of one image; the text itself where it is not a reference."""
    name = image_name(text)
    return text if name is None else name.canonical


def same_image(one: str, other: str) -> bool:
    """Whether two texts ask for the same image. Texts that are no references ask for nothing but themselves."""
    return one == other or canonical_reference(one) == canonical_reference(other)
