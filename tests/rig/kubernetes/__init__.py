"""Kubernetes for tests: an API server in this process, and the real one with etcd, built from Debian's sources."""
