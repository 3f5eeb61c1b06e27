"""Exporters are found through the EndpointSlices of their Service."""

import pytest

from aggregator.kube.adapter_setup import AdapterSetup
from pulltrace_aggregator.kube import resources
from pulltrace_aggregator.model.cluster import Endpoint, SliceGone
from rig.kubernetes import objects


def test_exporters_come_change_and_go(setup: AdapterSetup) -> None:
    namespace, api = setup.namespace, setup.api
    first = api.create(
        objects.endpoint_slice(
            namespace,
            "exporter-1",
            "exporter",
            objects.endpoint("node-1", "10.1.0.1"),
            objects.endpoint("node-2", "10.1.0.2", ready=False),
            {"addresses": ["10.1.0.3"], "nodeName": "node-3"},
            {"addresses": ["10.1.0.4"]},
        )
    )
    api.create(objects.endpoint_slice(namespace, "other-1", "other", objects.endpoint("node-1", "10.1.0.9")))
    following = setup.follow(resources.selections([namespace], (namespace, "exporter"))).wait_up()
    (slice_,) = following.seen.slices.values()
    assert slice_.endpoints == (
        Endpoint("node-1", "10.1.0.1", 10301, ready=True),
        Endpoint("node-2", "10.1.0.2", 10301, ready=False),
        Endpoint("node-3", "10.1.0.3", 10301, ready=True),
    )
    api.create(objects.endpoint_slice(namespace, "exporter-2", "exporter", objects.endpoint("node-5", "fd00::5")))
    following.seen.wait(lambda: len(following.seen.slices) == 2)
    api.patch(first, {"endpoints": [], "ports": None})
    following.seen.wait(lambda: not following.seen.slices[first["metadata"]["uid"]].endpoints)
    api.delete(first)
    following.seen.wait(lambda: len(following.seen.slices) == 1)
    assert following.seen.of(SliceGone) == [SliceGone(namespace, "exporter-1", first["metadata"]["uid"])]


@pytest.mark.contract
def test_a_slice_that_left_unseen_is_gone_after_the_next_list(fake_setup: AdapterSetup) -> None:
    """On the fake: the real server remembers what left for those who watch, whatever etcd forgets."""
    namespace, api = fake_setup.namespace, fake_setup.api
    lost = api.create(objects.endpoint_slice(namespace, "exporter-1", "exporter"))
    following = fake_setup.follow([resources.exporter_slices(namespace, "exporter")]).wait_up()
    fake_setup.proxy.refuse()
    following.wait_restarts("endpointslices", "network")
    api.delete(lost)
    fake_setup.cluster.compact()
    fake_setup.proxy.allow()
    following.seen.wait(lambda: not following.seen.slices)
    assert following.restarts("endpointslices", "expired") == 1
