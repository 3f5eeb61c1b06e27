"""Where to listen: `host:port`, `[v6]:port` or `:port`."""

import re
import socket
from dataclasses import dataclass
from typing import Self

from pulltrace.errors import PulltraceError

_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})", re.ASCII)
_BACKLOG = 128
# The kernel charges unsent bytes to the container. By default this grows to megabytes for each slow reader.
_SEND_BUFFER_BYTES = 256 * 1024


class ListenError(PulltraceError):
    """The address to listen on cannot be used: taken, not of this machine, not permitted, or unknown."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """One TCP address; an empty `host` means every address of the machine, IPv4 and IPv6."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`, `[v6]:port` or `:port`; raises ValueError for anything else."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not host:port, [IPv6 address]:port or :port")
        port = int(match["port"])
        if port > 65535:
            raise ValueError(f"{text!r}: port {port} is above 65535")
        if match["v6"] is not None and not _is_ipv6(match["v6"]):
            raise ValueError(f"{text!r}: {match['v6']!r} is not an IPv6 address")
        return cls(match["v6"] or match["host"] or "", port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def bind(self) -> socket.socket:
        """Open a listening socket; raises ListenError."""
        try:
            return self._bind()
        except OSError as error:
            raise ListenError(f"cannot listen on {self}: {error.strerror or error}") from error

    def _bind(self) -> socket.socket:
        if self.host in ("", "::") and socket.has_dualstack_ipv6():
            return _listen(socket.AF_INET6, ("::", self.port), dual_stack=True)
        found = socket.getaddrinfo(
            self.host or "0.0.0.0",  # noqa: S104 - every address is what the flag's default asks for
            self.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        # A name may have several addresses. One is used, IPv4 before IPv6, as Go's net.Listen does.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return _listen(family, address)


def _listen(family: int, address: tuple[object, ...], *, dual_stack: bool = False) -> socket.socket:
    # The protocol is named so that asyncio sees it is TCP and turns Nagle's delay off.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except OSError:
        return False
    return True
