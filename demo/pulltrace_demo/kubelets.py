"""A stand-in for the kubelet: it pulls for its pods, one image at a time, and writes what a kubelet writes."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from rig.kubernetes import objects
from rig.kubernetes.api import Api
from rig.kubernetes.kubelet_pod import KubeletPod
from rig.node import Node, PullFailed

LOOK = 0.1
FAILED_SECONDS = 2.0
BACK_OFF_SECONDS = 8.0
NAMESPACE = "shop"


@dataclass(slots=True)
class _Tenant:
    """A pod and when its image was asked for last, or is to be asked for again."""

    pod: KubeletPod
    asked: float = 0.0
    again: float = 0.0
    backing_off: bool = False
    there: bool = False


class Kubelet:
    """The kubelet of one node, in a thread of its own."""

    def __init__(self, name: str, node: Node, api: Api) -> None:
        self.name = name
        self._node = node
        self._api = api
        self._lock = threading.Lock()
        self._tenants: list[_Tenant] = []
        self._line: deque[_Tenant] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kubelet {name}")

    def start(self) -> None:
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether it ended without being told to."""
        return not self._thread.is_alive() and not self._over.is_set()

    @property
    def idle(self) -> bool:
        """Whether every pod runs, or waits for another attempt after a failure."""
        with self._lock:
            return all(tenant.there or tenant.again for tenant in self._tenants)

    def stop(self) -> None:
        """End it, and the pull that is under way; returns when it has."""
        self._over.set()
        self._thread.join()

    def admit(self, name: str, image: str) -> None:
        """A pod comes to this node."""
        item = self._api.create(objects.pod(NAMESPACE, name, objects.container("main", image), node=self.name))
        tenant = _Tenant(KubeletPod(self._api, item))
        tenant.pod.waits()
        with self._lock:
            self._tenants.append(tenant)
            self._ask(tenant)

    def evict(self) -> None:
        """Delete all pods."""
        with self._lock:
            tenants, self._tenants = self._tenants, []
            self._line.clear()
        for tenant in tenants:
            tenant.pod.delete()

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            with self._lock:
                self._retry()
                tenant = self._line.popleft() if self._line else None
            if tenant:
                self._pull(tenant)

    def _ask(self, tenant: _Tenant) -> None:
        tenant.asked, tenant.again, tenant.backing_off = time.monotonic(), 0.0, False
        tenant.pod.pulling()
        self._line.append(tenant)

    def _retry(self) -> None:
        now = time.monotonic()
        for tenant in self._tenants:
            if not tenant.again:
                continue
            if now >= tenant.again:
                self._ask(tenant)
            elif not tenant.backing_off and now >= tenant.again - BACK_OFF_SECONDS:
                tenant.backing_off = True
                tenant.pod.event("BackOff", f'Back-off pulling image "{tenant.pod.image}"')
                tenant.pod.waits("ImagePullBackOff", f'Back-off pulling image "{tenant.pod.image}"')

    def _pull(self, tenant: _Tenant) -> None:
        began = time.monotonic()
        pull = self._node.pull(tenant.pod.image)
        while not pull.done:
            if self._over.wait(LOOK):
                pull.cancel()
                return
        try:
            pull.wait()
        except PullFailed as error:
            self._write(tenant, failed=str(error))
        else:
            now = time.monotonic()
            self._write(tenant, took=f"{now - began:.3f}s", total=f"{now - tenant.asked:.3f}s")

    def _write(self, tenant: _Tenant, *, failed: str = "", took: str = "", total: str = "") -> None:
        with self._lock:
            if tenant not in self._tenants:
                return
            if failed:
                tenant.pod.failed(failed)
                tenant.pod.event("Failed", "Error: ErrImagePull")
                tenant.pod.waits("ErrImagePull", failed)
                tenant.again = time.monotonic() + FAILED_SECONDS + BACK_OFF_SECONDS
            else:
                tenant.there = True
                tenant.pod.pulled(took=took, total=total)
                tenant.pod.runs()
