"""Errors of the exporter. The adapters turn errors of libraries into these."""

from pulltrace.errors import PulltraceError
from pulltrace.text import one_line


class ExporterError(PulltraceError):
    """Root of the exporter's own errors."""


class UnsafeSocketError(ExporterError):
    """The containerd socket is one that the exporter must not trust; the message says why."""


class ContainerdError(ExporterError):
    """A call to containerd failed.

    `call` is `Service/Method`, `code` the gRPC status code's name, `detail` containerd's own words in one line. It is
    cut to 300 characters, because it can hold a whole HTTP answer of a registry.
    """

    def __init__(self, call: str, code: str, detail: object = "") -> None:
        self.call = call
        self.code = code
        self.detail = one_line(detail)
        super().__init__(f"{call}: {code}: {self.detail}" if self.detail else f"{call}: {code}")
