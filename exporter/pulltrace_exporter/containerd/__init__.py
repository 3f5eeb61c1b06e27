"""Adapter to containerd: everything that knows its gRPC API."""
