"""The chart's objects on a real API server, and the aggregator there with exactly the rights that they give it."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pulltrace_chart import rendering
from pulltrace_chart.places import MANIFESTS
from pulltrace_chart.rendering import Object
from rig import needs
from rig.aggregator import RunningAggregator
from rig.chart_values import VARIANTS, Values
from rig.charts import FOREIGN, new_helm, of_kind, one, pod_specs, rights
from rig.kubernetes import objects
from rig.kubernetes.api import Api, Rule, kubeconfig
from rig.kubernetes.fake import FakeCluster
from rig.kubernetes.real import api_server
from rig.scrape import Scrape
from rig.web import wait_until

AGGREGATOR = "pulltrace-aggregator"
TEAMS = ("team-a", "team-b")
NAMED = ("nodes", "123", "456", "789", "true")
"""Further namespaces that variants of the values name."""
numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[api_server.ApiServer]:
    if reason := api_server.reason_missing():
        needs.miss(reason)
    with api_server.ApiServer() as running:
        for name in (*TEAMS, *NAMED, "other"):
            running.api.create(objects.namespace(name))
        yield running


def install(api: Api, namespace: str, values: Values) -> tuple[Object, ...]:
    """Create what the server knows, in a namespace that begins so; returns all that was rendered."""
    namespace = f"{namespace}-{next(numbers)}"
    api.create(objects.namespace(namespace))
    found = new_helm({**values, "namespaceOverride": namespace})
    for item in found:
        if item["kind"] not in FOREIGN and item["metadata"].get("namespace"):
            api.create(item)
    for item in of_kind(found, "ClusterRole", "ClusterRoleBinding"):
        api.create(item)
    return found


def account_token(api: Api, found: Iterable[Object]) -> str:
    """A token of the account that the aggregator runs as."""
    account = one(found, "ServiceAccount", AGGREGATOR)["metadata"]
    return api.token(account["namespace"], account["name"])


def log_in(config: Path, cluster: FakeCluster | api_server.ApiServer, token: str) -> str:
    """The aggregator's flag for a file by which it uses the cluster with this token."""
    config.write_text(kubeconfig(cluster.url, cluster.ca_file, token=token))
    return f"--kubeconfig={config}"


def arguments(found: Iterable[Object], *without: str) -> list[str]:
    """The aggregator's as rendered but for where it listens."""
    args: list[str] = pod_specs(found)[AGGREGATOR]["containers"][0]["args"]
    left_out = ("--web.listen-address=", *without)
    return [each for each in args if not each.startswith(left_out)]


def up(program: RunningAggregator) -> float:
    return Scrape.parse(program.metrics()).total("pulltrace_aggregator_kubernetes_up")


def said(program: RunningAggregator, words: str) -> bool:
    return any(words in line.get("error", "") for line in program.logged() if line["level"] == "warn")


@pytest.mark.integration
def test_the_api_server_accepts_what_is_rendered(cluster: api_server.ApiServer) -> None:
    for name, values in VARIANTS.items():
        if name != "renamed":  # its namespace is its own
            install(cluster.api, f"v-{name}", values)


@pytest.mark.integration
def test_the_api_server_accepts_the_plain_manifests(cluster: api_server.ApiServer) -> None:
    (kustomization,) = rendering.objects((MANIFESTS / "kustomization.yaml").read_text())
    for name in kustomization["resources"]:
        for item in rendering.objects((MANIFESTS / name).read_text()):
            cluster.api.create(item)


