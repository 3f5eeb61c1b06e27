"""The adapter at work on a cluster of a test, reached through a proxy, with a namespace of the test's own."""

import itertools
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from aggregator.kube.recorder import Recorder
from pulltrace.clock import SystemClock
from pulltrace_aggregator.kube.access import ApiAccess, source
from pulltrace_aggregator.kube.client import ApiClient, Timing
from pulltrace_aggregator.kube.reflector import Cluster, Stage, WatchState
from pulltrace_aggregator.kube.resources import Selection, selections
from pulltrace_aggregator.model.cluster import Observed, Receiver
from rig.kubernetes import objects
from rig.kubernetes.api import READ_EVERYTHING, Api, Object, Rule, kubeconfig
from rig.kubernetes.fake import FakeCluster
from rig.kubernetes.real.api_server import ApiServer
from rig.tcp_proxy import Proxy
from rig.web import wait_until

QUICK = Timing(
    connect=1,
    answer=5,
    watch=60,
    long_watch=60,
    grace=2,
    at_once=0.2,
    first_pause=0.05,
    longest_pause=0.5,
    refused_pause=1,
)
_numbers = itertools.count()


class RunningAdapter:
    """One adapter, what it has observed, and what it says of itself."""

    def __init__(self, cluster: Cluster, seen: Recorder) -> None:
        self.cluster = cluster
        self.seen = seen

    @property
    def problems(self) -> tuple[str, ...]:
        return self.cluster.health.problems

    def wait_up(self) -> Self:
        """Return when everything is listed and watched."""
        self.wait(lambda: self.cluster.health.up)
        return self

    def wait_stage(self, resource: str, stage: Stage) -> None:
        """Return when every watch of a resource is at this stage."""
        self.wait(lambda: all(watch.stage is stage for watch in self._watches(resource)))

    def wait_restarts(self, resource: str, reason: str, times: int = 1) -> None:
        """Return when watches of a resource were begun anew so often for this reason."""
        self.wait(lambda: self.restarts(resource, reason) >= times)

    def restarts(self, resource: str, reason: str) -> int:
        return self.cluster.health.restarts.get((resource, reason), 0)

    def wait(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, 30, lambda: self.cluster.health)

    def _watches(self, resource: str) -> list[WatchState]:
        return [watch for watch in self.cluster.health.watches if watch.resource == resource]


class AdapterSetup:
    """What a test needs: a cluster, a proxy before it, a namespace, and any number of adapters."""

    def __init__(self, cluster: FakeCluster | ApiServer, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self._closing = ExitStack()
        url = urlsplit(cluster.url)
        self.namespace = self.new_namespace()
        self.proxy = self._closing.enter_context(Proxy(("127.0.0.1", url.port or 443)))

    @property
    def api(self) -> Api:
        return self.cluster.api

    @property
    def url(self) -> str:
        """The proxy's URL."""
        return f"https://127.0.0.1:{self.proxy.port}"

    def new_namespace(self) -> str:
        name = f"test-{time.time_ns():x}-{next(_numbers)}"
        self.api.create(objects.namespace(name))
        return name

    def pod(self, name: str = "app", *containers: Object, namespace: str = "", **more: Any) -> Object:
        """Create a pod that waits on a node."""
        return self.api.create(objects.pod(namespace or self.namespace, name, *containers, **more))

    def event(self, about: Object, reason: str = "Pulling", message: str = "", **more: Any) -> Object:
        """Let a kubelet send an event about a pod."""
        return self.api.create(objects.event(about, reason, message or f"{reason} it", **more))

    def kubeconfig(self, token: str = "", token_file: Path | None = None) -> str:
        """The path of a kubeconfig that leads through the proxy."""
        path = self.folder / f"kubeconfig-{next(_numbers)}"
        path.write_text(
            kubeconfig(self.url, self.cluster.ca_file, token=token, token_file=token_file, others=("there",))
        )
        return str(path)

    def access(self, rules: Iterable[Rule] = READ_EVERYTHING, kubeconfig: str = "") -> ApiAccess:
        """As a new user with these rights, unless a kubeconfig says who."""
        access = ApiAccess(source(kubeconfig or self.kubeconfig(self.cluster.user(rules))), SystemClock())
        self._closing.callback(access.close)
        return access

    def client(self, rules: Iterable[Rule] = READ_EVERYTHING, timing: Timing = QUICK) -> ApiClient:
        return ApiClient(self.access(rules), timing, SystemClock())

    def follow(
        self,
        chosen: Iterable[Selection] = (),
        *,
        rules: Iterable[Rule] = READ_EVERYTHING,
        kubeconfig: str = "",
        timing: Timing = QUICK,
        receiver: Receiver[Observed] | None = None,
    ) -> RunningAdapter:
        """Start an adapter; everything in the test's namespace is followed unless something else is chosen."""
        seen = Recorder(receiver)
        chosen = tuple(chosen) or selections([self.namespace])
        cluster = Cluster(self.access(rules, kubeconfig), chosen, seen, SystemClock(), timing)
        self._closing.callback(cluster.close)
        cluster.start()
        return RunningAdapter(cluster, seen)

    def close(self) -> None:
        """End the adapters, and leave the cluster running for the next test."""
        self._closing.close()
        self.cluster.start()
