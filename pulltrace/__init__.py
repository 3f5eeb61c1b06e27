"""What the Pulltrace programs share: values and their JSON, flags, logs, metrics, and serving over HTTP."""

__version__ = "0.1.0"
