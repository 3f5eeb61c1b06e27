"""What goes wrong: each fault begins, holds for a moment in the middle of a pull, and is over."""

import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from bench.processes import descriptors
from faults.looks import look
from faults.world import Asked, World
from rig import clock
from rig.images import MIB
from rig.processes import paused
from rig.tcp_proxy import Proxy
from rig.web import wait_until

MOMENT: Final = 1.5
"""Seconds that a pause or a silence lasts: nothing happens then that one could wait for."""
PATIENCE: Final = 180.0
LOST_ONE_OF: Final = 10
LEAST_LOST: Final = 5
STEP_SECONDS: Final = 3600
AT_ONCE: Final = 3
"""Layers that containerd fetches at a time, those that stand still included."""


During = Callable[[World, list[Asked], Callable[[], None]], AbstractContextManager[None]]
"""The time of a fault, under pulls that stand still in their middle until they are let go on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind. `during` is its time; the rest of the pulls comes after it, unless it lets them go on itself.

    `arrives` tells that every byte sent arrives, `lives` that the exporter is the same afterwards, `answers` that CRI's
    answers come from a containerd that lives.
    """

    during: During
    arrives: bool = True
    lives: bool = True
    answers: bool = True


def _plain(*actions: Callable[[World], None]) -> During:
    @contextmanager
    def during(world: World, _asked: list[Asked], _go_on: Callable[[], None]) -> Iterator[None]:
        for action in actions:
            action(world)
        yield

    return during


def _for_a_moment(begun: Callable[[World], AbstractContextManager[None]], *, going_on: bool = True) -> During:
    """Meanwhile the pulls go on, unless it is said that they wait."""

    @contextmanager
    def during(world: World, _asked: list[Asked], go_on: Callable[[], None]) -> Iterator[None]:
        with begun(world):
            if going_on:
                go_on()
            time.sleep(MOMENT)
            yield

    return during


def _paused(pid: Callable[[World], int]) -> During:
    return _for_a_moment(lambda world: paused(pid(world)), going_on=False)


def _without_descriptors(pid: Callable[[World], int]) -> During:
    """It may open no more than it has."""

    @contextmanager
    def begun(world: World) -> Iterator[None]:
        process = pid(world)
        soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (descriptors(process), hard))
        try:
            yield
        finally:
            resource.prlimit(process, resource.RLIMIT_NOFILE, (soft, hard))

    return _for_a_moment(begun)


def _on_the_way(
    proxy: Callable[[World], Proxy], begin: Callable[[Proxy], None], end: Callable[[Proxy], None]
) -> During:
    """The proxy does something else for a while."""

    @contextmanager
    def begun(world: World) -> Iterator[None]:
        begin(proxy(world))
        try:
            yield
        finally:
            end(proxy(world))

    return _for_a_moment(begun)


def _frozen(proxy: Callable[[World], Proxy]) -> During:
    """As where all packets are lost for a while, and sent again."""
    return _on_the_way(proxy, Proxy.freeze, Proxy.thaw)


def _refused(proxy: Callable[[World], Proxy]) -> During:
    return _on_the_way(proxy, Proxy.refuse, Proxy.allow)


def _lossy(port: Callable[[World], int]) -> During:
    """Packets are lost while pods come and go, until a few were, and then until all pulls have ended."""

    @contextmanager
    def during(world: World, asked: list[Asked], go_on: Callable[[], None]) -> Iterator[None]:
        with world.network.lossy(LOST_ONE_OF, port(world)) as lost:
            deadline = time.monotonic() + PATIENCE
            while lost() < LEAST_LOST and time.monotonic() < deadline:
                world.pass_by(PATIENCE)
            go_on()
            wait_until(lambda: all(each.request.done for each in asked), PATIENCE)
            assert lost() >= LEAST_LOST, f"{lost()} packets lost"
            yield

    return during


def _stepped(seconds: int, node: bool) -> During:
    """The clock is stepped in the middle of the pulls, one more begins, and ends if it may, and it is stepped back.

    A node has one clock: that of containerd, the exporter and the kubelet.
    """

    @contextmanager
    def during(world: World, asked: list[Asked], _go_on: Callable[[], None]) -> Iterator[None]:
        exporter, aggregator = world.exporter.process.pid, world.aggregator.process.pid
        pids = (world.containerd.pid, exporter) if node else (aggregator,)
        with clock.stepped(seconds, *pids):
            look(world, asked)
            asked.append(world.ask(world.push([MIB]), ahead=seconds * node))
            if len(asked) <= AT_ONCE:  # else it waits for one of the others, and ends under the clock set right
                wait_until(lambda: asked[-1].request.done, PATIENCE)
            look(world, asked)
        look(world, asked)
        yield

    return during


