"""Generated stubs of the Container Runtime Interface, for tests. Regenerate with `make stubs`."""
