"""What both Pulltrace programs share: the vocabulary of image pulls, and serving."""

__version__ = "0.1.0"
