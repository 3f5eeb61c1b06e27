"""What both commands do alike: what ends them, and with which status."""

import subprocess
import sys

import pytest

from rig.running import ENVIRONMENT

pytestmark = pytest.mark.unit

PROGRAM = """
import os, signal, sys, threading
from pulltrace import logs
from pulltrace.cli import program

def fail():
    raise KeyError("odd")

def main_thread_sleeps():
    # Each read lets the others run, so that who waits just for its turn is seen to run sooner or later.
    with open(f"/proc/self/task/{{os.getpid()}}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"

def kill_oneself(number):
    while not all(main_thread_sleeps() for _ in range(50)):
        pass
    signal.pthread_kill(threading.get_ident(), number)

def serve(stop):
    logs.configure(logs.Level.INFO, logs.LogFormat.LOGFMT)
    {body}
    assert stop.wait(10)
    print("closed")

sys.exit(program.run("prog", None, serve))
"""

LOADING = """
import os, runpy, signal, sys

class Signals:
    def find_spec(self, name, *_):
        if name == "pulltrace.web":
            os.kill(os.getpid(), signal.{number})

sys.meta_path.insert(0, Signals())
sys.argv = ["prog", "--version"]
runpy.run_module("{module}", run_name="__main__")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)


each_signal = pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])


@each_signal
@pytest.mark.parametrize(
    "body",
    [
        "os.kill(os.getpid(), signal.{number})",
        "threading.Thread(target=kill_oneself, args=(signal.{number},)).start()",
    ],
    ids=["before anything is set up", "to another thread"],
)
def test_a_signal_ends_it_in_order(body: str, number: str) -> None:
    ended = run(PROGRAM.format(body=body.format(number=number)))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")


@each_signal
@pytest.mark.parametrize("module", ["pulltrace_exporter", "pulltrace_aggregator"])
def test_a_signal_that_comes_while_it_is_loaded_ends_it_in_order(module: str, number: str) -> None:
    ended = run(LOADING.format(module=module, number=number))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_fault_in_a_vital_thread_is_said_and_ends_the_program() -> None:
    ended = run(PROGRAM.format(body="program.start_vital('poller', fail, stop)"))
    assert (ended.returncode, ended.stdout) == (1, "closed\n")
    assert 'msg="internal error, the program ends" thread=poller' in ended.stderr
    assert "KeyError" in ended.stderr


def test_a_fault_while_it_starts_is_said_and_ends_the_program_though_threads_run() -> None:
    """As where no more threads may be started: the server's thread alone would keep a program that reads nothing."""
    ended = run(PROGRAM.format(body="threading.Thread(target=threading.Event().wait).start(); fail()"))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert 'msg="internal error, the program ends" thread=main' in ended.stderr
    assert "KeyError" in ended.stderr


def test_a_vital_thread_that_ends_does_not_end_the_program() -> None:
    body = "program.start_vital('poller', lambda: None, stop).join(); print(stop.wait(0)); stop.set()"
    ended = run(PROGRAM.format(body=body))
    assert (ended.returncode, ended.stdout) == (0, "False\nclosed\n")
