"""Makes the answer to a request: password, route, handler, gzip."""

import asyncio
import gzip
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar

from pulltrace.logs import fields
from pulltrace.web.http import (
    ALLOW,
    HEALTHY_PATH,
    METHODS,
    READY_PATH,
    Handler,
    Request,
    Response,
    prefers_gzip,
    text_response,
)
from pulltrace.web.passwords import Passwords, has_credentials

logger = logging.getLogger(__name__)

T = TypeVar("T")

PROBES: Final = frozenset({HEALTHY_PATH, READY_PATH})
"""Paths that need no password and that no slow page delays."""

_GZIP_FROM_BYTES: Final = 512
# Compared with the usual level 6: half the time or less, a tenth more bytes.
_GZIP_LEVEL: Final = 1


class Dispatcher:
    """Answers requests in a few threads.

    Probes, pages and password checks have separate threads, so that no kind waits for another. Further requests are
    queued, at most one per connection.
    """

    def __init__(self, routes: Mapping[str, Handler], page_threads: int) -> None:
        self._routes = dict(routes)
        self._probes = ThreadPoolExecutor(1, "web-probe")
        self._pages = ThreadPoolExecutor(page_threads, "web-page")
        self._checks = ThreadPoolExecutor(1, "web-password")

    async def answer(self, request: Request, passwords: Passwords) -> Response:
        """Answer one request, even if its handler raises."""
        if request.path not in PROBES and not await self._admits(request, passwords):
            return text_response(401, "unauthorized", www_authenticate='Basic realm="pulltrace"')
        handler = self._routes.get(request.path)
        if handler is None:
            return text_response(404, "there is no such page; / lists those that are")
        if request.method not in METHODS:
            return text_response(405, "only GET and HEAD", allow=ALLOW)
        threads = self._probes if request.path in PROBES else self._pages
        return await _in(threads, lambda: _render(handler, request))

    def close(self) -> None:
        """End the threads; a handler that runs is not interrupted."""
        for threads in (self._probes, self._pages, self._checks):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _admits(self, request: Request, passwords: Passwords) -> bool:
        authorization = request.headers.get("authorization")
        if passwords.remembers(authorization):
            return True
        return has_credentials(authorization) and await _in(
            self._checks, lambda: passwords.remembers(authorization) or passwords.verify(authorization)
        )


async def _in(threads: Executor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, call)


def _render(handler: Handler, request: Request) -> Response:
    try:
        return _compressed(handler(request), request)
    except Exception:
        logger.exception("a page could not be rendered", extra=fields(path=request.path))
        return text_response(500, "internal error; the log says more")


def _compressed(response: Response, request: Request) -> Response:
    if len(response.body) < _GZIP_FROM_BYTES:
        return response
    vary = ", ".join(filter(None, (response.headers.get("Vary"), "Accept-Encoding")))
    if not prefers_gzip(request.headers.get("accept-encoding", "")):
        return replace(response, headers={**response.headers, "Vary": vary})
    return replace(
        response,
        body=gzip.compress(response.body, _GZIP_LEVEL, mtime=0),
        headers={**response.headers, "Vary": vary, "Content-Encoding": "gzip"},
    )
