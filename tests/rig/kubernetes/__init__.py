"""Kubernetes for tests: a fake API server in this process, and the real programs, built from pinned Go modules."""
