"""Alerts about pods whose pulls fail again and again, one for each kind of reason."""

from collections.abc import Iterator

from pulltrace_alerts.joins import RECENT
from pulltrace_alerts.levels import NAMESPACE_REGISTRY, WAIT_CAUSE, names
from pulltrace_alerts.model import Alert, Group
from pulltrace_alerts.rates import FAILURES
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.texts import VALUE_TIME, WAITS, verdict


def group(settings: Settings) -> Group:
    """The group of these alerts."""
    return Group("pulltrace.alerts.failures", tuple(_alerts(settings)))


def recently_failed(settings: Settings, labels: tuple[str, ...], reasons: str) -> str:
    """Where pulls failed for one of the reasons of late.

    A series begins with its first failure: that is no growth. New is one that has been there for less long than its
    aggregator; after a gap in the data none is.
    """
    window = settings.duration(settings.failing_window)
    by, counter = f"sum by ({names(labels)})", f'{FAILURES}{{reason=~"{reasons}"}}'
    whole = f"max by (cluster, instance) (count_over_time(pulltrace_aggregator_build_info[{window}]))"
    new = f"{counter} and count_over_time({counter}[{window}]) < on (cluster, instance) group_left () {whole}"
    return f"({by} (increase({counter}[{window}])) > 0\nor {by} ({new}))"


def in_namespace(settings: Settings, reasons: str) -> str:
    """The reason is counted by namespace and registry: this narrows a pod's verdict down."""
    on = f"on ({names(NAMESPACE_REGISTRY)})"
    return f"{on} {recently_failed(settings, NAMESPACE_REGISTRY, reasons)}"


def _failing(settings: Settings, name: str, cause: str, filtered: str, summary: str, next_step: str) -> Alert:
    return Alert(
        name,
        "warning",
        settings.failing_for,
        WAIT_CAUSE,
        f'{RECENT}{{cause="{cause}"}}{filtered}',
        summary,
        f"{WAITS} for {VALUE_TIME}, and its pull fails again and again. {verdict(cause)} Next: {next_step}",
    )


def _alerts(settings: Settings) -> Iterator[Alert]:
    pod = "pod {{ $labels.namespace }}/{{ $labels.pod }}"
    registry = "{{ $labels.registry }}"
    yield _failing(
        settings,
        "PulltraceImagePullUnauthorized",
        "credentials",
        "",
        f"{registry} refuses the image of {pod}.",
        "check the imagePullSecrets of the pod and of its service account: do they exist in the namespace, are they for"
        " this registry, have they expired? A registry may also answer so for a repository that does not exist.",
    )
    yield _failing(
        settings,
        "PulltraceImageNotFound",
        "not_found",
        "",
        f"There is no image {{{{ $labels.image }}}} for {pod}.",
        "check repository and tag for a slip, that the image was pushed, and that it exists for this node's platform.",
    )
    yield _failing(
        settings,
        "PulltraceImagePullRateLimited",
        "rate_limited",
        "",
        f"{registry} limits the pulls of {pod}.",
        "pull with an account, or through a cache in the cluster; where the kubelet itself limits, raise"
        " registryPullQPS and registryBurst.",
    )
    yield _failing(
        settings,
        "PulltraceNodeDiskFull",
        "backoff",
        f"\nand {in_namespace(settings, 'disk_full')}",
        f"Node {{{{ $labels.node }}}} may have no room for the image of {pod}.",
        f"look for no space left on device in the pod's events: failures are counted for {registry} and the namespace,"
        " so that it may be the node of another pod in back-off. Where it is, free or enlarge the image store (crictl"
        " rmi --prune, crictl df); see what else fills the disk.",
    )
    yield _failing(
        settings,
        "PulltraceRegistryTlsFailing",
        "registry",
        f"\nand {in_namespace(settings, 'tls')}",
        f"TLS with {registry} fails for {pod}.",
        "check the registry's certificate (expired, wrong name, unknown issuer) and the node's clock and trust store.",
    )
    yield _failing(
        settings,
        "PulltraceRegistryDnsFailing",
        "registry",
        f"\nand {in_namespace(settings, 'dns')}",
        f"The name {registry} is not resolved for {pod}.",
        "resolve the name on the node itself (it does not use the cluster's DNS); check its resolv.conf and name"
        " servers, and the spelling of the registry.",
    )
    yield _failing(
        settings,
        "PulltraceImagePullFailing",
        "backoff",
        f"\nunless {in_namespace(settings, 'disk_full')}",
        f"The image of {pod} cannot be pulled.",
        "read the pod's events (kubectl describe pod): no known kind of failure explains it.",
    )
