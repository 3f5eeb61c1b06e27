"""A current Kubernetes cluster of three nodes, made of the real programs, in a network namespace of its own."""