def _rotate(world: World) -> None:
    """Both sides read their files again; until both have, they do not trust each other."""
    world.rotate_certificates()
    wait_until(lambda: _trusted(world), PATIENCE)


def _trusted(world: World) -> bool:
    try:
        world.trust_certificates()
        return world.exporter.get("/-/ready").status == 200
    except OSError:
        return False


@contextmanager
def _full_disk(world: World, asked: list[Asked], go_on: Callable[[], None]) -> Iterator[None]:
    make_room = world.fill_disk()
    try:
        go_on()
        wait_until(lambda: any(each.request.done for each in asked), PATIENCE)
        yield
    finally:
        make_room()


@contextmanager
def _killed_registry(world: World) -> Iterator[None]:
    """It starts again a moment later, where it was and with what it had."""
    world.registry.crash()
    world.to_registry.refuse()
    try:
        yield
    finally:
        world.registry.start()
        world.to_registry.allow()


@contextmanager
def _silent_registry(world: World) -> Iterator[None]:
    hang = world.registry.hang()
    try:
        yield
    finally:
        hang.release()


FAULTS: Final[Mapping[str, Fault]] = {
    "nothing": Fault(_plain()),
    "containerd killed": Fault(
        _plain(lambda world: world.containerd.crash(), lambda world: world.containerd.start()),
        arrives=False,
        answers=False,
    ),
    "containerd paused": Fault(_paused(lambda world: world.containerd.pid)),
    "containerd without descriptors": Fault(_without_descriptors(lambda world: world.containerd.pid), arrives=False),
    "containerd's disk full": Fault(_full_disk, arrives=False),
    "exporter killed": Fault(_plain(lambda world: world.exporter.kill(), World.start_exporter), lives=False),
    "exporter restarted": Fault(_plain(lambda world: world.exporter.close(), World.start_exporter), lives=False),
    "exporter paused": Fault(_paused(lambda world: world.exporter.process.pid)),
    "exporter without descriptors": Fault(_without_descriptors(lambda world: world.exporter.process.pid)),
    "exporter cut off": Fault(_refused(lambda world: world.to_exporter)),
    "exporter out of hearing": Fault(_frozen(lambda world: world.to_exporter)),
    "aggregator killed": Fault(_plain(lambda world: world.aggregator.kill(), World.start_aggregator)),
    "aggregator restarted": Fault(_plain(lambda world: world.aggregator.close(), World.start_aggregator)),
    "aggregator paused": Fault(_paused(lambda world: world.aggregator.process.pid)),
    "aggregator without descriptors": Fault(_without_descriptors(lambda world: world.aggregator.process.pid)),
    "API server killed": Fault(_plain(lambda world: world.cluster.stop(), lambda world: world.cluster.start())),
    "API server paused": Fault(_paused(lambda world: world.cluster.pid)),
    "API server cut off": Fault(_refused(lambda world: world.to_cluster)),
    "API server out of hearing": Fault(_frozen(lambda world: world.to_cluster)),
    "registry cut off": Fault(_refused(lambda world: world.to_registry), arrives=False),
    "registry's connections cut": Fault(_plain(lambda world: world.to_registry.cut()), arrives=False),
    "registry out of hearing": Fault(_frozen(lambda world: world.to_registry)),
    "registry silent": Fault(_for_a_moment(_silent_registry)),
    "registry killed": Fault(_for_a_moment(_killed_registry), arrives=False),
    "exporter's packets lost": Fault(_lossy(lambda world: world.to_exporter.port)),
    "API server's packets lost": Fault(_lossy(lambda world: world.to_cluster.port)),
    "registry's packets lost": Fault(_lossy(lambda world: world.to_registry.port)),
    "node's clock set forward": Fault(_stepped(STEP_SECONDS, node=True)),
    "node's clock set back": Fault(_stepped(-STEP_SECONDS, node=True)),
    "aggregator's clock set forward": Fault(_stepped(STEP_SECONDS, node=False)),
    "aggregator's clock set back": Fault(_stepped(-STEP_SECONDS, node=False)),
    "certificates rotated": Fault(_plain(_rotate)),
}
