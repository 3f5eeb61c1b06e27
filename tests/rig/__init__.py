"""Support for tests: daemons, registry, stand-ins and clients."""
