"""A stand-in for containerd: the real API over a unix socket, on a state model of its own."""

from rig.standin.flavour import V2_1, Flavour
from rig.standin.node import StandIn
from rig.standin.registry_source import RegistrySource
from rig.standin.remote import Lazy, Nydus, Parallel
from rig.standin.sources import MIB, SourceFailed
from rig.standin.synthetic import DOCKER_LAYER, OCI_LAYER, Layer, SyntheticRegistry, instantly

__all__ = [
    "DOCKER_LAYER",
    "MIB",
    "OCI_LAYER",
    "V2_1",
    "Flavour",
    "Layer",
    "Lazy",
    "Nydus",
    "Parallel",
    "RegistrySource",
    "SourceFailed",
    "StandIn",
    "SyntheticRegistry",
    "instantly",
]
