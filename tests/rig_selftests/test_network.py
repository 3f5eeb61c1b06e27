"""A network of a test's own."""

import os
import socket
import threading
from pathlib import Path

import pytest

from rig import needs
from rig.kubernetes.real.control_plane import NFTABLES
from rig.network import own_network

pytestmark = pytest.mark.integration

OWN = Path("/proc/thread-self/ns/net")


def test_packets_are_lost_and_sent_again(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        needs.miss("network namespaces need root")
    needs.program(NFTABLES)
    outside = OWN.readlink()
    with own_network(tmp_path) as network, socket.create_server(("127.0.0.1", 0)) as server:
        assert OWN.readlink() != outside
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as other:
            echo = threading.Thread(target=_echo, args=(other,))
            echo.start()
            with network.lossy(3, server.getsockname()[1]) as lost:
                for number in range(10):
                    client.sendall(bytes([number]))
                    assert client.recv(1) == bytes([number])
                assert lost()
                assert _sent_again(client)
            client.shutdown(socket.SHUT_WR)
            echo.join()
    assert OWN.readlink() == outside


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(1):
        connection.sendall(data)


def _sent_again(connection: socket.socket) -> int:
    """The field `tcpi_total_retrans` of the kernel's struct."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[100:104], "little")
