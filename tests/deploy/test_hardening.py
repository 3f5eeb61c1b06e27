"""What the pods may do, in every variant."""

from pathlib import PurePosixPath

import pytest

from pulltrace_chart.places import CHART
from pulltrace_chart.rendering import Object
from pulltrace_exporter.config import ExporterConfig
from pulltrace_exporter.containerd.socket import KNOWN_SOCKETS
from rig.chart_values import CLIENTS, INTENTS, VARIANTS, Values, each_variant
from rig.charts import README, new_helm, of_kind, one, pod_specs, rights
from rig.kubernetes.api import Rule
from rig.pages import CHECKOUT

pytestmark = pytest.mark.unit

INTENTS_END = "image_manager/pulling"
MADE = {
    "kubelet-intents": (INTENTS_END, "exporter.kubeletIntents.enabled"),
    "soci": ("soci-snapshotter-grpc/unpack", "exporter.soci.enabled"),
}
"""Volumes that are made on nodes without them, and how the instructions name them."""
RUNTIMES = ("containerd", "k3s", "rke2", "k0s", "microk8s")


def host_paths(spec: Object) -> dict[str, Object]:
    """What is mounted of the node, by the volume's name."""
    return {volume["name"]: volume["hostPath"] for volume in spec.get("volumes", ()) if "hostPath" in volume}


def host_folders(spec: Object) -> set[str]:
    return {path["path"] for path in host_paths(spec).values()}


def ours(spec: Object) -> list[Object]:
    return [each for each in spec["containers"] if each["name"] != "beside"]


def argument(container: Object, flag: str) -> str:
    (found,) = (each for each in container["args"] if each.startswith(f"--{flag}="))
    return str(found.partition("=")[2])


@each_variant
def test_no_other_folder_of_the_node_is_mounted(values: Values) -> None:
    for name, spec in pod_specs(new_helm(values)).items():
        if not name.endswith("-exporter"):
            assert not host_paths(spec)
            continue
        (container,) = ours(spec)
        socket = PurePosixPath(argument(container, "containerd.address"))
        intents = argument(container, "kubelet.intents-directory")
        soci = {each.partition("=")[2] for each in container["args"] if each.startswith("--soci.directory=")}
        assert host_folders(spec) == {str(socket.parent)} | ({intents} if intents else set()) | soci
        assert all(PurePosixPath(folder).name == "unpack" for folder in soci)
        assert str(socket.parent) != "/"
        assert not intents or intents.endswith(INTENTS_END)


@each_variant
def test_mounts_of_the_node_are_read_only_and_in_their_place(values: Values) -> None:
    for spec in pod_specs(new_helm(values)).values():
        paths = host_paths(spec)
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            mounts = [mount for mount in container.get("volumeMounts", ()) if mount["name"] in paths]
            assert all(
                mount["readOnly"] is True and mount["mountPath"] == paths[mount["name"]]["path"] for mount in mounts
            )
            assert not any("mountPropagation" in mount for mount in mounts)


