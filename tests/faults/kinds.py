"""What goes wrong: each fault begins, holds for a moment in the middle of a pull, and is over."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from faults.looks import look
from faults.world import Asked, World
from rig import clock
from rig.images import MIB
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


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind. `during` is its time; the rest of the pulls comes after it, unless it lets them go on itself.

    `arrives` tells that every byte sent arrives, `lives` that the exporter is the same afterwards, `answers` that CRI's
    answers come from a containerd that lives.
    """

    during: Callable[[World, list[Asked], Callable[[], None]], AbstractContextManager[None]]
    arrives: bool = True
    lives: bool = True
    answers: bool = True


def _plain(action: Callable[[World], None]) -> Callable[..., AbstractContextManager[None]]:
    @contextmanager
    def during(world: World, _asked: list[Asked], _go_on: Callable[[], None]) -> Iterator[None]:
        action(world)
        yield

    return during


def _paused(pid: Callable[[World], int]) -> Callable[..., AbstractContextManager[None]]:
    @contextmanager
    def during(world: World, _asked: list[Asked], _go_on: Callable[[], None]) -> Iterator[None]:
        process = pid(world)
        os.kill(process, signal.SIGSTOP)
        try:
            time.sleep(MOMENT)
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    return during


def _without_descriptors(pid: Callable[[World], int]) -> Callable[..., AbstractContextManager[None]]:
    """It may open no more than it has."""

    @contextmanager
    def during(world: World, _asked: list[Asked], go_on: Callable[[], None]) -> Iterator[None]:
        process = pid(world)
        soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{process}/fd").iterdir())), hard))
        try:
            go_on()
            time.sleep(MOMENT)
            yield
        finally:
            resource.prlimit(process, resource.RLIMIT_NOFILE, (soft, hard))

    return during


def _on_the_way(
    proxy: Callable[[World], Proxy], begin: Callable[[Proxy], None], end: Callable[[Proxy], None]
) -> Callable[..., AbstractContextManager[None]]:
    """The proxy does something else for a while."""

    @contextmanager
    def during(world: World, _asked: list[Asked], go_on: Callable[[], None]) -> Iterator[None]:
        begin(proxy(world))
        try:
            go_on()
            time.sleep(MOMENT)
            yield
        finally:
            end(proxy(world))

    return during


def _frozen(proxy: Callable[[World], Proxy]) -> Callable[..., AbstractContextManager[None]]:
    """As where all packets are lost for a while, and sent again."""
    return _on_the_way(proxy, Proxy.freeze, Proxy.thaw)


def _refused(proxy: Callable[[World], Proxy]) -> Callable[..., AbstractContextManager[None]]:
    return _on_the_way(proxy, Proxy.refuse, Proxy.allow)


def _lossy(port: Callable[[World], int]) -> Callable[..., AbstractContextManager[None]]:
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


def _stepped(seconds: int, node: bool) -> Callable[..., AbstractContextManager[None]]:
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


def _kill_containerd(world: World) -> None:
    world.containerd.crash()
    world.containerd.start()


def _kill_exporter(world: World) -> None:
    world.exporter.kill()
    world.start_exporter()


def _restart_exporter(world: World) -> None:
    world.exporter.close()
    world.start_exporter()


def _kill_aggregator(world: World) -> None:
    world.aggregator.kill()
    world.start_aggregator()


def _restart_aggregator(world: World) -> None:
    world.aggregator.close()
    world.start_aggregator()


def _kill_api_server(world: World) -> None:
    world.cluster.stop()
    world.cluster.start()


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
def _killed_registry(world: World, _asked: list[Asked], go_on: Callable[[], None]) -> Iterator[None]:
    """It starts again a moment later, where it was and with what it had."""
    world.registry.crash()
    world.to_registry.refuse()
    try:
        go_on()
        time.sleep(MOMENT)
        yield
    finally:
        world.registry.start()
        world.to_registry.allow()


@contextmanager
def _silent_registry(world: World, _asked: list[Asked], go_on: Callable[[], None]) -> Iterator[None]:
    hang = world.registry.hang()
    try:
        go_on()
        time.sleep(MOMENT)
        yield
    finally:
        hang.release()


@contextmanager
def _nothing(_world: World, _asked: list[Asked], _go_on: Callable[[], None]) -> Iterator[None]:
    yield


FAULTS: Final[Mapping[str, Fault]] = {
    "nothing": Fault(_nothing),
    "containerd killed": Fault(_plain(_kill_containerd), arrives=False, answers=False),
    "containerd paused": Fault(_paused(lambda world: world.containerd.pid)),
    "containerd without descriptors": Fault(_without_descriptors(lambda world: world.containerd.pid), arrives=False),
    "containerd's disk full": Fault(_full_disk, arrives=False),
    "exporter killed": Fault(_plain(_kill_exporter), lives=False),
    "exporter restarted": Fault(_plain(_restart_exporter), lives=False),
    "exporter paused": Fault(_paused(lambda world: world.exporter.process.pid)),
    "exporter without descriptors": Fault(_without_descriptors(lambda world: world.exporter.process.pid)),
    "exporter cut off": Fault(_refused(lambda world: world.to_exporter)),
    "exporter out of hearing": Fault(_frozen(lambda world: world.to_exporter)),
    "aggregator killed": Fault(_plain(_kill_aggregator)),
    "aggregator restarted": Fault(_plain(_restart_aggregator)),
    "aggregator paused": Fault(_paused(lambda world: world.aggregator.process.pid)),
    "aggregator without descriptors": Fault(_without_descriptors(lambda world: world.aggregator.process.pid)),
    "API server killed": Fault(_plain(_kill_api_server)),
    "API server paused": Fault(_paused(lambda world: world.cluster.pid)),
    "API server cut off": Fault(_refused(lambda world: world.to_cluster)),
    "API server out of hearing": Fault(_frozen(lambda world: world.to_cluster)),
    "registry cut off": Fault(_refused(lambda world: world.to_registry), arrives=False),
    "registry's connections cut": Fault(_plain(lambda world: world.to_registry.cut()), arrives=False),
    "registry out of hearing": Fault(_frozen(lambda world: world.to_registry)),
    "registry silent": Fault(_silent_registry),
    "registry killed": Fault(_killed_registry, arrives=False),
    "exporter's packets lost": Fault(_lossy(lambda world: world.to_exporter.port)),
    "API server's packets lost": Fault(_lossy(lambda world: world.to_cluster.port)),
    "registry's packets lost": Fault(_lossy(lambda world: world.to_registry.port)),
    "node's clock set forward": Fault(_stepped(STEP_SECONDS, node=True)),
    "node's clock set back": Fault(_stepped(-STEP_SECONDS, node=True)),
    "aggregator's clock set forward": Fault(_stepped(STEP_SECONDS, node=False)),
    "aggregator's clock set back": Fault(_stepped(-STEP_SECONDS, node=False)),
    "certificates rotated": Fault(_plain(_rotate)),
}
