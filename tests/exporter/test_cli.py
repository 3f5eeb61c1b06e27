"""The program as a user starts and ends it."""

import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from rig.exporter import RunningExporter
from rig.node_setup import node_setup
from rig.running import EXPORTER, assert_refused, run_to_end
from rig.standin import StandIn
from rig.web import wait_until

pytestmark = pytest.mark.contract


run = partial(run_to_end, EXPORTER)


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("n")) as running:
        yield running


def test_help_names_every_flag_and_says_what_its_default_is() -> None:
    answer = run("--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "--containerd.address=PATH" in answer.stdout
    assert "--[no-]collector.layers" in answer.stdout
    assert "PULLTRACE_POLL_INTERVAL" in answer.stdout
    assert ":10301" in answer.stdout


def test_faults_behind_flags_are_named_with_faults_of_flags(tmp_path: Path) -> None:
    web, no_socket = tmp_path / "web.yml", tmp_path / "containerd.sock"
    web.write_text("http_server_config: {}\nbasic_auth_users: {ann: plain}\n")
    no_socket.write_text("")
    answer = run(
        "--poll.intervall=1s",
        f"--containerd.address={no_socket}",
        f"--containerd.allow-directory={tmp_path}",
        f"--web.config.file={web}",
        PULLTRACE_LOG_LEVEL="loud",
    )
    wrong = ("--poll.intervall", "PULLTRACE_LOG_LEVEL", "is not a socket", "http_server_config", "ann")
    assert_refused(answer, "pulltrace-exporter", wrong)


def test_a_port_in_use_ends_the_program_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        answer = run(f"--web.listen-address={address}")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1] == f"pulltrace-exporter: cannot listen on {address}: Address already in use"
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds(node: StandIn, tmp_path: Path, number: signal.Signals) -> None:
    with RunningExporter(node.socket, tmp_path / "log") as exporter:
        exporter.wait_until(lambda scrape: scrape.up)
        assert exporter.seconds_to_end(number) < 2


def test_sigterm_ends_it_within_two_seconds_while_nobody_answers_or_listens(node: StandIn, tmp_path: Path) -> None:
    """containerd hangs in a call, a client never finishes its request, another waits for nothing."""
    with RunningExporter(node.socket, tmp_path / "log", "--poll.idle-interval=50ms") as exporter:
        exporter.wait_until(lambda scrape: scrape.up)
        with (
            node.faults.delaying("Leases/List"),
            socket.create_connection(("127.0.0.1", exporter.port)) as half,
            socket.create_connection(("127.0.0.1", exporter.port)),
        ):
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
            asked = node.faults.calls["Leases/List"]
            wait_until(lambda: node.faults.calls["Leases/List"] > asked)
            assert exporter.seconds_to_end() < 2


def test_sigterm_ends_it_while_containerd_is_absent(tmp_path: Path) -> None:
    with RunningExporter(tmp_path / "absent.sock", tmp_path / "log") as exporter:
        exporter.wait_until(lambda scrape: scrape.total("pulltrace_exporter_poll_errors_total") > 0)
        assert exporter.seconds_to_end() < 2


@contextmanager
def nobody_reading() -> Iterator[int]:
    """A pipe with room for a page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reader), os.fdopen(writer):
        yield writer


@contextmanager
def no_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer):
        yield writer


@contextmanager
def a_full_disk() -> Iterator[int]:
    with Path("/dev/full").open("wb") as file:
        yield file.fileno()


@pytest.mark.parametrize("standard_output", [nobody_reading, no_reader, a_full_disk])
def test_standard_output_that_takes_nothing_holds_up_neither_pulls_nor_the_end(
    node: StandIn, tmp_path: Path, standard_output: Callable[[], AbstractContextManager[int]]
) -> None:
    with (
        standard_output() as descriptor,
        node_setup(node, "mute", tmp_path) as setup,
        RunningExporter(node.socket, tmp_path / "log", "--poll.interval=50ms", stdout=descriptor) as exporter,
    ):
        exporter.wait_until(lambda scrape: scrape.up)
        images = [setup.pulled(setup.push(f"app-{number}", [1000 + part for part in range(12)])) for number in range(3)]
        exporter.wait_until(lambda scrape: all(scrape.phase(image) == "succeeded" for image in images))
        last = setup.pulled(setup.push("last"))
        exporter.wait_until(lambda scrape: scrape.phase(last) == "succeeded")
        assert exporter.seconds_to_end() < 2


def test_a_misspelt_environment_variable_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLTRACE_POLL_INTERVALL", "1s")
    with RunningExporter(tmp_path / "absent.sock", tmp_path / "log") as exporter:
        said = [line for line in exporter.logged() if line.get("level") == "warn"]
    assert any(line.get("variable") == "PULLTRACE_POLL_INTERVALL" for line in said)
