"""TLS, client certificates, passwords and tokens on both sides of the program."""

from pathlib import Path
from ssl import SSLError, create_default_context

import pytest

from rig import pki
from rig.mini_cluster import MiniCluster
from rig.web import MUTUAL_TLS, basic, get, hashed, put

pytestmark = pytest.mark.contract


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = pki.Authority()
    authority.write(tmp_path)
    authority.issue().write(tmp_path, "server")
    authority.issue("client").write(tmp_path, "client")
    return tmp_path


@pytest.fixture
def web(folder: Path) -> Path:
    """What serves to those with a certificate and a password."""
    return put(folder / "web.yml", MUTUAL_TLS + f"basic_auth_users:\n  prometheus: {hashed('s3cret')}\n")


def test_an_exporter_found_by_its_slice_is_asked_with_a_certificate_and_a_password(
    cluster: MiniCluster, folder: Path, web: Path
) -> None:
    node = cluster.node(config=web)
    node.pull()
    cluster.slice("exporters", node)
    certificate = "tls_config:\n  ca_file: ca.crt\n  cert_file: client.crt\n  key_file: client.key\n"
    file = put(folder / "http.yml", f"{certificate}basic_auth:\n  username: prometheus\n  password: s3cret\n")
    aggregator = cluster.aggregator("--exporter.service=shop/exporters", f"--exporter.http-config.file={file}")
    view = aggregator.wait(lambda view: view["pulls"])
    assert view["pulls"][0]["node"] == "node-1"
    assert "s3cret" not in aggregator.log.read_text()


def test_the_pages_are_served_with_certificates_and_passwords(cluster: MiniCluster, folder: Path, web: Path) -> None:
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
