"""What blocks a waiting image: a table of rules, of which the first that holds gives the cause. Pure.

A download is slow in comparison with those of other nodes; `PeerRates` compares them.

Run as a module, it writes the reference page.
"""

import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Final

from pulltrace.model.pull import Phase, Pull
from pulltrace_aggregator.model.states import Cause, FailureReason, PodPhase, StaleReason

SLOW_SHARE: Final = 0.25
"""Below this part of the median of its peers a download is slow."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the cause depends on.

    `failure` is why the last attempt failed, None where that is not known. `silent` means that no exporter answers for
    the node, `runtime_up` that containerd answers its exporter. `stale` is the reason of the matched pull. `unresolved`
    means that the registry has not answered for `--stale.resolving`. `behind` is the reference at the head of the
    kubelet's queue, for an image that is queued. `shared` means that a pull that began before also fetches all layers
    that are on their way. `remote` means that a remote snapshotter fetches layers unseen. `share` is the node's rate as
    a part of the median of its peers, None without peers.
    """

    phase: PodPhase
    failure: FailureReason | None = None
    silent: bool = False
    runtime_up: bool = True
    stale: StaleReason | None = None
    unresolved: bool = False
    behind: str = ""
    shared: bool = False
    remote: bool = False
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to come to a cause: `when` in words, `holds` in code, and what a person can do."""

    cause: Cause
    when: str
    holds: Callable[[Facts], bool]
    advice: str


FAILING: Final = (PodPhase.BACKOFF, PodPhase.FAILED)


def _failed_for(*reasons: FailureReason) -> Callable[[Facts], bool]:
    return lambda facts: facts.phase in FAILING and facts.failure in reasons


def _left_behind(facts: Facts) -> bool:
    """Whether no failure is known and the matched pull is orphaned."""
    return facts.phase is PodPhase.FAILED and facts.failure is None and facts.stale is StaleReason.ORPHANED


RULES: Final = (
    Rule(
        Cause.CREDENTIALS,
        "The last attempt failed because the registry refused it (`unauthorized`).",
        _failed_for(FailureReason.UNAUTHORIZED),
        "Look at the pod's `imagePullSecrets` and those of its service account: does the secret exist in this"
        " namespace, is it for this registry, has its password or token expired? On cloud registries look at the node's"
        " own identity and at the kubelet's credential provider. A registry may also answer so for a repository that"
        " does not exist.",
    ),
    Rule(
        Cause.NOT_FOUND,
        "The last attempt failed because there is no such image: `not_found`, `invalid_name`, or `never_pull` with the"
        " image not on the node.",
        _failed_for(FailureReason.NOT_FOUND, FailureReason.INVALID_NAME, FailureReason.NEVER_PULL),
        "Check repository and tag for a slip, that the image was pushed, and that it exists for this node's platform."
        " With `imagePullPolicy: Never` the image has to be brought to the node first.",
    ),
    Rule(
        Cause.RATE_LIMITED,
        "The last attempt failed because of a limit: the registry's (`rate_limited`) or the kubelet's own"
        " (`kubelet_rate_limit`).",
        _failed_for(FailureReason.RATE_LIMITED, FailureReason.KUBELET_RATE_LIMIT),
        "Pull with an account, through a mirror or a cache in the cluster; spread the roll-out. For the kubelet's own"
        " limit raise `registryPullQPS` and `registryBurst`.",
    ),
    Rule(
        Cause.REGISTRY,
        "The last attempt failed because the registry could not be reached or did not work: `registry_unavailable`,"
        " `timeout`, `dns` or `tls`.",
        _failed_for(FailureReason.REGISTRY_UNAVAILABLE, FailureReason.TIMEOUT, FailureReason.DNS, FailureReason.TLS),
        "See whether other nodes reach the registry. If none does, it is the registry or its certificate; if only this"
        " one does not, it is the node's network, DNS, proxy, clock or trust store.",
    ),
    Rule(
        Cause.BACKOFF,
        "The last attempt failed for another reason, or for an unknown one; the kubelet pauses before the next attempt."
        " If all that is known is an orphaned pull, the cause is `stalled`.",
        lambda facts: facts.phase in FAILING and not _left_behind(facts),
        "Read the pod's events (`kubectl describe pod`). `disk_full`: free the node's image store or enlarge it."
        " `signature`: the image is refused by a policy of the node. `canceled`: the download stood still for"
        " containerd's own time limit, or containerd was restarted; the kubelet tries again by itself.",
    ),
    Rule(
        Cause.NO_EXPORTER,
        "No exporter answers for the node: what is shown is the last that was known.",
        lambda facts: facts.silent,
        "Is an exporter's pod running on the node, or do taints and node selectors keep it away? Does a network policy"
        " or a wrong certificate keep the aggregator out? If the node itself is down, nothing is pulled there.",
    ),
    Rule(
        Cause.STALLED,
        "The exporter cannot read containerd.",
        lambda facts: not facts.runtime_up,
        "Look at containerd on the node (`systemctl status containerd`) and at the exporter's log.",
    ),
    Rule(
        Cause.STALLED,
        "Neither bytes nor layers have moved for `--stale.no-progress`, or the pull is orphaned: containerd or its"
        " client was restarted, and nobody continues it.",
        lambda facts: facts.stale is StaleReason.NO_PROGRESS or _left_behind(facts),
        "containerd gives up after five minutes without a byte, and the kubelet tries again. If it comes back, look at"
        " the path to the registry or its mirror: proxies that cut long answers, a full conntrack table, path MTU.",
    ),
    Rule(
        Cause.STALLED,
        "A remote snapshotter fetches the image, and no layer was finished for `--stale.remote`. What it fetches is not"
        " seen in containerd.",
        lambda facts: facts.stale is StaleReason.REMOTE_NO_PROGRESS,
        "Look at the log and the metrics of the snapshotter on the node. For SOCI the exporter can show the bytes:"
        " `--soci.directory`, in the chart `exporter.soci.enabled`.",
    ),
    Rule(
        Cause.SLOW_UNPACK,
        "All bytes are there, and no layer was unpacked for `--stale.unpack`.",
        lambda facts: facts.stale is StaleReason.UNPACK_NO_PROGRESS,
        "Look at the node's disk: throughput, latency, credits of a cloud volume, another pod that writes much. Very"
        " large single layers take long everywhere; split them.",
    ),
    Rule(
        Cause.SHARED_LAYER,
        "A pull that began earlier on this node also fetches all the layers that are on their way. A layer is fetched"
        " once.",
        lambda facts: facts.shared,
        "Nothing is wrong: the image is ready with the other one. If that one is slow or stalled, look there.",
    ),
    Rule(
        Cause.SLOW_DOWNLOAD,
        "The node's rate is below a quarter of the median of the other nodes that pull the same digest or, without such"
        " nodes, of those that pull from the same registry.",
        lambda facts: facts.phase is PodPhase.DOWNLOADING and facts.share is not None and facts.share < SLOW_SHARE,
        "The registry is fast enough for others, so look at this node: bandwidth limits, a saturated or failing link,"
        " its distance to the registry or mirror, other traffic.",
    ),
    Rule(
        Cause.REGISTRY,
        "The registry has not answered for `--stale.resolving`.",
        lambda facts: facts.phase is PodPhase.RESOLVING and facts.unresolved,
        "See whether other nodes wait for the same registry. If all do, it is the registry; if only this one does, it"
        " is the node's network, DNS or proxy.",
    ),
    Rule(
        Cause.QUEUE,
        "Another image is ahead in the kubelet's queue.",
        lambda facts: facts.phase is PodPhase.QUEUED and bool(facts.behind),
        "See what is at the head of the queue (`behind` in `/v1/pulls`) and why that takes long. The kubelet pulls one"
        " image at a time by default: `serializeImagePulls: false` with `maxParallelImagePulls` (Kubernetes 1.27)"
        " allows more. Smaller images help too, and starting first what is needed first.",
    ),
    Rule(
        Cause.PROGRESSING,
        "A remote snapshotter (SOCI, stargz, nydus and others) fetches the image. containerd does not show that, so"
        " there are no bytes, no rate and no time left, only finished layers.",
        lambda facts: facts.remote,
        "Wait. For SOCI the exporter can show the bytes: `--soci.directory`, in the chart `exporter.soci.enabled`. For"
        " the others look at the snapshotter's own metrics.",
    ),
    Rule(
        Cause.PROGRESSING,
        "None of the above: nothing blocks the image, it is on its way.",
        lambda _: True,
        "Wait. If that is too slow although it is as fast as on other nodes: a smaller image, fewer new layers, or a"
        " nearer registry or cache.",
    ),
)
"""The most certain ones come first: what the kubelet reports as failed, then what gives no answer."""


def diagnose(facts: Facts) -> Cause:
    """The one cause."""
    return next(rule.cause for rule in RULES if rule.holds(facts))


# How fast others download

Group = tuple[str, str]
"""`digest` or `registry`, and which one."""


class PeerRates:
    """The present download rates of all nodes, in bytes per second."""

    def __init__(self) -> None:
        self._rates: dict[Group, dict[str, float]] = {}
        self._groups: dict[str, tuple[Group, ...]] = {}
        self._sorted: dict[Group, list[float]] = {}

    def update(self, node: str, pulls: Iterable[Pull]) -> None:
        """Replace what is known of a node; without pulls it is no longer a peer."""
        for group in self._groups.pop(node, ()):
            rates = self._rates[group]
            del rates[node]
            self._sorted.pop(group, None)
            if not rates:
                del self._rates[group]
        sums: defaultdict[Group, float] = defaultdict(float)
        for pull in pulls:
            if pull.phase is Phase.DOWNLOADING and pull.bytes_per_second is not None:
                for group in _groups_of(pull):
                    sums[group] += pull.bytes_per_second
        for group, rate in sums.items():
            self._rates.setdefault(group, {})[node] = rate
            self._sorted.pop(group, None)
        if sums:
            self._groups[node] = tuple(sums)

    def share(self, node: str, pull: Pull) -> float | None:
        """The node's rate as a part of the median of its peers; None when it has none.

        Peers are the other nodes that pull the same digest or, without such nodes, those that pull from its registry.
        """
        for group in _groups_of(pull):
            own = self._rates.get(group, {}).get(node)
            if own is not None and (median := self._median_of_others(group, own)) is not None:
                return own / median if median else None
        return None

    def _median_of_others(self, group: Group, own: float) -> float | None:
        rates = self._sorted.get(group)
        if rates is None:
            rates = self._sorted[group] = sorted(self._rates[group].values())
        return _median_without(rates, bisect_left(rates, own))


def _groups_of(pull: Pull) -> tuple[Group, Group]:
    """The closest peers first."""
    return ("digest", pull.key.digest), ("registry", pull.key.registry.lower())


def _median_without(rates: Sequence[float], left_out: int) -> float | None:
    """The median of sorted rates without one of them; None when no other is left."""
    count = len(rates) - 1
    if count < 1:
        return None
    lower, upper = (count - 1) // 2, count // 2
    return (rates[lower + (lower >= left_out)] + rates[upper + (upper >= left_out)]) / 2


# The reference page

WIDTH: Final = 120

_HEAD: Final = """\
# What blocks a waiting image

<!-- Generated from the table of rules by `make docs`: change the table. -->

For every image that a pod waits for, `pulltrace_pod_pull_blocked_by{cause}` gives one cause: that of the first rule
here that holds. An image that has come has no cause any more.
"""


def page() -> str:
    """The reference page of the rules, `docs/causes.md`."""
    return "\n".join((_HEAD, *(_section(number, rule) for number, rule in enumerate(RULES, 1))))


def _section(number: int, rule: Rule) -> str:
    when, advice = fill(rule.when, WIDTH), fill(f"**What to do.** {rule.advice}", WIDTH)
    return f"## {number}. `{rule.cause}`\n\n{when}\n\n{advice}\n"


if __name__ == "__main__":
    sys.stdout.write(page())
