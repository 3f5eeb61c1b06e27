"""A stand-in for the API server: lists, watches and rights over real HTTP, on objects kept with their history."""

from rig.kubernetes.fake.cluster import FakeCluster
from rig.kubernetes.fake.faults import Fault, hang, refuse, say, silent

__all__ = ["FakeCluster", "Fault", "hang", "refuse", "say", "silent"]
