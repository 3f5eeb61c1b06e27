"""One request to the API server, bounded in size and time; a failure becomes one of our own errors."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Final
from urllib.parse import urlencode

from urllib3 import Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse

from pulltrace import __version__
from pulltrace.clock import Clock, Instant
from pulltrace.text import one_line
from pulltrace_aggregator.kube import decode
from pulltrace_aggregator.kube.access import ApiAccess, ApiSession
from pulltrace_aggregator.kube.errors import (
    Cut,
    InvalidAnswer,
    NotFound,
    Silent,
    Stopped,
    Unreachable,
    parsed,
    refusal,
)
from pulltrace_aggregator.kube.resources import Request, Right, one_node, one_pod
from pulltrace_aggregator.model.cluster import NodeSeen, PodSeen

LARGEST_ANSWER: Final = 256 * 1024 * 1024
"""Most bytes of a page of a list. 500 usual pods have 5 MB; 500 of the largest size that etcd takes do not fit."""
LARGEST_OBJECT: Final = 16 * 1024 * 1024
"""Most bytes of a change in a watch."""
LARGEST_COMPLAINT: Final = 64 * 1024
PART: Final = 64 * 1024
HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"pulltrace-aggregator/{__version__}",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the adapter waits for what, in seconds. The defaults are for a cluster."""

    connect: float = 5.0
    answer: float = 30.0
    """For the first part of an answer, and between two parts."""
    whole_answer: float = 60.0
    """For a whole answer, unless it is a watch."""
    watch: float = 150.0
    """The requested length of a watch, give or take a quarter, so that not all watches end at once."""
    long_watch: float = 1200.0
    """The same for a resource without bookmarks, which often has to be listed again after a quiet watch."""
    grace: float = 10.0
    """A watch is silent if nothing comes for its requested length plus this."""
    at_once: float = 1.0
    """A watch that ends sooner than this has failed."""
    first_pause: float = 0.5
    longest_pause: float = 10.0
    refused_pause: float = 60.0
    """The longest pause after an answer that only a person can change as a rule: a missing right, a missing API."""
    longest_asked_pause: float = 120.0
    """The longest pause that a Retry-After can ask for."""


class ApiClient:
    """Makes requests. Safe for use by several threads. After `ApiAccess.close` all requests raise Stopped."""

    def __init__(self, access: ApiAccess, timing: Timing, clock: Clock) -> None:
        self._access = access
        self._timing = timing
        self._clock = clock
        self._server_offset: float | None = None

    def server_ahead(self, now: Instant) -> float | None:
        """Seconds by which the API server's clock is ahead of ours at `now`, to about one; None before an answer.

        It makes ages of the API server's stamps. It comes from the header `Date` (RFC 9110, section 6.6.1) and is kept
        against our monotonic clock, so that it is right at once when our wall clock is stepped.
        """
        return None if self._server_offset is None else self._server_offset + now.monotonic - now.wall

    def get(self, request: Request) -> decode.Object:
        """The JSON object of an answer; raises KubernetesError."""
        response = self._open(request, self._timing.answer)
        with self._reading(request.right, response):
            body = self._whole(request.right, response)
        return parsed(body, request.right)

    def pod(self, namespace: str, name: str) -> PodSeen | None:
        """A pod whatever its phase, None where there is none; raises KubernetesError."""
        try:
            return decode.pod(self.get(one_pod(namespace, name)))
        except NotFound:
            return None

    def node(self, name: str) -> NodeSeen | None:
        """A node, None where there is none; raises KubernetesError."""
        try:
            return decode.node(self.get(one_node(name)))
        except NotFound:
            return None

    @contextmanager
    def lines(self, request: Request, silence: float) -> Iterator[Iterator[bytes]]:
        """The lines of a watch as they come, until the server ends it.

        Raises KubernetesError: Silent if nothing comes for `silence` seconds.
        """
        response = self._open(request, silence)
        with self._reading(request.right, response, watching=True):
            yield _lines(response, request.right)

    def _open(self, request: Request, patience: float) -> BaseHTTPResponse:
        session = self._access.session()
        response = self._sent(request, session, patience)
        if _is_refused(response.status, session) and self._access.renew(session):
            response.close()
            response = self._sent(request, self._access.session(), patience)
        self._note_date(response)
        if response.status == HTTPStatus.OK:
            return response
        with self._reading(request.right, response):
            body = response.read(LARGEST_COMPLAINT, decode_content=False)
        raise refusal(request.right, response.status, response.headers, body)

    def _sent(self, request: Request, session: ApiSession, patience: float) -> BaseHTTPResponse:
        url = f"{session.host}{request.path}" + (f"?{urlencode(request.query)}" if request.query else "")
        try:
            return session.pool.request(
                "GET",
                url,
                headers={**HEADERS, **session.headers},
                timeout=Timeout(connect=self._timing.connect, read=patience),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (HTTPError, HTTPException, OSError) as error:
            if self._access.closed:
                raise Stopped(f"{request.right}: ended") from error
            raise Unreachable(f"{request.right}: no answer from {self._access.host}: {_why(error)}") from error

    @contextmanager
    def _reading(self, right: Right, response: BaseHTTPResponse, *, watching: bool = False) -> Iterator[None]:
        """Translate errors of reading into our own, and finish the response in every case."""
        try:
            yield
        except ReadTimeoutError as error:
            if watching:
                # The path to the server is dead: end all other requests too, which might notice it much later.
                self._access.cut()
                raise Silent(f"{right}: silence from {self._access.host}") from error
            raise Unreachable(f"{right}: the answer from {self._access.host} stopped") from error
        except (HTTPError, HTTPException, OSError) as error:
            if self._access.closed:
                raise Stopped(f"{right}: ended") from error
            raise Cut(f"{right}: the answer of {self._access.host} broke off") from error
        finally:
            _finish(response)

    def _whole(self, right: Right, response: BaseHTTPResponse) -> bytes:
        body, deadline = bytearray(), time.monotonic() + self._timing.whole_answer
        while part := response.read1(PART, decode_content=False):
            body += part
            if len(body) > LARGEST_ANSWER:
                raise InvalidAnswer(f"{right}: an answer of more than {LARGEST_ANSWER} bytes")
            if time.monotonic() > deadline:
                raise Unreachable(f"{right}: the answer is not complete after {self._timing.whole_answer:g} s")
        return bytes(body)

    def _note_date(self, response: BaseHTTPResponse) -> None:
        try:
            theirs = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
        except (ValueError, OverflowError):
            return
        self._server_offset = theirs - self._clock.now().monotonic


def _is_refused(status: int, session: ApiSession) -> bool:
    """Whether the server refused our credentials. If we sent none, it may answer that a right is missing instead."""
    return status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and session.anonymous)


def _lines(response: BaseHTTPResponse, right: Right) -> Iterator[bytes]:
    begun = bytearray()
    while part := response.read1(PART, decode_content=False):
        *complete, rest = part.split(b"\n")
        for line in complete:
            yield bytes(begun + line)
            begun.clear()
        begun += rest
        if len(begun) > LARGEST_OBJECT:
            raise InvalidAnswer(f"{right}: a change of more than {LARGEST_OBJECT} bytes")
    if begun.strip():
        yield bytes(begun)


def _why(error: BaseException) -> str:
    """The innermost error: urllib3 wraps it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return one_line(error) or type(error).__name__


def _finish(response: BaseHTTPResponse) -> None:
    """Give the connection back if the answer was read to its end; else close it, since it cannot be used again."""
    if response.closed:
        response.release_conn()
    else:
        response.close()
