"""The words for where a pod stands with an image, and how sure it is which pull is its own."""

from enum import StrEnum


class PodPhase(StrEnum):
    """Of one image that a container of a pod waits for, or has waited for a short while ago."""

    QUEUED = "queued"
    RESOLVING = "resolving"
    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    BACKOFF = "backoff"
    FAILED = "failed"
    PULLED = "pulled"
    UNKNOWN = "unknown"


class MatchKind(StrEnum):
    """How a pull was found for it: by digest or reference, by repository, not for certain, not at all."""

    EXACT = "exact"
    REPOSITORY = "repository"
    AMBIGUOUS = "ambiguous"
    NONE = "none"
