"""What is the same for etcd and kube-apiserver in every cluster, and how a cluster fails."""

from pathlib import Path

from rig.pki import Files


class ClusterFailed(Exception):
    """A daemon did not start, join or stop; the text names it and holds the end of its log."""


def etcd_flags(data: Path, clients: str, peers: str) -> list[str]:
    """One member, reached at the URL `clients`. A crash of the machine would lose what it holds."""
    return flags(
        data_dir=data,
        listen_client_urls=clients,
        advertise_client_urls=clients,
        listen_peer_urls=peers,
        initial_advertise_peer_urls=peers,
        initial_cluster=f"default={peers}",
        unsafe_no_fsync="true",
    )


def api_server_flags(etcd: str, address: str, port: int, served: Files, accounts: Path, **more: object) -> list[str]:
    """`served` is its certificate, `accounts` the key that signs the tokens of service accounts."""
    return flags(
        etcd_servers=etcd,
        bind_address=address,
        secure_port=port,
        tls_cert_file=served.certificate,
        tls_private_key_file=served.key,
        service_account_issuer="https://kubernetes.default.svc",
        service_account_key_file=accounts,
        service_account_signing_key_file=accounts,
        allow_privileged="true",
        **more,
    )


def flags(**given: object) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
