"""What to do about each cause, in a line. docs/causes.md has more about each."""

from collections.abc import Iterable, Mapping
from typing import Final

from pulltrace_kubectl.model.pulls import Wait

HARMLESS: Final = ("progressing", "queue", "shared_layer", "")
"""Causes that nobody has to do anything about."""

ADVICE: Final[Mapping[str, str]] = {
    "credentials": "the registry refuses the pod: look at its imagePullSecrets, for this registry and not expired",
    "not_found": "there is no such image: look for a slip in name and tag, that it was pushed, and for this platform",
    "rate_limited": "too many pulls for the registry or kubelet: use an account, a mirror or a cache; spread roll-outs",
    "registry": "the registry does not answer: do other nodes reach it? Else look at this one's DNS, proxy and network",
    "backoff": "the last attempt failed and the kubelet pauses: 'kubectl describe pod' tells why",
    "stalled": "nothing moves; the kubelet tries again after five minutes. Look at proxies between node and registry",
    "slow_unpack": "all bytes are there and unpacking stands still: look at the node's disk",
    "slow_download": "other nodes are four times faster: look at this node's network, not at the registry",
    "shared_layer": "nothing is wrong: another pull on the node fetches the same layers",
    "no_exporter": "no exporter answers for the node: is its pod running there, and can the aggregator reach it?",
    "queue": "the node pulls one image at a time and another is ahead; serializeImagePulls=false allows more",
    "progressing": "nothing blocks, it takes its time",
}

REASONS: Final[Mapping[str, str]] = {
    "disk_full": "the node has no room for the image: free its image store or enlarge it",
    "signature": "a policy of the node refuses the image: is it signed as the policy wants?",
    "invalid_name": "the image's name is none: mend the reference in the pod",
    "never_pull": "imagePullPolicy is Never and the node has not got the image: bring it there first",
    "kubelet_rate_limit": "the kubelet's own limit: raise registryPullQPS and registryBurst",
    "dns": "the node cannot look up the registry's name: look at the node's DNS",
    "tls": "the node does not trust the registry: look at its certificate, and at the node's clock and trust store",
    "timeout": "the registry answered too late: look at the network between node and registry",
    "registry_unavailable": "the registry cannot be reached or fails: do other nodes reach it?",
    "canceled": "the download stood still for too long, or containerd was restarted; the kubelet tries again by itself",
}

FINAL_REASONS: Final = ("unauthorized", "not_found", "invalid_name", "never_pull", "signature")
"""Why an attempt failed, where the next one fails as well until somebody mends it."""
FINAL_CAUSES: Final = ("credentials", "not_found")


def advice(cause: str, reason: str = "") -> str:
    """The line for a cause; the reason of a failure says more, where it is known."""
    return REASONS.get(reason) or ADVICE.get(cause, "")


def advised(waits: Iterable[Wait]) -> Mapping[str, str]:
    """What to do, by cause, and by reason where that says more. Waits that are over or progress are left out."""
    found: dict[str, str] = {}
    for wait in waits:
        if wait.over or wait.cause in ("progressing", ""):
            continue
        name = f"{wait.cause} ({wait.reason})" if wait.reason in REASONS else wait.cause
        line = advice(wait.cause, wait.reason)
        if line and name not in found:
            found[name] = line
    return found


def failed_for_good(wait: Wait) -> bool:
    """Whether the image will not come before somebody mends something."""
    if wait.phase not in ("failed", "backoff"):
        return False
    return wait.reason in FINAL_REASONS if wait.reason else wait.cause in FINAL_CAUSES
