from collections.abc import Sequence

import pytest

from pulltrace_aggregator.exporters.discovery import Discovery, Target
from pulltrace_aggregator.model.cluster import Endpoint, SliceGone, SliceSeen
from pulltrace_aggregator.sharding import Shard

pytestmark = pytest.mark.unit


def an_endpoint(node: str, address: str, *, ready: bool = True, port: int = 10301) -> Endpoint:
    return Endpoint(node, address, port, ready)


def a_slice(name: str, *endpoints: Endpoint) -> SliceSeen:
    return SliceSeen("monitoring", name, f"uid-{name}", endpoints)


def found_in(*slices: SliceSeen, targets: Sequence[str] = (), shard: Shard | None = None) -> Discovery:
    discovery = Discovery([Target.parse(target) for target in targets], shard)
    for each in slices:
        discovery.receive(each)
    return discovery


def urls(discovery: Discovery, *, https: bool = False) -> dict[str, str]:
    return {node: target.base_url for node, target in discovery.resolve(https=https).targets.items()}


def test_every_endpoint_with_a_node_is_a_target_ready_or_not() -> None:
    discovery = found_in(
        a_slice("a", an_endpoint("n1", "10.0.0.1"), an_endpoint("n2", "10.0.0.2", ready=False)),
        a_slice("b", an_endpoint("n3", "fd00::3", port=9)),
    )
    assert urls(discovery) == {"n1": "http://10.0.0.1:10301", "n2": "http://10.0.0.2:10301", "n3": "http://[fd00::3]:9"}


def test_https_is_for_those_that_kubernetes_names() -> None:
    discovery = found_in(a_slice("a", an_endpoint("n3", "10.0.0.3")), targets=["n1=http://a:1", "n2=https://b"])
    assert urls(discovery, https=True) == {"n1": "http://a:1", "n2": "https://b", "n3": "https://10.0.0.3:10301"}


def test_a_slice_changes_and_goes() -> None:
    discovery = found_in(a_slice("a", an_endpoint("n1", "10.0.0.1")))
    discovery.receive(a_slice("a", an_endpoint("n1", "10.0.0.9"), an_endpoint("n2", "10.0.0.2")))
    assert urls(discovery) == {"n1": "http://10.0.0.9:10301", "n2": "http://10.0.0.2:10301"}
    discovery.receive(SliceGone("monitoring", "a", "uid-a"))
    discovery.receive(SliceGone("monitoring", "unheard of", "uid"))
    assert urls(discovery) == {}


def test_a_shard_takes_its_nodes_only() -> None:
    names = [f"node-{number}" for number in range(20)]
    targets = [f"{name}=http://a:1" for name in names[:10]]
    slices = a_slice("a", *[an_endpoint(name, "10.0.0.1") for name in names[10:]])
    shares = [set(urls(found_in(slices, targets=targets, shard=Shard(index, 2)))) for index in range(2)]
    assert shares[0] | shares[1] == set(names)
    assert not shares[0] & shares[1]
    assert all(shares)


def test_while_an_exporter_is_replaced_the_ready_one_is_read() -> None:
    discovery = found_in(a_slice("a", an_endpoint("n1", "10.0.0.9"), an_endpoint("n1", "10.0.0.1", ready=False)))
    assert urls(discovery) == {"n1": "http://10.0.0.9:10301"}
    assert not discovery.resolve(https=False).rivals
    discovery.receive(a_slice("a", an_endpoint("n1", "10.0.0.9", ready=False), an_endpoint("n1", "10.0.0.1")))
    assert urls(discovery) == {"n1": "http://10.0.0.1:10301"}


def test_both_families_of_addresses_are_one_exporter() -> None:
    discovery = found_in(a_slice("v6", an_endpoint("n1", "fd00::1")), a_slice("v4", an_endpoint("n1", "10.0.0.1")))
    assert urls(discovery) == {"n1": "http://10.0.0.1:10301"}
    assert not discovery.resolve(https=False).rivals


def test_the_exporter_in_use_stays_and_the_second_is_told() -> None:
    discovery = found_in(a_slice("a", an_endpoint("n1", "10.0.0.5")))
    assert urls(discovery) == {"n1": "http://10.0.0.5:10301"}
    discovery.receive(a_slice("b", an_endpoint("n1", "10.0.0.1"), an_endpoint("n1", "10.0.0.7")))
    found = discovery.resolve(https=False)
    assert found.targets["n1"].base_url == "http://10.0.0.5:10301"
    assert found.rivals == {"n1": ("http://10.0.0.1:10301", "http://10.0.0.7:10301")}
    discovery.receive(SliceGone("monitoring", "a", "uid"))
    assert urls(discovery) == {"n1": "http://10.0.0.1:10301"}


def test_the_same_endpoint_in_two_slices_is_one() -> None:
    slices = [a_slice(name, an_endpoint("n1", "10.0.0.1")) for name in "ab"]
    assert not found_in(*slices).resolve(https=False).rivals


def test_a_flag_goes_before_kubernetes() -> None:
    discovery = found_in(a_slice("a", an_endpoint("n1", "10.0.0.1")), targets=["n1=http://chosen:1"])
    found = discovery.resolve(https=False)
    assert found.targets["n1"].base_url == "http://chosen:1"
    assert found.rivals == {"n1": ("http://10.0.0.1:10301",)}


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        (Target("n", "http", "a", 80), "a"),
        (Target("n", "http", "a", 443), "a:443"),
        (Target("n", "https", "a", 443), "a"),
        (Target("n", "http", "fd00::1", 80), "[fd00::1]"),
        (Target("n", "https", "fd00::1", 1), "[fd00::1]:1"),
    ],
)
def test_the_header_host_leaves_the_usual_port_out(target: Target, authority: str) -> None:
    assert target.authority == authority
