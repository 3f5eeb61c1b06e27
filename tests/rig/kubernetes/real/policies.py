"""NetworkPolicies, enforced: this kernel has no queue for packets, which `kube-network-policies` needs.

All nodes share a network namespace, so that one table of nftables holds for all pods. It is made of the policies, pods
and namespaces of one moment. What policies of this project use is known: labels, blocks of addresses, TCP ports.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rig.kubernetes.api import Api, Object
from rig.kubernetes.real.control_plane import ControlPlane

TABLE = "policies"
NETWORKING = "/apis/networking.k8s.io/v1/networkpolicies"
EVERYWHERE = "0.0.0.0/0"
Pods = Sequence[Object]
Namespaces = Mapping[str, Mapping[str, str]]
"""Labels by name."""


@dataclass(frozen=True, slots=True)
class Direction:
    """The words of policies and of nftables for one direction, as the pod that is judged sees it."""

    name: str
    peers: str
    own: str
    other: str


DIRECTIONS = (Direction("Ingress", "from", "daddr", "saddr"), Direction("Egress", "to", "saddr", "daddr"))


@contextmanager
def enforced(plane: ControlPlane, api: Api) -> Iterator[None]:
    """Refuse meanwhile what the policies do not allow, with a reset that a client sees at once."""
    nft = plane.path / "nft"
    script = ruleset(api.items(NETWORKING), api.items("/api/v1/pods"), api.items("/api/v1/namespaces"))
    plane.enclosure.run([nft, "-f", "-"], text=script)
    try:
        yield
    finally:
        plane.enclosure.run([nft, "delete", "table", "ip", TABLE])


def ruleset(policies: Iterable[Object], pods: Iterable[Object], namespaces: Iterable[Object]) -> str:
    """The table. A host may reach the pods on it; answers are let through, requests are judged packet by packet."""
    labels = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in namespaces}
    running = (pod for pod in pods if pod["status"].get("phase") == "Running" and "podIP" in pod["status"])
    known = [pod for pod in running if not pod["spec"].get("hostNetwork")]
    chains, jumps = [], []
    for direction in DIRECTIONS:
        judged = [each for each in policies if direction.name in each["spec"]["policyTypes"]]
        chain = direction.name.lower()
        rules = [rule for policy in judged for rule in _rules(policy, direction, known, labels)]
        chains.append(_chain(chain, [*rules, "meta l4proto tcp reject with tcp reset", "drop"]))
        if isolated := {address for policy in judged for address in _selected(policy, known, labels)}:
            jumps.append(f"ip {direction.own} {_set(isolated)} jump {chain}")
    for hook in ("forward", "input"):
        head = f"type filter hook {hook} priority 10;"
        chains += [_chain(hook, [head, "ct direction reply accept", *jumps])]
    return f"table ip {TABLE} {{\n{''.join(chains)}}}\n"


def _rules(policy: Object, direction: Direction, pods: Pods, namespaces: Namespaces) -> Iterator[str]:
    """What lets through what a policy allows."""
    here, selected = policy["metadata"]["namespace"], _selected(policy, pods, namespaces)
    for rule in policy["spec"].get(direction.name.lower(), ()):
        peers = rule.get(direction.peers, ())
        allowed = {address for peer in peers for address in _addresses(peer, here, pods, namespaces)}
        if not selected or (peers and not allowed):
            continue
        ports = {str(port["port"]) for port in rule.get("ports", ())}
        match = f"tcp dport {_set(ports)}" if ports else ""
        ways = f"ip {direction.own} {_set(selected)} ip {direction.other} {_set(allowed or {EVERYWHERE})}"
        yield f"{ways} {match} return"


def _selected(policy: Object, pods: Pods, namespaces: Namespaces) -> set[str]:
    """The pods that a policy is about."""
    peer = {"podSelector": policy["spec"]["podSelector"]}
    return _addresses(peer, policy["metadata"]["namespace"], pods, namespaces)


def _addresses(peer: Object, here: str, pods: Pods, namespaces: Namespaces) -> set[str]:
    """What a peer of a policy in the namespace `here` stands for."""
    if "ipBlock" in peer:
        return {peer["ipBlock"]["cidr"]}
    spaces = {here}
    if "namespaceSelector" in peer:
        spaces = {name for name, labels in namespaces.items() if _selects(peer["namespaceSelector"], labels)}
    return {
        pod["status"]["podIP"]
        for pod in pods
        if pod["metadata"]["namespace"] in spaces
        and _selects(peer.get("podSelector", {}), pod["metadata"].get("labels", {}))
    }


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    if unknown := selector.keys() - {"matchLabels"}:
        raise NotImplementedError(f"a policy selects by {unknown}")
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def _set(members: Iterable[str]) -> str:
    return f"{{ {', '.join(sorted(members))} }}"


def _chain(name: str, lines: Iterable[str]) -> str:
    body = "\n".join(lines)
    return f"chain {name} {{\n{body}\n}}\n"
