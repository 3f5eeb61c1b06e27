"""The socket: made anew at each start, left behind by a crash, unlinked by an orderly end."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from rig.standin.faults import Faults
from rig.standin.services import Call, Method, Services

WORKERS = 32
SOCKET_MODE = 0o660


class Listener:
    """A gRPC server on a unix socket; its threads end with it."""

    def __init__(self, path: Path, services: Services, faults: Faults) -> None:
        self._path = path
        self._services = services
        self._faults = faults
        self._server: grpc.Server | None = None
        self._threads: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Listen; returns when a client can connect."""
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="rpc")
        self._server = grpc.server(self._threads, options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(service, self._handlers(service, methods))
                for service, methods in self._services.methods.items()
            )
        )
        self._server.add_insecure_port(f"unix:{self._path}")
        self._path.chmod(SOCKET_MODE)
        self._server.start()

    def stop(self, *, leave_socket: bool = False) -> None:
        """End every connection; with `leave_socket` the dead file stays, as after SIGKILL."""
        server, threads = self._server, self._threads
        if server is None or threads is None:
            return
        aside = self._path.with_name(f"{self._path.name}.aside")
        if leave_socket:
            # The library unlinks the path when it closes; another name keeps the inode and its times.
            aside.hardlink_to(self._path)
        self._faults.release()
        server.stop(grace=None).wait()
        threads.shutdown(wait=True)
        self._server = self._threads = None
        if leave_socket:
            aside.replace(self._path)

    def _handlers(self, service: str, methods: Mapping[str, Method]) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        short = service.rpartition(".")[2]
        return {name: self._handler(f"{short}/{name}", method) for name, method in methods.items()}

    def _handler(self, call: str, method: Method) -> "grpc.RpcMethodHandler[Any, Any]":
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self._faults.before(call, context)
            namespace = dict(context.invocation_metadata()).get("containerd-namespace", "")
            return method.answer(request, Call(str(namespace), context))

        make = grpc.unary_stream_rpc_method_handler if method.stream else grpc.unary_unary_rpc_method_handler
        return make(
            answer,
            request_deserializer=method.request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
