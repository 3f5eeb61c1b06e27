"""The chart's NetworkPolicies, enforced: who gets through to the programs, and what these reach."""

import time

import pytest

from cluster.world import AGGREGATOR_PORT, EXPORTER_PORT, NAMESPACE, REGISTRY, World
from rig.kubernetes.api import Object, wait_for
from rig.kubernetes.real import policies
from rig.processes import CommandFailed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
IDLE = ["python3", "-c", "import time; time.sleep(100000)"]
GET = "import urllib.request as u; print(u.urlopen('http://{address}:{port}/metrics', timeout=5).read(100).decode())"
SETTLING = 120


def test_prometheus_and_the_aggregator_get_through_and_a_stranger_does_not(world: World) -> None:
    namespace = world.namespace()
    (aggregator,) = world.stack.pods("aggregator")
    exporter = world.exporter(world.cluster.nodes[-1].name)
    # An image that is on each node and has a client in it.
    container = {"name": "main", "image": exporter["spec"]["containers"][0]["image"], "command": IDLE}
    for name, labels in (("stranger", {}), ("scraper", PROMETHEUS)):
        world.pod(namespace, name, "", labels=labels, containers=[container])
    world.wait_running(namespace, 2)
    assert fetch(world, namespace, "stranger", aggregator, AGGREGATOR_PORT)
    with policies.enforced(world.cluster.plane, world.api):
        begun = time.time()
        for pod, port in ((aggregator, AGGREGATOR_PORT), (exporter, EXPORTER_PORT)):
            assert fetch(world, namespace, "scraper", pod, port)
            with pytest.raises(CommandFailed, match=r"refused|reset"):
                fetch(world, namespace, "stranger", pod, port)
        fresh = f'count(up{{job=~"pulltrace-.*"}} == 1 and timestamp(up) > {begun})'
        wait_for(lambda: world.prometheus.value(fresh) == len(world.cluster.nodes) + 1, "all scraped", SETTLING)
        world.pod(namespace, "new", world.image().reference(REGISTRY))
        # The aggregator hears of it from the API server, and of its pull from an exporter.
        wait_for(lambda: world.row(namespace, "new", phase="pulled").get("pull"), "the pull told")
        with pytest.raises(CommandFailed, match=r"refused|reset"):
            fetch(world, NAMESPACE, exporter["metadata"]["name"], aggregator, AGGREGATOR_PORT)


def fetch(world: World, namespace: str, name: str, pod: Object, port: int) -> str:
    """The beginning of what one pod gets of another's metrics."""
    words = GET.format(address=pod["status"]["podIP"], port=port)
    return world.stack.shell(f'kubectl exec -n {namespace} {name} -- python3 -c "{words}"')
