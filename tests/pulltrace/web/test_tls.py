"""Serving over TLS, with client certificates and passwords, and their change while serving."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulltrace.web import Response
from rig.pki import Authority
from rig.web import MUTUAL_TLS, PAGE, PROBES, TLS, Client, basic, get, hashed, put, serving

pytestmark = pytest.mark.contract

CA = Authority()
OTHER_CA = Authority("another CA")
MUTUAL = MUTUAL_TLS.replace("ca.crt", "clients.crt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CA.write(tmp_path)
    CA.write(tmp_path, "clients")
    CA.issue().write(tmp_path, "server")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    return put(folder / "web.yml", text)


def trusting(folder: Path, authority: Authority | None = None) -> ssl.SSLContext:
    """A client that trusts CA; with a certificate of `authority` if there is one."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    if authority:
        context.load_cert_chain(*authority.issue("client").write(folder, "client"))
    return context


@contextlib.contextmanager
def turned_away() -> Iterator[None]:
    with pytest.raises((ssl.SSLError, ConnectionError, BrokenPipeError)):
        yield


def serial_number(port: int, tls: ssl.SSLContext) -> str:
    with Client(port, tls=tls) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        return str((client.socket.getpeercert() or {})["serialNumber"])


def test_pages_are_served_over_tls(folder: Path) -> None:
    tls = trusting(folder)
    tls.set_alpn_protocols(["h2", "http/1.1"])  # as Prometheus offers
    with serving(config=written(folder, TLS)) as server, Client(server.port, tls=tls) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        assert client.socket.version() == "TLSv1.3"
        for _ in range(2):
            assert client.get("/metrics").body == PAGE


def test_a_large_page_arrives_whole(folder: Path) -> None:
    body = bytes(range(256)) * 20_000
    with serving({"/": lambda _request: Response(body=body)}, written(folder, TLS)) as server:
        assert get(server.port, "/", tls=trusting(folder)).body == body


def test_plain_http_to_a_tls_port_is_dropped(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(config=written(folder, TLS)) as server:
        with Client(server.port) as client:
            client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.ended()
        assert get(server.port, "/metrics", tls=trusting(folder)).status == 200
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


@pytest.mark.parametrize(("least", "most", "served"), [
    ("TLS12", "TLSv1_2", True), ("TLS13", "TLSv1_2", False), ("TLS13", "TLSv1_3", True),
])  # fmt: skip
def test_older_versions_of_tls_are_refused(folder: Path, least: str, most: str, served: bool) -> None:
    tls = trusting(folder)
    tls.maximum_version = ssl.TLSVersion[most]
    config = written(folder, f"{TLS}  min_version: {least}\n")
    with serving(config=config) as server, contextlib.nullcontext() if served else turned_away():
        assert get(server.port, "/metrics", tls=tls).status == 200


@pytest.mark.parametrize(
    ("auth", "authority", "served"),
    [
        ("RequireAndVerifyClientCert", CA, True),
        ("RequireAndVerifyClientCert", None, False),
        ("RequireAndVerifyClientCert", OTHER_CA, False),
        ("VerifyClientCertIfGiven", CA, True),
        ("VerifyClientCertIfGiven", None, True),
        ("VerifyClientCertIfGiven", OTHER_CA, False),
    ],
)
@pytest.mark.parametrize("path", ["/metrics", *PROBES])
def test_client_certificates_are_asked_for(
    folder: Path, auth: str, authority: Authority | None, served: bool, path: str
) -> None:
    config = written(folder, MUTUAL.replace("RequireAndVerifyClientCert", auth))
    with serving(config=config) as server, contextlib.nullcontext() if served else turned_away():
        assert get(server.port, path, tls=trusting(folder, authority)).status == 200


def test_a_new_certificate_is_served_without_a_restart(folder: Path) -> None:
    """Not before its key has come, too."""
    tls = trusting(folder)
    new = CA.issue()
    with serving(config=written(folder, TLS)) as server:
        before = serial_number(server.port, tls)
        (folder / "server.crt").write_bytes(new.certificate)
        assert serial_number(server.port, tls) == before
        assert not server.config.last_reload_successful
        (folder / "server.key").write_bytes(new.key)
        assert serial_number(server.port, tls) != before
        assert server.config.last_reload_successful


def test_a_client_ca_that_is_taken_out_lets_nobody_in(folder: Path) -> None:
    tls = trusting(folder, CA)
    with serving(config=written(folder, MUTUAL)) as server, Client(server.port, tls=tls) as kept:
        assert kept.get("/metrics").status == 200
        OTHER_CA.write(folder, "clients")
        with turned_away():
            kept.get("/metrics")
        with turned_away():
            get(server.port, "/metrics", tls=tls)
        assert get(server.port, "/metrics", tls=trusting(folder, OTHER_CA)).status == 200


def test_idle_connections_end_when_the_configuration_changes(folder: Path) -> None:
    tls = trusting(folder)
    with serving(config=written(folder, TLS)) as server, Client(server.port, tls=tls) as idle:
        assert idle.get("/metrics").status == 200
        written(folder, MUTUAL)
        with turned_away():
            get(server.port, "/-/healthy", tls=tls)
        assert idle.ended()


def test_tls_can_be_turned_on_and_off(folder: Path) -> None:
    tls = trusting(folder)
    with serving(config=written(folder, "")) as server:
        assert get(server.port, "/metrics").status == 200
        written(folder, TLS)
        assert get(server.port, "/metrics", tls=tls).status == 200
        with turned_away():
            get(server.port, "/metrics")
        written(folder, "")
        assert get(server.port, "/metrics").status == 200


def test_a_changed_password_counts_at_once(folder: Path) -> None:
    old, new = basic("prometheus", "old"), basic("prometheus", "new")
    users = TLS + "basic_auth_users:\n  prometheus: {}\n"
    tls = trusting(folder)
    with serving(config=written(folder, users.format(hashed("old")))) as server:
        assert get(server.port, "/metrics", tls=tls, **old).status == 200
        written(folder, users.format(hashed("new")))
        assert get(server.port, "/metrics", tls=tls, **old).status == 401
        assert get(server.port, "/metrics", tls=tls, **new).status == 200
        written(folder, TLS + "basic_auth_users: {}\nno_such_key: 1\n")
        assert get(server.port, "/metrics", tls=tls).status == 401, "a wrong file opens nothing"
        assert not server.config.last_reload_successful
