"""A bare client of the read calls, for tests of the stand-in: stubs and nothing else."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.empty_pb2 import Empty

from pulltrace_exporter.containerd.api import (
    content_pb2,
    content_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    images_pb2,
    images_pb2_grpc,
    leases_pb2,
    leases_pb2_grpc,
    snapshots_pb2,
    snapshots_pb2_grpc,
    version_pb2_grpc,
)

PULL_LEASES = 'labels."containerd.io/gc.expire"'
TIMEOUT = 10.0


class Heard:
    """Topics of the events that came so far, and the events themselves."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @property
    def topics(self) -> list[str]:
        return [event.topic for event in self.events]


class Asking:
    """One connection to a daemon."""

    def __init__(self, socket: Path, namespace: str = "k8s.io") -> None:
        self._metadata = (("containerd-namespace", namespace),) if namespace else ()
        self._channel = grpc.insecure_channel(
            f"unix:{socket}", options=[("grpc.max_reconnect_backoff_ms", 100), ("grpc.use_local_subchannel_pool", 1)]
        )

    def version(self) -> str:
        return str(version_pb2_grpc.VersionStub(self._channel).Version(Empty(), timeout=TIMEOUT).version)

    def leases(self, *filters: str) -> list[Any]:
        """Those of pulls, unless asked otherwise."""
        request = leases_pb2.ListRequest(filters=filters or (PULL_LEASES,))
        return list(self._call(leases_pb2_grpc.LeasesStub(self._channel).List, request).leases)

    def resources(self, lease_id: str, kind: str) -> list[str]:
        """Names of one kind in the lease; snapshots of any snapshotter."""
        request = leases_pb2.ListResourcesRequest(id=lease_id)
        found = self._call(leases_pb2_grpc.LeasesStub(self._channel).ListResources, request).resources
        return [each.id for each in found if each.type.partition("/")[0] == kind]

    def info(self, digest: str) -> Any:
        request = content_pb2.InfoRequest(digest=digest)
        return self._call(content_pb2_grpc.ContentStub(self._channel).Info, request).info

    def labels(self, digest: str) -> dict[str, str]:
        return dict(self.info(digest).labels)

    def read(self, digest: str, offset: int = 0, size: int = 0) -> bytes:
        request = content_pb2.ReadContentRequest(digest=digest, offset=offset, size=size)
        answer = self._call(content_pb2_grpc.ContentStub(self._channel).Read, request)
        return b"".join(part.data for part in answer)

    def ingests(self) -> dict[str, Any]:
        """By ref."""
        request = content_pb2.ListStatusesRequest()
        found = self._call(content_pb2_grpc.ContentStub(self._channel).ListStatuses, request).statuses
        return {status.ref: status for status in found}

    def stat(self, key: str, snapshotter: str = "overlayfs") -> Any:
        request = snapshots_pb2.StatSnapshotRequest(snapshotter=snapshotter, key=key)
        return self._call(snapshots_pb2_grpc.SnapshotsStub(self._channel).Stat, request).info

    def snapshots(self, snapshotter: str = "overlayfs") -> list[Any]:
        request = snapshots_pb2.ListSnapshotsRequest(snapshotter=snapshotter)
        answer = self._call(snapshots_pb2_grpc.SnapshotsStub(self._channel).List, request)
        return [info for part in answer for info in part.info]

    def images(self, *filters: str) -> dict[str, Any]:
        """By name."""
        request = images_pb2.ListImagesRequest(filters=filters)
        found = self._call(images_pb2_grpc.ImagesStub(self._channel).List, request).images
        return {image.name: image for image in found}

    @contextmanager
    def hearing(self, *filters: str) -> Iterator[Heard]:
        """Events during the block; what was published before it is lost."""
        heard = Heard()
        stub = events_pb2_grpc.EventsStub(self._channel)
        call = stub.Subscribe(events_pb2.SubscribeRequest(filters=filters))

        def listen() -> None:
            try:
                for event in call:
                    heard.events.append(event)
            except grpc.RpcError:
                return

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            call.cancel()
            thread.join()

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: Any, request: Any) -> Any:
        return method(request, metadata=self._metadata, timeout=TIMEOUT)


def wait_until(condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """The first truth that the condition answers; raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s")
        time.sleep(0.005)