@pytest.mark.integration
def test_the_aggregator_works_with_its_rights_and_misses_each_of_them(
    cluster: api_server.ApiServer, tmp_path: Path
) -> None:
    found = install(cluster.api, "whole", {})
    # This server has no EndpointSlices of version 1.
    args = arguments(found, "--exporter.service=")
    token = account_token(cluster.api, found)
    login = log_in(tmp_path / "kubeconfig", cluster, token)

    def run(name: str) -> RunningAggregator:
        return RunningAggregator(tmp_path / name, *args, login)

    with run("whole.log") as program:
        program.wait_ready()
        wait_up(program)
        pod = leaves_pending(cluster.api, program)
        wait_until(lambda: not any(each["pod"] == pod for each in waiting(program)), 30, program.process.tail)
        assert not said(program, "the right to ")

    (role,) = of_kind(found, "ClusterRole")
    with closing(Api(cluster.url, cluster.ca_file, token=token)) as account:
        # A node is read only when its exporter is missed.
        for right in (each for each in rights([role]) if each.resource != "nodes"):
            resource, (verb,) = right.resource, right.verbs
            cluster.api.patch(role, {"rules": without(role, resource, verb)})
            wait_lost(account, right)
            with run(f"{verb}-{resource}.log") as program:
                if verb == "get":
                    leaves_pending(cluster.api, program)
                wait_said(program, f"the right to {verb} {resource} in ")
                if verb != "get":
                    wait_up(program, 0)


def wait_up(program: RunningAggregator, value: int = 1) -> None:
    wait_until(lambda: up(program) == value, 30, program.process.tail)


def wait_said(program: RunningAggregator, words: str) -> None:
    wait_until(lambda: said(program, words), 30, program.process.tail)


def wait_lost(account: Api, right: Rule) -> None:
    """The server learns of its own roles by a watch, a moment later."""
    wait_until(lambda: not account.may(right), 30, lambda: f"{right} is still there")


def without(role: Object, resource: str, verb: str) -> list[Object]:
    return [
        {**rule, "verbs": [each for each in rule["verbs"] if (rule["resources"], each) != ([resource], verb)]}
        for rule in role["rules"]
    ]


def waiting(program: RunningAggregator) -> list[Object]:
    pods: list[Object] = program.view()["pods"]
    return [pod for pod in pods if pod["phase"] != "pulled"]


def leaves_pending(api: Api, program: RunningAggregator) -> str:
    """A pod that waits for its image and then runs, without an event that says so: a look has to tell."""
    name = f"app-{next(numbers)}"
    pod = api.create(objects.pod("team-a", name))
    api.set_status(pod, phase="Pending", containerStatuses=[objects.waiting()])
    api.create(objects.event(pod, "Pulling", 'Pulling image "example.org/team/app:1"'))
    program.wait(lambda view: any(each["pod"] == name for each in view["pods"]))
    api.set_status(pod, phase="Running", containerStatuses=[objects.running()])
    return name


@pytest.mark.integration
def test_with_namespaces_listed_roles_there_are_enough(cluster: api_server.ApiServer, tmp_path: Path) -> None:
    found = install(cluster.api, "namespaced", {"aggregator": {"namespaces": ["other"]}})
    assert not of_kind(found, "ClusterRole")
    login = log_in(tmp_path / "kubeconfig", cluster, account_token(cluster.api, found))
    with RunningAggregator(tmp_path / "log", *arguments(found, "--exporter.service="), login) as program:
        program.wait_ready()
        wait_up(program)


@pytest.mark.contract
def test_the_rendered_rights_are_all_that_slices_need_too(tmp_path: Path) -> None:
    found = new_helm({})
    slices = [rule for rule in rights(found) if rule.resource == "endpointslices"]
    assert [rule.verbs for rule in slices] == [("list",), ("watch",)]
    with FakeCluster() as fake:
        fake.api.create(objects.namespace("monitoring"))
        for missing in (None, *slices):
            name = missing.verbs[0] if missing else "whole"
            token = fake.user(rule for rule in rights(found) if rule != missing)
            login = log_in(tmp_path / f"{name}.json", fake, token)
            with RunningAggregator(tmp_path / f"{name}.log", *arguments(found), login) as program:
                if missing is None:
                    wait_up(program)
                else:
                    wait_said(program, f"the right to {name} endpointslices.discovery.k8s.io in namespace monitoring")
                    wait_up(program, 0)
