"""Kubernetes of the real programs: an API server alone, one with a single node, and a cluster of three nodes."""
