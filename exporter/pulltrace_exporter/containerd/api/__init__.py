"""Generated stubs of the part of the containerd API that reads. Regenerate with `make stubs`."""
