"""The states of waits and pulls that the aggregator publishes. Each value is a label value of a metric."""

from enum import StrEnum


class ContainerType(StrEnum):
    """What in a pod uses an image; the values of the label `container_type`."""

    CONTAINER = "container"
    INIT = "init"
    EPHEMERAL = "ephemeral"
    VOLUME = "volume"
    SANDBOX = "sandbox"
    """The pause image, which holds the pod together."""


class PodPhase(StrEnum):
    """The present step of a wait, or how it ended a short while ago."""

    QUEUED = "queued"
    RESOLVING = "resolving"
    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    BACKOFF = "backoff"
    FAILED = "failed"
    PULLED = "pulled"
    UNKNOWN = "unknown"


class MatchKind(StrEnum):
    """How the pull of a wait was found: by digest or reference, by repository, not for certain, not at all."""

    EXACT = "exact"
    REPOSITORY = "repository"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


class StaleReason(StrEnum):
    """Why a pull is stale: the values of the label `reason`. The first one that holds, in this order, is given."""

    ORPHANED = "orphaned"
    EXPORTER_UNREACHABLE = "exporter_unreachable"
    NO_PROGRESS = "no_progress"
    UNPACK_NO_PROGRESS = "unpack_no_progress"
    REMOTE_NO_PROGRESS = "remote_no_progress"
    SLOW = "slow"


class Cause(StrEnum):
    """What blocks a wait: the values of the label `cause`."""

    QUEUE = "queue"
    REGISTRY = "registry"
    SLOW_DOWNLOAD = "slow_download"
    SLOW_UNPACK = "slow_unpack"
    STALLED = "stalled"
    SHARED_LAYER = "shared_layer"
    BACKOFF = "backoff"
    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    NO_EXPORTER = "no_exporter"
    PROGRESSING = "progressing"


class FailureReason(StrEnum):
    """The values of the label `reason` of `pulltrace_pod_pull_failures_total`."""

    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    TIMEOUT = "timeout"
    DNS = "dns"
    TLS = "tls"
    DISK_FULL = "disk_full"
    SIGNATURE = "signature"
    INVALID_NAME = "invalid_name"
    NEVER_PULL = "never_pull"
    KUBELET_RATE_LIMIT = "kubelet_rate_limit"
    CANCELED = "canceled"
    OTHER = "other"
