"""gRPC over a unix socket, the calling half alone: see docs/decisions/0011-call-containerd-without-grpcio.md."""
