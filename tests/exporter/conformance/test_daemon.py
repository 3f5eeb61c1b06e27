"""containerd comes, goes, is slow or answers errors: the exporter serves on and says so."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest

from rig.images import MIB
from rig.invariants import check_whole, layer_size
from rig.node import Node
from rig.node_setup import NodeSetup
from rig.scrape import Scrape
from rig.standin import StandIn

STARTED = "pulltrace_containerd_start_time_seconds"
# A real containerd cannot be told to answer late or with errors.
on_the_standin = pytest.mark.parametrize("label", [pytest.param("standin", marks=pytest.mark.contract)], indirect=True)


@pytest.fixture
def standin(own_node: Node) -> StandIn:
    assert isinstance(own_node, StandIn)
    return own_node


def test_containerd_is_absent_at_the_start_and_comes(own_setup: NodeSetup) -> None:
    setup = own_setup
    setup.node.crash()
    setup.node.socket.unlink()
    image = setup.push()
    exporter = setup.exporter(up=False)
    absent = exporter.wait_until(lambda scrape: scrape.total("pulltrace_exporter_poll_errors_total") > 0)
    assert not absent.up
    assert absent.value(STARTED) is None
    assert not absent.in_progress, "nobody knows that there is no pull"
    assert not absent.find("pulltrace_containerd_info")
    assert exporter.get("/-/ready").status == 200
    assert exporter.pulls()["containerd"] == {"up": False}
    setup.node.start()
    up = exporter.wait_until(lambda scrape: scrape.up)
    assert up.by("version", "pulltrace_containerd_info") == {setup.node.version: 1}
    setup.pulled(image)
    exporter.wait_whole(image)


def test_containerd_is_restarted_while_nothing_is_pulled(own_setup: NodeSetup) -> None:
    setup = own_setup
    before, after = setup.push("before"), setup.push("after")
    exporter = setup.exporter()
    setup.pulled(before)
    up = exporter.wait_until(lambda scrape: scrape.phase(before) == "succeeded")
    assert up.value(STARTED) == pytest.approx(time.time(), abs=30)
    setup.node.crash()
    down = exporter.wait_until(lambda scrape: not scrape.up)
    assert down.value(STARTED) is None
    assert down.ended == {"succeeded": 1}
    setup.node.start()
    again = exporter.wait_until(lambda scrape: scrape.up)
    assert again.value(STARTED) > up.value(STARTED)
    setup.pulled(after)
    end = exporter.wait_whole(after)
    assert end.ended == {"succeeded": 2}
    assert end.layer_bytes == layer_size(before, after)


@on_the_standin
@pytest.mark.parametrize("calls", ["Content/*", "Snapshots/*", "Images/*", "Leases/ListResources"])
def test_calls_that_fail_in_mid_pull_cost_no_byte(own_setup: NodeSetup, standin: StandIn, calls: str) -> None:
    image = own_setup.push(layers=[3 * MIB, 300_000])
    stall = own_setup.registry.stall(image.layers[0].digest, after=MIB)
    exporter = own_setup.exporter()
    with standin.faults.failing(calls, times=3):
        pull = own_setup.pull(image)
        stall.wait_held()
        failed = 0 if calls == "Images/*" else 3  # they are called when the pull is over
        exporter.wait_until(lambda scrape: _errors(scrape) >= failed and scrape.phase(image) == "downloading")
        stall.release()
        pull.wait()
        end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    assert _errors(end) == 3
    check_whole(end.pull(image), image)
    assert end.ended == {"succeeded": 1}
    assert end.layer_bytes == layer_size(image)


@on_the_standin
def test_calls_that_it_does_not_know_cost_what_they_would_have_told(own_setup: NodeSetup, standin: StandIn) -> None:
    image = own_setup.push(layers=[3 * MIB, 300_000])
    own_setup.registry.throttle(MIB)
    unknown = ("Version/*", "Snapshots/*", "Namespaces/*", "Events/*")
    with ExitStack() as stack:
        for calls in unknown:
            stack.enter_context(standin.faults.failing(calls, grpc.StatusCode.UNIMPLEMENTED))
        exporter = own_setup.exporter(idle="200ms")
        own_setup.pull(image)
        end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    check_whole(end.pull(image), image)
    assert end.layer_bytes == layer_size(image)
    assert end.total("pulltrace_exporter_poll_errors_total") == 0
    assert end.value("pulltrace_containerd_info") is None


@on_the_standin
def test_a_daemon_that_does_not_answer_delays_no_scrape(own_setup: NodeSetup, standin: StandIn) -> None:
    exporter = own_setup.exporter(idle="200ms")
    with standin.faults.delaying("Leases/List"):
        began = time.monotonic()
        late = exporter.wait_until(lambda scrape: not scrape.up)
        assert 3 < time.monotonic() - began < 12
        labels = {"call": "Leases/List", "code": "DEADLINE_EXCEEDED"}
        assert late.value("pulltrace_exporter_poll_errors_total", **labels) == 1
        with ThreadPoolExecutor(4) as pool:
            pages = ("/metrics", "/v1/pulls", "/-/healthy", "/-/ready")
            took = pool.map(lambda page: _seconds(lambda: exporter.get(page)), pages)
        assert max(took) < 2
    exporter.wait_until(lambda scrape: scrape.up)


@on_the_standin
def test_a_slow_daemon_is_read_slowly_and_rightly(own_setup: NodeSetup, standin: StandIn) -> None:
    image = own_setup.push(layers=[3 * MIB, 300_000])
    own_setup.registry.throttle(2 * MIB)
    exporter = own_setup.exporter()
    with standin.faults.delaying("*", 0.1):
        own_setup.pull(image)
        end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    check_whole(end.pull(image), image)
    assert end.layer_bytes == layer_size(image)
    assert end.total("pulltrace_exporter_poll_errors_total") == 0


@on_the_standin
def test_a_connection_that_breaks_is_made_again(own_setup: NodeSetup, standin: StandIn) -> None:
    image = own_setup.push(layers=[3 * MIB])
    own_setup.registry.throttle(2 * MIB)
    exporter = own_setup.exporter()
    own_setup.pull(image)
    exporter.wait_until(lambda scrape: scrape.downloaded(image) > MIB)
    standin.drop_connections()
    end = exporter.wait_whole(image)
    assert end.ended == {"succeeded": 1}, "a lease from before the connection was left by no crash"
    assert end.layer_bytes == layer_size(image)


def _errors(scrape: Scrape) -> float:
    return scrape.total("pulltrace_exporter_poll_errors_total")


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began
