"""What the pods may do, in every variant."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from pulltrace_chart.places import CHART
from pulltrace_chart.rendering import Object
from pulltrace_exporter.config import ExporterConfig
from pulltrace_exporter.containerd.socket import KNOWN_SOCKETS
from rig.chart_values import CLIENTS, INTENTS, VARIANTS, Values, each_variant
from rig.charts import new_helm, notes, of_kind, one, pod_specs
from rig.pages import CHECKOUT

pytestmark = pytest.mark.unit

INTENTS_END = "image_manager/pulling"
MADE = {
    "kubelet-intents": (INTENTS_END, "exporter.kubeletIntents.enabled"),
    "soci": ("soci-snapshotter-grpc/unpack", "exporter.soci.enabled"),
}
"""Volumes that are made on nodes without them, and how the instructions name them."""
RUNTIMES = ("containerd", "k3s", "rke2", "k0s", "microk8s")


def host_paths(spec: Object) -> set[str]:
    return {volume["hostPath"]["path"] for volume in spec.get("volumes", ()) if "hostPath" in volume}


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
        assert host_paths(spec) == {str(socket.parent)} | ({intents} if intents else set()) | soci
        assert all(PurePosixPath(folder).name == "unpack" for folder in soci)
        assert str(socket.parent) != "/"
        assert not intents or intents.endswith(INTENTS_END)


@each_variant
def test_mounts_of_the_node_are_read_only_and_in_their_place(values: Values) -> None:
    for spec in pod_specs(new_helm(values)).values():
        paths = {
            volume["name"]: volume["hostPath"]["path"] for volume in spec.get("volumes", ()) if "hostPath" in volume
        }
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            mounts = [mount for mount in container.get("volumeMounts", ()) if mount["name"] in paths]
            assert all(mount["readOnly"] is True and mount["mountPath"] == paths[mount["name"]] for mount in mounts)
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
    _, _, text = (CHART / "README.md").read_text().partition("After `helm uninstall`")
    command, _, _ = text.partition("**From plain to TLS")
    for certificate in of_kind(new_helm(CLIENTS), "Certificate"):
        assert certificate["spec"]["secretName"] in command.split()


@each_variant
def test_the_instructions_to_uninstall_name_what_stays_on_nodes(values: Values) -> None:
    _, _, text = (CHECKOUT / "docs/operating.md").read_text().partition("## Uninstall")
    for spec in pod_specs(new_helm(values)).values():
        for volume in (each for each in spec.get("volumes", ()) if "hostPath" in each):
            made = volume["hostPath"]["type"] != "Directory"
            assert made is (volume["name"] in MADE)
            assert not made or all(word in text for word in MADE[volume["name"]])


def test_a_socket_elsewhere_is_allowed_by_its_folder() -> None:
    spec = pod_specs(new_helm(VARIANTS["own-socket"]))["pulltrace-exporter"]
    (container,) = ours(spec)
    assert argument(container, "containerd.allow-directory") == "/opt/containerd"
    assert host_paths(spec) == {"/opt/containerd"}


def test_mounts_below_the_folder_can_be_read_only_too() -> None:
    spec = pod_specs(new_helm({"exporter": {"containerd": {"recursiveReadOnly": "IfPossible"}}}))["pulltrace-exporter"]
    (mount,) = ours(spec)[0]["volumeMounts"]
    assert mount["recursiveReadOnly"] == "IfPossible"


def rules(found: tuple[Object, ...], *kinds: str) -> dict[tuple[str, str], set[tuple[str, str, str]]]:
    """The rights of each role of the aggregator by kind and namespace: group, resource, verb."""
    return {
        (role["kind"], role["metadata"].get("namespace", "")): {
            (group, resource, verb)
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        for role in of_kind(found, *kinds)
        if not role["metadata"]["name"].endswith("-test")
    }


READS = {
    ("", "pods", "get"),
    ("", "pods", "list"),
    ("", "pods", "watch"),
    ("", "events", "list"),
    ("", "events", "watch"),
}
NODES = {("", "nodes", "get")}
SLICES = {("discovery.k8s.io", "endpointslices", verb) for verb in ("list", "watch")}


def test_the_aggregator_may_read_and_nothing_else() -> None:
    found = rules(new_helm({}), "Role", "ClusterRole")
    assert found == {("ClusterRole", ""): READS | NODES, ("Role", "monitoring"): SLICES}


def test_the_readme_and_the_values_name_all_that_it_may_read() -> None:
    readme, values = ((CHART / name).read_text() for name in ("README.md", "values.yaml"))
    (row,) = (line for line in readme.splitlines() if line.startswith("| ClusterRole"))
    _, _, above = values.partition("\nrbac:\n")
    comment, _, _ = above.partition("create:")
    for role in of_kind(new_helm({}), "Role", "ClusterRole"):
        for resource in {each for rule in role["rules"] for each in rule["resources"]}:
            assert resource in row.lower()
            assert resource in comment.lower()


def test_with_namespaces_listed_its_rights_end_there() -> None:
    found = rules(new_helm(VARIANTS["namespaced"]), "Role", "ClusterRole")
    assert found == {("Role", "team-a"): READS, ("Role", "team-b"): READS, ("Role", "monitoring"): SLICES}


def test_slices_are_read_where_the_exporters_service_is() -> None:
    found = rules(new_helm(VARIANTS["aggregator-only"]), "Role")
    assert found == {("Role", "nodes"): SLICES}


@each_variant
def test_every_right_goes_to_the_account_that_the_aggregator_or_the_test_runs_as(values: Values) -> None:
    found = new_helm(values)
    for binding in of_kind(found, "RoleBinding", "ClusterRoleBinding"):
        (subject,) = binding["subjects"]
        test = binding["metadata"]["name"].endswith("-test")
        pod = binding["metadata"]["name"] if test else one(found, "Service", "aggregator")["metadata"]["name"]
        account = pod_specs(found)[pod]["serviceAccountName"]
        assert (subject["kind"], subject["name"]) == ("ServiceAccount", account)


def peers(policy: Object) -> list[Any]:
    (rule,) = policy["spec"]["ingress"]
    return [each["podSelector"]["matchLabels"] for each in rule["from"]]


def test_networks_let_in_prometheus_and_between_them_only_what_is_needed() -> None:
    found = new_helm({})
    exporter, aggregator = one(found, "NetworkPolicy", "exporter"), one(found, "NetworkPolicy", "aggregator")
    for policy in (exporter, aggregator):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in exporter["spec"]
    components = [each.get("app.kubernetes.io/component", each["app.kubernetes.io/name"]) for each in peers(exporter)]
    assert components == ["prometheus", "test", "aggregator"]
    components = [each.get("app.kubernetes.io/component", each["app.kubernetes.io/name"]) for each in peers(aggregator)]
    assert components == ["prometheus", "test"]
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


def test_notes_say_what_pod_security_asks_for() -> None:
    assert "kubectl label namespace monitoring pod-security.kubernetes.io/enforce=privileged" in notes({})
    assert "/run/k3s/containerd" in notes({"runtime": "k3s"})
    assert "Pod Security" not in notes(VARIANTS["aggregator-only"])
