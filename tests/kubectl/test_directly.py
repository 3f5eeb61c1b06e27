"""The client on addresses: of an aggregator, of exporters, with TLS and a password."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig import pki
from rig.client_world import Answering, Document, aggregator, exporter, pull, run_client, wait
from rig.web import put

pytestmark = pytest.mark.contract
SHOP = aggregator([wait("web", pull=pull("web"))], nodes=["node-1"])
Serve = Callable[..., Answering]


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[Answering] = []

    def start(document: Document | str, **more: object) -> Answering:
        made.append(Answering(document, **more))  # type: ignore[arg-type] # handed on
        return made[-1]

    yield start
    for each in made:
        each.close()


def client(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Where there is no kubectl and no cluster."""
    return run_client(*words, PATH="/nonexistent", **environment)


def test_an_aggregator_needs_no_kubectl(serve: Serve) -> None:
    done = client("--url", serve(SHOP).url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split()[:2] == ["shop", "web"]
    assert "\x1b" not in done.stdout


def test_exporters_beside_it_know_the_layers_and_alone_their_pulls(serve: Serve) -> None:
    layer = {"index": 0, "digest": "sha256:0", "sizeBytes": 9, "downloadedBytes": 3, "state": "downloading"}
    urls = ["--url", serve(exporter("node-1", pull("web", layers=[layer]))).url]
    assert "33%" in client("web", *urls, "--url", serve(SHOP).url).stdout
    alone = client(*urls)
    assert alone.stdout.startswith("node-1  containerd 2.1.9\n  registry.example/shop/web:1.2\n")


def test_a_pod_that_nobody_knows_has_status_1(serve: Serve) -> None:
    done = client("nix", "--url", serve(SHOP).url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "knows of no image that 'nix' waits for" in done.stderr


def test_an_address_that_is_silent_beside_one_that_answers_is_told_of(serve: Serve) -> None:
    done = client("--url", serve(SHOP).url, "--url", "http://127.0.0.1:1", "-o", "name")
    assert (done.returncode, done.stdout) == (0, "pod/web\n")
    assert (
        "warning: a part is missing: http://127.0.0.1:1/v1/pulls cannot be reached: Connection refused" in done.stderr
    )


def test_an_aggregator_that_is_not_ready_is_told_with_its_reason(serve: Serve) -> None:
    server = serve(aggregator())
    server.unready = "not ready: the right to list pods in all namespaces is missing"
    done = client("--url", server.url)
    assert done.returncode == 0
    assert done.stderr == f"warning: {server.url} is not ready: the right to list pods in all namespaces is missing\n"
    server.unready = ""
    assert client("--url", server.url).stderr == ""


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("<html>", 200, "the answer is not JSON"),
        ("not here", 404, "answers 404: not here"),
        ("unauthorized", 401, "wants a password"),
        ("moved", 302, "answers 302"),
    ],
)
def test_an_answer_that_is_no_aggregators_is_named(serve: Serve, answer: str, status: int, said: str) -> None:
    done = client("--url", serve(answer, status=status).url)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_the_password_comes_from_a_file_or_the_environment(serve: Serve, tmp_path: Path) -> None:
    server = serve(SHOP)
    file = put(tmp_path / "password", "secret\n")
    client("--url", server.url, "--user", "me", "--password-file", str(file))
    client("--url", server.url, "--user", "me", PULLTRACE_PASSWORD="secret")
    assert server.authorizations == ["Basic bWU6c2VjcmV0"] * 2
    missing = client("--url", server.url, "--user", "me")
    assert (missing.returncode, "PULLTRACE_PASSWORD" in missing.stderr) == (2, True)


