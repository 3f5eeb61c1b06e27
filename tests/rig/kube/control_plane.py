"""etcd, API server, controller manager, scheduler and kube-proxy, with what they need to know each other."""

import json
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests
import yaml

from rig import debian
from rig.kube import addresses as at
from rig.kube.certificates import Authority, Pair
from rig.kube.enclosure import Enclosure

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
PAUSE = 0.05


class ClusterFailed(Exception):
    """A part of the cluster did not come up; the text names it and holds the end of its log."""


class ControlPlane:
    """One of each, in a cluster's enclosure. `programs` are folders by name of a part."""

    def __init__(self, enclosure: Enclosure, programs: Mapping[str, Path], kubernetes: str) -> None:
        self.enclosure = enclosure
        self._etcd = programs["etcd"] / "etcd"
        self._kubernetes = programs[kubernetes]
        self.authority = Authority(enclosure.folder / "pki")
        hosts = [at.GATEWAY, at.API_SERVICE, "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        self._server = self.authority.issue("apiserver", "kube-apiserver", hosts=hosts)
        self._kubelet_client = self.authority.issue("kubelet-client", "kube-apiserver", ["system:masters"])
        self._accounts = self.authority.key_pair("service-accounts")
        self.admin = self.authority.issue("admin", "admin", ["system:masters"])
        self._forward = enclosure.network.forward(at.GATEWAY, at.API_PORT)

    @property
    def url(self) -> str:
        """The API server's URL, from outside the enclosure."""
        return f"https://127.0.0.1:{self._forward.port}"

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

    def kubeconfig(self, name: str, pair: Pair, *, outside: bool = False) -> Path:
        """The file by which a user reaches the API server."""
        server = self.url if outside else f"https://{at.GATEWAY}:{at.API_PORT}"
        path = self.enclosure.folder / f"{name}.kubeconfig"
        user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "pulltrace",
                    "contexts": [{"name": "pulltrace", "context": {"cluster": "pulltrace", "user": name}}],
                    "clusters": [
                        {
                            "name": "pulltrace",
                            "cluster": {"server": server, "certificate-authority": str(self.authority.file)},
                        }
                    ],
                    "users": [{"name": name, "user": user}],
                }
            )
        )
        return path

    def start_api_server(self) -> None:
        """Start it and wait until it is ready."""
        flags = {
            "etcd-servers": at.ETCD,
            "bind-address": at.GATEWAY,
            "advertise-address": at.GATEWAY,
            "secure-port": at.API_PORT,
            "tls-cert-file": self._server.certificate,
            "tls-private-key-file": self._server.key,
            "client-ca-file": self.authority.file,
            "kubelet-client-certificate": self._kubelet_client.certificate,
            "kubelet-client-key": self._kubelet_client.key,
            "kubelet-certificate-authority": self.authority.file,
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self._accounts.certificate,
            "service-account-signing-key-file": self._accounts.key,
            "service-cluster-ip-range": at.SERVICE_NETWORK,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "profiling": "false",
        }
        self._start("kube-apiserver", flags)
        self._wait("kube-apiserver", self.answers)

    def stop_api_server(self) -> None:
        """End it at once: asked politely it would wait for the watches to end."""
        self.enclosure.end("kube-apiserver", signal.SIGKILL)

    def answers(self) -> bool:
        """Whether the API server is ready."""
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(self.authority.file)
            session.cert = (str(self.admin.certificate), str(self.admin.key))
            try:
                return session.get(f"{self.url}/readyz", timeout=5).ok
            except requests.RequestException:
                return False

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
        nft = self.path / "nft"
        nft.write_text(NFT.format(root=debian.unpacked(NFTABLES)))
        nft.chmod(0o755)

    def _start_etcd(self) -> None:
        data = self.enclosure.folder / "etcd"
        data.mkdir(mode=0o700)
        peers = "http://127.0.0.1:2380"
        flags = {
            "data-dir": data,
            "listen-client-urls": at.ETCD,
            "advertise-client-urls": at.ETCD,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "unsafe-no-fsync": "true",
        }
        self.enclosure.start("etcd", [self._etcd, *(f"--{name}={value}" for name, value in flags.items())])

    def _start_controllers(self) -> None:
        manager = self.authority.issue("controller-manager", "system:kube-controller-manager")
        self._start(
            "kube-controller-manager",
            {
                "kubeconfig": self.kubeconfig("controller-manager", manager),
                "service-account-private-key-file": self._accounts.key,
                "root-ca-file": self.authority.file,
                "use-service-account-credentials": "true",
                "leader-elect": "false",
                "bind-address": "127.0.0.1",
            },
        )
        scheduler = self.authority.issue("scheduler", "system:kube-scheduler")
        self._start(
            "kube-scheduler",
            {
                "kubeconfig": self.kubeconfig("scheduler", scheduler),
                "leader-elect": "false",
                "bind-address": "127.0.0.1",
            },
        )

    def _start_proxy(self) -> None:
        """One for all nodes: they share a network namespace."""
        pair = self.authority.issue("proxy", "system:kube-proxy")
        config = self.enclosure.folder / "kube-proxy.yaml"
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                    "kind": "KubeProxyConfiguration",
                    "mode": "nftables",
                    "clientConnection": {"kubeconfig": str(self.kubeconfig("proxy", pair))},
                    "clusterCIDR": at.POD_NETWORK,
                    "hostnameOverride": at.node_name(1),
                    "bindAddress": at.node_address(1),
                    "healthzBindAddress": "127.0.0.1:10256",
                    "metricsBindAddress": "127.0.0.1:10249",
                    "conntrack": {
                        "maxPerCore": 0,
                        "min": 0,
                        "tcpEstablishedTimeout": "0s",
                        "tcpCloseWaitTimeout": "0s",
                    },
                }
            )
        )
        self._start("kube-proxy", {"config": config})

    def _start(self, program: str, flags: Mapping[str, object]) -> None:
        words = [f"--{name}={value}" for name, value in flags.items()]
        path = f"{self.path}:/usr/sbin:/usr/bin:/sbin:/bin"
        self.enclosure.start(program, [self._kubernetes / program, *words], {"PATH": path})

    def _wait(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            if self.enclosure.status(name) is not None or time.monotonic() > deadline:
                raise ClusterFailed(f"{name} did not come up: {self.enclosure.tail(name)}")
            time.sleep(PAUSE)
