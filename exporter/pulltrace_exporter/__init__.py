"""The per-node program: reads containerd, serves image pulls to Prometheus."""
