"""kubectl as a child process: contexts, credentials, proxies and `--as` are its business."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any, Final

from pulltrace_kubectl.errors import ClientError, Unanswered
from pulltrace_kubectl.sources.complaints import from_kubectl

GRACE: Final = 5.0
"""Seconds that kubectl has beyond its own `--request-timeout` to say that time is over."""


class Kubectl:
    """Runs kubectl with the flags that the user gave. Every call may raise ClientError."""

    def __init__(self, flags: Sequence[str], timeout: float | None) -> None:
        self._flags = tuple(flags)
        self._timeout = None if not timeout else timeout + GRACE

    def text(self, *words: str) -> str:
        """What kubectl prints when it is run with these words."""
        return self._run(words).decode(errors="replace")

    def objects(self, *words: str) -> Any:
        """The JSON that `kubectl get … --output json` prints."""
        output = self._run(("get", *words, "--output", "json"))
        try:
            return json.loads(output)
        except ValueError as error:
            raise Unanswered(f"kubectl get {' '.join(words)} printed no JSON") from error

    def raw(self, path: str) -> bytes:
        """What the API server answers to a GET of `path`."""
        return self._run(("get", "--raw", path))

    def _run(self, words: Sequence[str]) -> bytes:
        command = ["kubectl", *words, *self._flags]
        try:
            done = subprocess.run(  # noqa: S603 -- kubectl from PATH, as the user runs it
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._timeout, check=False
            )
        except FileNotFoundError as error:
            raise ClientError(
                "there is no kubectl in PATH", "install it, or ask an aggregator directly with --url"
            ) from error
        except OSError as error:
            raise ClientError(f"kubectl cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise Unanswered(
                "kubectl did not end within its --request-timeout", "give it more time with --request-timeout"
            ) from error
        if done.returncode:
            raise from_kubectl(done.stderr.decode(errors="replace"), words)
        return done.stdout
