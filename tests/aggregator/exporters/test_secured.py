"""TLS, client certificates, passwords and tokens, and their change while the watched runs."""

from pathlib import Path

import pytest

from pulltrace_aggregator.exporters.errors import Result
from rig.exporter_reading import a_slice, answers, reading
from rig.fake_exporters import FakeExporter, RawServer, http, says
from rig.pki import Authority
from rig.sample_views import a_pull, a_report
from rig.web import MUTUAL_TLS, TLS, hashed, put, wait_until

pytestmark = pytest.mark.contract

CA, OTHER_CA = Authority(), Authority("another")
SERVER = CA.issue()
BUSY = a_report(a_pull(layers=()), node="n1")
TRUST = "tls_config:\n  ca_file: ca.crt\n"
WITH_CERTIFICATE = f"{TRUST}  cert_file: client.crt\n  key_file: client.key\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CA.write(tmp_path)
    OTHER_CA.write(tmp_path, "other")
    SERVER.write(tmp_path, "server")
    CA.issue("aggregator").write(tmp_path, "client")
    return tmp_path


@pytest.mark.parametrize(
    ("web", "client"),
    [
        (TLS, TRUST),
        (TLS, f"{TRUST}  server_name: localhost\n"),
        (TLS, f"{TRUST}  min_version: TLS13\n"),
        (f"{TLS}  min_version: TLS13\n", TRUST),
        (TLS, "tls_config:\n  insecure_skip_verify: true\n"),
        (TLS, "tls_config:\n  insecure_skip_verify: true\n  server_name: wrong.example\n"),
        (MUTUAL_TLS, WITH_CERTIFICATE),
    ],
)
def test_over_tls(folder: Path, web: str, client: str) -> None:
    config = put(folder / "http.yml", client)
    with FakeExporter(BUSY).served(put(folder / "web.yml", web)) as exporter, reading(config=config) as watched:
        watched.poller.receive(a_slice(("n1", "127.0.0.1", exporter.port)))
        assert watched.wait(answers).base_url == f"https://127.0.0.1:{exporter.port}"
        watched.wait_for(Result.NOT_MODIFIED, 2)


@pytest.mark.parametrize(
    ("web", "client", "result", "detail"),
    [
        (TLS, "tls_config:\n  ca_file: other.crt\n", Result.TLS, "unable to get local issuer certificate"),
        (TLS, "tls_config: {}\n", Result.TLS, "unable to get local issuer certificate"),
        (TLS, f"{TRUST}  server_name: wrong.example\n", Result.TLS, "wrong.example"),
        (MUTUAL_TLS, TRUST, Result.CONNECTION, "client certificate"),
        ("", TRUST, Result.TLS, ""),
        (TLS, "", Result.CONNECTION, ""),
    ],
)
def test_no_answer_without_the_right_certificates(
    folder: Path, web: str, client: str, result: Result, detail: str
) -> None:
    config = put(folder / "http.yml", client)
    with FakeExporter(BUSY).served(put(folder / "web.yml", web)) as exporter, reading(config=config) as watched:
        watched.poller.receive(a_slice(("n1", "127.0.0.1", exporter.port)))
        seen = watched.wait(lambda seen: seen.error)
        assert (seen.error, exporter.asked) == (result, [])
        assert detail in seen.detail


def test_a_target_by_flag_says_itself_whether_it_is_over_tls(folder: Path) -> None:
    config = put(folder / "http.yml", TRUST)
    with FakeExporter(BUSY).served(put(folder / "web.yml", TLS)) as secure, FakeExporter(BUSY).served() as plain:
        targets = (f"n1=https://localhost:{secure.port}", f"n2={plain.url}")
        with reading(*targets, wanted=["n1", "n2"], config=config) as watched:
            watched.wait(answers, "n1")
            watched.wait(answers, "n2")
        with reading(targets[0]) as watched:
            assert watched.wait(lambda seen: seen.error).error is Result.TLS


def test_basic_auth_and_its_change(folder: Path) -> None:
    web = put(folder / "web.yml", f"basic_auth_users:\n  aggregator: {hashed('one')}\n")
    put(folder / "password", "one\n")
    config = put(folder / "http.yml", "basic_auth:\n  username: aggregator\n  password_file: password\n")
    with FakeExporter(BUSY).served(web) as exporter, reading(f"n1={exporter.url}", config=config) as watched:
        watched.wait(answers)
        put(folder / "web.yml", f"basic_auth_users:\n  aggregator: {hashed('two')}\n")
        assert watched.wait(lambda seen: seen.error).error is Result.UNAUTHORIZED
        put(folder / "password", "two\n")
        watched.wait(answers)


def test_a_bearer_token_and_its_change(folder: Path) -> None:
    put(folder / "token", "one")
    config = put(folder / "http.yml", "authorization:\n  credentials_file: token\n")
    with FakeExporter(BUSY).served() as exporter, reading(f"n1={exporter.url}", config=config) as watched:
        watched.wait(answers)
        put(folder / "token", "two")
        wait_until(lambda: exporter.asked[-1][1].headers["authorization"] == "Bearer two")
    assert exporter.asked[0][1].headers["authorization"] == "Bearer one"


def test_certificates_change_on_both_sides(folder: Path) -> None:
    config = put(folder / "http.yml", WITH_CERTIFICATE)
    web = put(folder / "web.yml", MUTUAL_TLS)
    with FakeExporter(BUSY).served(web) as exporter, reading(config=config) as watched:
        watched.poller.receive(a_slice(("n1", "127.0.0.1", exporter.port)))
        watched.wait(answers)
        OTHER_CA.issue().write(folder, "server")
        OTHER_CA.write(folder)
        # Old connections are closed by both sides, so that the new authority has to be known at once.
        put(folder / "http.yml", WITH_CERTIFICATE + "\n")
        watched.wait(lambda seen: seen.error or watched.count(Result.TLS))
        OTHER_CA.issue("aggregator").write(folder, "client")
        watched.wait(answers)
        watched.wait_for(Result.NOT_MODIFIED, 2)


def test_tls_can_come_while_exporters_are_polled(folder: Path) -> None:
    config = put(folder / "http.yml", "")
    web = put(folder / "web.yml", TLS)
    fakes = FakeExporter(BUSY), FakeExporter(BUSY)
    with fakes[0].served() as plain, fakes[1].served(web) as secure, reading(config=config) as watched:
        watched.poller.receive(a_slice(("n1", "127.0.0.1", plain.port)))
        watched.wait(answers)
        put(folder / "http.yml", TRUST)
        watched.wait(lambda seen: seen.base_url.startswith("https://"))
        watched.poller.receive(a_slice(("n1", "127.0.0.1", secure.port)))
        watched.wait(answers)


def test_credentials_do_not_follow_a_redirect(folder: Path) -> None:
    config = put(folder / "http.yml", "authorization:\n  credentials: secret\n")
    with FakeExporter(BUSY).served() as elsewhere:
        talk = says(http(b"", f"Location: {elsewhere.url}/v1/pulls", status="307 Temporary Redirect"))
        with RawServer(talk).served() as raw, reading(f"n1={raw.url}", config=config) as watched:
            assert watched.wait(lambda seen: seen.error).error is Result.STATUS
        assert elsewhere.asked == []
