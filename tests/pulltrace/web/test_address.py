"""Listening: how addresses are written, and what is said when one cannot be had."""

import socket

import pytest

from pulltrace.web.address import ListenAddress, ListenError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":10301", "", 10301),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("node-1.example:65535", "node-1.example", 65535),
        ("[::1]:10301", "::1", 10301),
        ("[fe80::1%eth0]:10301", "fe80::1%eth0", 10301),
    ],
)
def test_an_address_is_read_and_written_back(text: str, host: str, port: int) -> None:
    address = ListenAddress.parse(text)
    assert (address.host, address.port) == (host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "10301", "localhost", "localhost:", "::1:80", "[::1]", "[::1:80", "[]:80", "[localhost]:80", ":http",
     ":-1", ":65536", ":123456", "a:b:80", ":80 ", ":٨٠"],
)  # fmt: skip
def test_a_wrong_address_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"IPv6|above 65535") as raised:
        ListenAddress.parse(text)
    assert repr(text) in str(raised.value)


def test_without_a_host_both_families_are_served() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with ListenAddress.parse(":0").bind() as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


def test_an_ipv4_address_does_not_serve_ipv6() -> None:
    with ListenAddress.parse("0.0.0.0:0").bind() as listener:
        assert listener.family == socket.AF_INET


def test_an_address_in_use_is_said() -> None:
    with ListenAddress.parse("127.0.0.1:0").bind() as listener:
        taken = ListenAddress("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(ListenError) as raised:
            taken.bind()
    assert str(raised.value) == f"cannot listen on {taken}: Address already in use"


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:80: Cannot assign requested address"):
        ListenAddress.parse("192.0.2.1:80").bind()