@each_variant
def test_no_pod_has_what_it_does_not_need(values: Values) -> None:
    for name, spec in pod_specs(new_helm(values)).items():
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in ours(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["privileged"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "hostPort" not in str(container.get("ports"))
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"memory"}


@each_variant
def test_only_the_exporter_is_root_and_has_no_token(values: Values) -> None:
    found = new_helm(values)
    for name, spec in pod_specs(found).items():
        exporter, test = name.endswith("-exporter"), name.endswith("-test")
        # The test names pods without address, where roles are made.
        assert spec["automountServiceAccountToken"] is (bool(of_kind(found, "Role")) if test else not exporter)
        assert spec["securityContext"]["runAsNonRoot"] is not exporter
        assert (spec["securityContext"]["runAsUser"] == 0) is exporter
    assert not any(account["automountServiceAccountToken"] for account in of_kind(found, "ServiceAccount"))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_value_tells_where_containerd_is(runtime: str) -> None:
    (container,) = ours(pod_specs(new_helm({**INTENTS, "runtime": runtime}))["pulltrace-exporter"])
    socket = PurePosixPath(argument(container, "containerd.address"))
    assert str(socket) in map(str, KNOWN_SOCKETS)
    assert not any("allow-directory" in each for each in container["args"])
    name = {"rke2": "k3s", "k0s": "k0s", "k3s": "k3s", "microk8s": "microk8s"}.get(runtime, "run/containerd")
    assert name in str(socket)


def test_intents_are_read_only_when_asked_for_and_where_the_program_expects_them() -> None:
    (container,) = ours(pod_specs(new_helm({}))["pulltrace-exporter"])
    assert argument(container, "kubelet.intents-directory") == ""
    (container,) = ours(pod_specs(new_helm(INTENTS))["pulltrace-exporter"])
    assert argument(container, "kubelet.intents-directory") == ExporterConfig.intents_directory.default


def test_the_instructions_to_uninstall_name_what_stays_of_cert_manager() -> None:
    _, _, text = README.text.partition("After `helm uninstall`")
    command, _, _ = text.partition("**From plain to TLS")
    for certificate in of_kind(new_helm(CLIENTS), "Certificate"):
        assert certificate["spec"]["secretName"] in command.split()


@each_variant
def test_the_instructions_to_uninstall_name_what_stays_on_nodes(values: Values) -> None:
    _, _, text = (CHECKOUT / "docs/operating.md").read_text().partition("## Uninstall")
    for spec in pod_specs(new_helm(values)).values():
        made = {name for name, path in host_paths(spec).items() if path["type"] != "Directory"}
        assert made == MADE.keys() & host_paths(spec).keys()
        assert all(word in text for name in made for word in MADE[name])


def test_a_socket_elsewhere_is_allowed_by_its_folder() -> None:
    spec = pod_specs(new_helm(VARIANTS["own-socket"]))["pulltrace-exporter"]
    (container,) = ours(spec)
    assert argument(container, "containerd.allow-directory") == "/opt/containerd"
    assert host_folders(spec) == {"/opt/containerd"}


def test_mounts_below_the_folder_can_be_read_only_too() -> None:
    spec = pod_specs(new_helm({"exporter": {"containerd": {"recursiveReadOnly": "IfPossible"}}}))["pulltrace-exporter"]
    (mount,) = ours(spec)[0]["volumeMounts"]
    assert mount["recursiveReadOnly"] == "IfPossible"


def reads(namespace: str | None = None) -> set[Rule]:
    """What the aggregator does with pods, in all namespaces with None."""
    pods = {Rule((verb,), "pods", "", namespace) for verb in ("get", "list", "watch")}
    return pods | {Rule((verb,), "events", "", namespace) for verb in ("list", "watch")}


def slices(namespace: str) -> set[Rule]:
    return {Rule((verb,), "endpointslices", "discovery.k8s.io", namespace) for verb in ("list", "watch")}


NODES = {Rule(("get",), "nodes")}


def test_the_aggregator_may_read_and_nothing_else() -> None:
    assert {*rights(new_helm({}))} == reads() | NODES | slices("monitoring")


def test_the_readme_and_the_values_name_all_that_it_may_read() -> None:
    (row,) = (line for line in README.text.splitlines() if line.startswith("| ClusterRole"))
    _, _, above = (CHART / "values.yaml").read_text().partition("\nrbac:\n")
    comment, _, _ = above.partition("create:")
    for right in rights(new_helm({})):
        assert right.resource in row.lower()
        assert right.resource in comment.lower()


def test_with_namespaces_listed_its_rights_end_there() -> None:
    found = rights(new_helm(VARIANTS["namespaced"]))
    assert {*found} == reads("team-a") | reads("team-b") | slices("monitoring")


def test_slices_are_read_where_the_exporters_service_is() -> None:
    found = rights(new_helm(VARIANTS["aggregator-only"]))
    assert {*found} == reads() | NODES | slices("nodes")


@each_variant
def test_every_right_goes_to_the_account_that_the_aggregator_or_the_test_runs_as(values: Values) -> None:
    found = new_helm(values)
    for binding in of_kind(found, "RoleBinding", "ClusterRoleBinding"):
        (subject,) = binding["subjects"]
        test = binding["metadata"]["name"].endswith("-test")
        pod = binding["metadata"]["name"] if test else one(found, "Service", "aggregator")["metadata"]["name"]
        account = pod_specs(found)[pod]["serviceAccountName"]
        assert (subject["kind"], subject["name"]) == ("ServiceAccount", account)


def let_in(policy: Object) -> list[str]:
    """The component of each peer, or the name of another program."""
    (rule,) = policy["spec"]["ingress"]
    labels: list[dict[str, str]] = [each["podSelector"]["matchLabels"] for each in rule["from"]]
    return [each.get("app.kubernetes.io/component") or each["app.kubernetes.io/name"] for each in labels]


def test_networks_let_in_prometheus_and_between_them_only_what_is_needed() -> None:
    found = new_helm({})
    exporter, aggregator = one(found, "NetworkPolicy", "exporter"), one(found, "NetworkPolicy", "aggregator")
    for policy in (exporter, aggregator):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in exporter["spec"]
    assert let_in(exporter) == ["prometheus", "test", "aggregator"]
    assert let_in(aggregator) == ["prometheus", "test"]
    ports = [sorted(port["port"] for port in rule["ports"]) for rule in aggregator["spec"]["egress"]]
    assert ports == [[10301], [443, 6443, 8443, 16443]]


def test_exporters_that_have_the_address_of_their_node_are_reached_there() -> None:
    # No selector of pods means a pod that uses the network of its node.
    (exporters, _) = one(new_helm({"exporter": {"hostNetwork": True}}), "NetworkPolicy", "aggregator")["spec"]["egress"]
    assert exporters == {"ports": [{"port": 10301, "protocol": "TCP"}]}


def test_policies_select_the_pods_and_their_ports() -> None:
    for values in VARIANTS.values():
        found = new_helm(values)
        for policy in of_kind(found, "NetworkPolicy"):
            service = one(found, "Service", policy["metadata"]["name"])
            assert policy["spec"]["podSelector"]["matchLabels"] == service["spec"]["selector"]
            (rule,) = policy["spec"]["ingress"]
            assert [port["port"] for port in rule["ports"]] == [service["spec"]["ports"][0]["port"]]
