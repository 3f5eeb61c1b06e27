"""The role for users of `kubectl pulltrace`: off unless asked for, and exactly what the client needs."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pulltrace_chart.rendering import Object
from rig import needs
from rig.chart_values import Values
from rig.charts import new_helm, of_kind, one, rights
from rig.client_world import NAMESPACE, SERVICE, Answering, World, aggregator, exporter, pull, wait, world
from rig.kubernetes import objects
from rig.kubernetes.api import Api, Rule
from rig.kubernetes.real import api_server

LAYER = {"index": 0, "digest": "sha256:0", "sizeBytes": 9, "downloadedBytes": 3, "state": "downloading"}


def viewer(shards: int = 1, **more: bool) -> Object:
    values: Values = {
        "namespaceOverride": NAMESPACE,
        "aggregator": {"shards": shards},
        "rbac": {"viewer": {"create": True, **more}},
    }
    return one(new_helm(values), "ClusterRole", "-viewer")


def given(shards: int = 1, **more: bool) -> list[Rule]:
    return rights([viewer(shards, **more)])


@pytest.fixture
def cluster() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="ptv-") as folder, world(Path(folder)) as made:
        made.cluster.api.create(objects.pod("shop", "web"))
        made.exporter("node-1", Answering(exporter("node-1", pull("web", layers=[LAYER]))))
        yield made


def shards(count: int) -> Iterable[Answering]:
    return [Answering(aggregator([wait("web", pull=pull("web"))])) for _ in range(count)]


@pytest.mark.unit
def test_there_is_none_unless_it_is_asked_for() -> None:
    roles = of_kind(new_helm({}), "ClusterRole")
    assert [each["metadata"]["name"].endswith("-viewer") for each in roles] == [False]


@pytest.mark.unit
def test_it_is_given_to_everybody_who_may_view_only_where_that_is_wanted() -> None:
    label = "rbac.authorization.k8s.io/aggregate-to-view"
    assert label not in viewer()["metadata"]["labels"]
    assert viewer(aggregateToView=True)["metadata"]["labels"][label] == "true"


@pytest.mark.unit
def test_it_gives_no_right_to_write_and_reaches_nothing_but_the_aggregator() -> None:
    for found in (given(), given(shards=3)):
        assert {rule.verbs for rule in found} == {("get",), ("list",)}
        proxied = [rule for rule in found if rule.resource.endswith("/proxy")]
        assert proxied
        assert all(name.removeprefix("https:").startswith(SERVICE) for rule in proxied for name in rule.names)
        assert all(rule.names for rule in proxied)


@pytest.mark.unit
def test_network_policies_let_the_api_server_in_where_its_addresses_are_known() -> None:
    values: Values = {"networkPolicy": {"apiServer": {"cidrs": ["192.0.2.1/32"]}}}
    peer = {"ipBlock": {"cidr": "192.0.2.1/32"}}
    for viewing, known in ((False, False), (True, True)):
        policy = one(new_helm({**values, "rbac": {"viewer": {"create": viewing}}}), "NetworkPolicy", "-aggregator")
        assert (peer in policy["spec"]["ingress"][0]["from"]) is known


@pytest.mark.contract
@pytest.mark.parametrize("count", [1, 2])
def test_the_client_works_with_these_rights(cluster: World, count: int) -> None:
    cluster.aggregator(*shards(count))
    cluster.log_in(cluster.cluster.user(given(count)))
    done = cluster.client("web")
    assert (done.returncode, done.stderr) == (0, "")
    assert "layers are not known: you may not get pods/proxy" in done.stdout
    cluster.log_in(cluster.cluster.user(given(count, exporters=True)))
    done = cluster.client("web")
    assert (done.returncode, done.stderr) == (0, "")
    assert "LAYER" in done.stdout


@pytest.mark.contract
def test_the_client_misses_each_of_them(cluster: World) -> None:
    cluster.aggregator(*shards(1))
    for missing in ("services", "pods", "services/proxy"):
        cluster.log_in(cluster.cluster.user(rule for rule in given() if rule.resource != missing))
        done = cluster.client("web")
        assert done.returncode == 1
        assert missing in done.stderr


@pytest.mark.integration
def test_a_real_api_server_gives_these_rights_and_no_more() -> None:
    if reason := api_server.reason_missing():
        needs.miss(reason)
    with api_server.ApiServer() as running:
        running.api.create(objects.namespace(NAMESPACE))
        running.api.apply(*objects.account(NAMESPACE, "user", viewer()["rules"]))
        with closing(Api(running.url, running.ca_file, token=running.api.token(NAMESPACE, "user"))) as user:
            assert user.may(proxy("services", f"{SERVICE}:10302", f"https:{SERVICE}:10302"))
            assert not any(user.may(proxy("services", name)) for name in ("other:80", f"{SERVICE}:9999"))
            assert not user.may(proxy("pods", "web"))


def proxy(resource: str, *names: str) -> Rule:
    return Rule(("get",), f"{resource}/proxy", "", NAMESPACE, names)
