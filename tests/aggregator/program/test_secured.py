"""TLS, client certificates, passwords and tokens on both sides of the program."""

from pathlib import Path
from ssl import SSLError, create_default_context

import pytest

from rig import pki
from rig.mini_cluster import MiniCluster
from rig.web import basic, get, hashed

pytestmark = pytest.mark.contract

SERVER = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL = SERVER + "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = pki.Authority()
    authority.write(tmp_path)
    authority.issue().write(tmp_path, "server")
    authority.issue("client").write(tmp_path, "client")
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("web", "client"),
    [
        (SERVER, "tls_config:\n  ca_file: ca.crt\n"),
        (MUTUAL, "tls_config:\n  ca_file: ca.crt\n  cert_file: client.crt\n  key_file: client.key\n"),
        (
            SERVER + "basic_auth_users:\n  scraper: PASSWORD\n",
            "tls_config:\n  ca_file: ca.crt\nbasic_auth:\n  username: scraper\n  password: s3cret\n",
        ),
    ],
    ids=["tls", "mtls", "tls and password"],
)
def test_exporters_that_ask_for_it(cluster: MiniCluster, folder: Path, web: str, client: str) -> None:
    config = write(folder, "web.yml", web.replace("PASSWORD", hashed("s3cret")))
    node = cluster.node(config=config)
    node.pull()
    url = node.url.replace("http:", "https:")
    file = write(folder, "http.yml", client)
    aggregator = cluster.aggregator(f"--exporter.target=node-1={url}", f"--exporter.http-config.file={file}")
    aggregator.wait(lambda view: view["pulls"])
    assert "s3cret" not in aggregator.log.read_text()


def test_an_exporter_found_by_its_slice_is_asked_over_tls_when_that_is_configured(
    cluster: MiniCluster, folder: Path
) -> None:
    node = cluster.node(config=write(folder, "web.yml", SERVER))
    node.pull()
    cluster.slice("exporters", node)
    file = write(folder, "http.yml", "tls_config:\n  ca_file: ca.crt\n")
    aggregator = cluster.aggregator("--exporter.service=shop/exporters", f"--exporter.http-config.file={file}")
    view = aggregator.wait(lambda view: view["pulls"])
    assert view["pulls"][0]["node"] == "node-1"


def test_the_pages_are_served_with_certificates_and_passwords(cluster: MiniCluster, folder: Path) -> None:
    web = write(folder, "web.yml", MUTUAL + f"basic_auth_users:\n  prometheus: {hashed('s3cret')}\n")
    aggregator = cluster.aggregator(f"--web.config.file={web}", ready=False)
    tls = create_default_context(cafile=folder / "ca.crt")
    with pytest.raises((SSLError, OSError)):
        get(aggregator.port, "/metrics", tls=tls)
    tls.load_cert_chain(folder / "client.crt", folder / "client.key")
    assert get(aggregator.port, "/-/healthy", tls=tls).status == 200
    assert get(aggregator.port, "/v1/pulls", tls=tls).status == 401
    answer = get(aggregator.port, "/metrics", tls=tls, **basic("prometheus", "s3cret"))
    assert answer.status == 200
    assert b"pulltrace_web_config_last_reload_successful 1" in answer.body
