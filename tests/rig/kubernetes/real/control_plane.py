"""etcd, API server, controller manager, scheduler and kube-proxy, with what they need to know each other."""

import json
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rig import debian, pki
from rig.kubernetes.api import Api, kubeconfig
from rig.kubernetes.real import addresses as at
from rig.kubernetes.real.daemons import api_server_flags, etcd_flags, flags
from rig.kubernetes.real.enclosure import Enclosure
from rig.pki import Files

NFTABLES = debian.Package(
    "bookworm",
    "nftables",
    also=(
        "libnftables1", "libnftnl11", "libmnl0", "libjansson4", "libgmp10", "libedit2", "libxtables12", "libbsd0",
        "libmd0", "libtinfo6",
    ),
)  # fmt: skip
NFT = """#!/bin/sh
LD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu exec {root}/usr/sbin/nft "$@"
"""
START_TIMEOUT = 90.0


def nft(folder: Path) -> Path:
    """The program, in this folder."""
    program = folder / "nft"
    program.write_text(NFT.format(root=debian.unpacked(NFTABLES)))
    program.chmod(0o755)
    return program


class ControlPlane:
    """One of each program, in a cluster's enclosure. `programs` are folders by name of a part."""

    def __init__(self, enclosure: Enclosure, programs: Mapping[str, Path], kubernetes: str) -> None:
        self.enclosure = enclosure
        self._etcd = programs["etcd"] / "etcd"
        self._kubernetes = programs[kubernetes]
        self._pki = enclosure.folder / "pki"
        self._pki.mkdir()
        self._root = pki.Authority("pulltrace cluster", plain=True)
        self.ca_file = self._root.write(self._pki)
        hosts = [at.GATEWAY, at.API_SERVICE, "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        self._served = self.issue("apiserver", "kube-apiserver", hosts=hosts)
        self._kubelet_client = self.issue("kubelet-client", "kube-apiserver", ["system:masters"])
        self._accounts = self._pki / "service-accounts.key"
        self._accounts.write_bytes(pki.signing_key())
        self.admin = self.issue("admin", "admin", ["system:masters"])
        self._port = enclosure.network.forward(at.GATEWAY, at.API_PORT)
        self.api = Api(self.url, self.ca_file, pair=self.admin)

    @property
    def url(self) -> str:
        """The API server's URL, from outside the enclosure."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def path(self) -> Path:
        """A folder with `nft`."""
        return self.enclosure.folder / "bin"

    def start(self) -> None:
        """Bring the API server up, then the rest; they wait for what they need themselves."""
        self._network()
        self._start_etcd()
        self.start_api_server()
        self._start_controllers()
        self._start_proxy()

    def issue(self, file: str, user: str, groups: Iterable[str] = (), hosts: Iterable[str] = ()) -> Files:
        """A certificate for a user in groups, and for a server at these names and addresses."""
        return self._root.issue(user, groups=groups, hosts=hosts).write(self._pki, file)

    def kubeconfig(self, name: str, pair: Files, *, outside: bool = False) -> Path:
        """The file by which a user reaches the API server."""
        server = self.url if outside else f"https://{at.GATEWAY}:{at.API_PORT}"
        path = self.enclosure.folder / f"{name}.kubeconfig"
        path.write_text(kubeconfig(server, self.ca_file, pair=pair))
        return path

    def start_api_server(self) -> None:
        """Start it and wait until it is ready."""
        given = api_server_flags(
            at.ETCD,
            at.GATEWAY,
            at.API_PORT,
            self._served,
            self._accounts,
            service_cluster_ip_range=at.SERVICE_NETWORK,
            advertise_address=at.GATEWAY,
            client_ca_file=self.ca_file,
            kubelet_client_certificate=self._kubelet_client.certificate,
            kubelet_client_key=self._kubelet_client.key,
            kubelet_certificate_authority=self.ca_file,
            kubelet_preferred_address_types="InternalIP",
            authorization_mode="Node,RBAC",
            enable_admission_plugins="NodeRestriction",
            profiling="false",
        )
        self._start("kube-apiserver", given)
        self.enclosure.wait_for(self.api.answers, "kube-apiserver", START_TIMEOUT)

    def stop_api_server(self) -> None:
        """End it at once: asked politely it would wait for the watches to end."""
        self.enclosure.end("kube-apiserver", signal.SIGKILL)

    def _network(self) -> None:
        commands = (
            "link add nodes type bridge",
            f"address add {at.GATEWAY}/{at.NODE_NETWORK} dev nodes",
            "link set nodes up",
            f"route add default via {at.GATEWAY}",
        )
        for command in commands:
            self.enclosure.run(["ip", *command.split()])
        self.enclosure.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
        self.path.mkdir()
        nft(self.path)

    def _start_etcd(self) -> None:
        data = self.enclosure.folder / "etcd"
        data.mkdir(mode=0o700)
        given = etcd_flags(data, at.ETCD, "http://127.0.0.1:2380")
        self.enclosure.start("etcd", [self._etcd, *given])

    def _start_controllers(self) -> None:
        manager = self.issue("controller-manager", "system:kube-controller-manager")
        given = flags(
            kubeconfig=self.kubeconfig("controller-manager", manager),
            service_account_private_key_file=self._accounts,
            root_ca_file=self.ca_file,
            use_service_account_credentials="true",
            leader_elect="false",
            bind_address="127.0.0.1",
        )
        self._start("kube-controller-manager", given)
        config = self.kubeconfig("scheduler", self.issue("scheduler", "system:kube-scheduler"))
        self._start("kube-scheduler", flags(kubeconfig=config, leader_elect="false", bind_address="127.0.0.1"))

    def _start_proxy(self) -> None:
        """One kube-proxy for all nodes: they share a network namespace."""
        pair = self.issue("proxy", "system:kube-proxy")
        settings = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(self.kubeconfig("proxy", pair))},
            "clusterCIDR": at.POD_NETWORK,
            "hostnameOverride": at.node_name(1),
            "bindAddress": at.node_address(1),
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
        config = self.enclosure.folder / "kube-proxy.yaml"
        config.write_text(json.dumps(settings))
        self._start("kube-proxy", [f"--config={config}"])

    def _start(self, program: str, given: Sequence[str]) -> None:
        path = f"{self.path}:/usr/sbin:/usr/bin:/sbin:/bin"
        self.enclosure.start(program, [self._kubernetes / program, *given], {"PATH": path})
