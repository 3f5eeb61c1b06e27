"""Addresses and names inside the cluster's own network."""

GATEWAY = "10.250.0.1"
"""The API server, and the way out of every node."""
NODE_NETWORK = 24
API_PORT = 6443
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DOMAIN = "cluster.local"
ETCD = "http://127.0.0.1:2379"


def node_name(number: int) -> str:
    """The node's name, counted from 1. Each of two shards has some of the first three nodes."""
    return f"worker-{number}"


def node_address(number: int) -> str:
    return f"10.250.0.{10 + number}"


def pod_network(number: int) -> str:
    return f"10.244.{number}.0/24"