def test_tls_with_an_authority_and_a_certificate_of_our_own(serve: Serve, tmp_path: Path) -> None:
    authority = pki.Authority()
    ca_file = str(authority.write(tmp_path))
    certificate, key = (str(file) for file in authority.issue().write(tmp_path, "client"))
    url = serve(SHOP, tls=authority.serving(tmp_path, clients=True)).url
    done = client("--url", url, "--ca-file", ca_file, "--cert-file", certificate, "--key-file", key, "-o", "name")
    assert (done.stderr, done.stdout) == ("", "pod/web\n")
    untrusted = client("--url", url)
    assert (untrusted.returncode, "--ca-file" in untrusted.stderr) == (1, True)
    assert client("--url", url, "--ca-file", "/nonexistent").returncode == 2


def test_waiting_ends_when_the_image_is_there_and_with_the_reason_when_it_will_not_come(serve: Serve) -> None:
    server = serve(aggregator([wait("web", "pulled", waitingSeconds=None)]))
    assert client("web", "--wait", "--url", server.url).returncode == 0
    server.document = aggregator([wait("web", "backoff", blockedBy="not_found")])
    done = client("web", "--wait", "--url", server.url)
    assert (done.returncode, "not_found" in done.stderr) == (1, True)
    server.document = SHOP
    done = client("web", "--wait", "--timeout", "0s", "--url", server.url)
    assert done.returncode == 1
    assert "not all images are there after 0s: shop/web registry.example/shop/web:1.2: downloading 25%" in done.stderr


def test_a_watch_goes_on_through_silence_and_ends_with_status_0(serve: Serve) -> None:
    server = serve(SHOP)
    command = [sys.executable, "-m", "pulltrace_kubectl", "-w", "--url", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout
        assert watch.stderr
        try:
            assert watch.stdout.readline().startswith("NAMESPACE")
            assert "downloading" in watch.stdout.readline()
            server.status = 503
            assert "answers 503" in watch.stderr.readline()
            server.status = 200
            server.document = aggregator([wait("web", "pulled")])
            assert "pulled" in watch.stdout.readline()
        finally:
            watch.send_signal(signal.SIGINT)
        assert watch.wait(20) == 0


def test_a_second_interrupt_leaves_no_traceback(serve: Serve) -> None:
    """As when the terminal and whoever started the watch both send one: it comes while Python ends."""
    again = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT); "
    program = f"{again}import sys; from pulltrace_kubectl.cli import main; sys.exit(main(['-w', '--url', sys.argv[1]]))"
    with subprocess.Popen(
        [sys.executable, "-c", program, serve(SHOP).url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout
        assert watch.stdout.readline().startswith("NAMESPACE")
        watch.send_signal(signal.SIGINT)
        _, complaint = watch.communicate(timeout=20)
    assert (watch.returncode, complaint) == (0, "")


def test_in_a_terminal_a_watch_is_redrawn_in_place_with_bars_and_leaves_the_cursor(serve: Serve) -> None:
    ours, side = os.openpty()
    command = [sys.executable, "-m", "pulltrace_kubectl", "-w", "--url", serve(SHOP).url]
    environment = {**os.environ, "PYTHONUTF8": "1", "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "20"}
    environment.pop("NO_COLOR", None)
    with os.fdopen(ours, "rb", buffering=0) as screen:
        with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment) as watch:
            os.close(side)
            drawn = ""
            while drawn.count("1 image is waited for") < 2:
                drawn += screen.read(65536).decode()
            watch.send_signal(signal.SIGTERM)
            assert watch.wait(20) == 128 + signal.SIGTERM
        with contextlib.suppress(OSError):  # all has been read, and nobody writes any more
            drawn += screen.read(65536).decode()
    assert "██▌░░░░░░░  25%" in drawn
    assert "\x1b[36m" in drawn
    assert drawn.rstrip().endswith("\x1b[?25h")


def test_a_reader_that_has_read_enough_is_no_fault(serve: Serve) -> None:
    many = aggregator([wait(f"web-{number}") for number in range(3000)])
    line = f"{sys.executable} -m pulltrace_kubectl --url {serve(many).url} | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("NAMESPACE")
    assert done.stderr == ""
