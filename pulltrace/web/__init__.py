"""Serving over HTTP for both programs: pages by path, TLS and basic authentication from a file that is re-read."""

from pulltrace.web.address import ListenAddress, ListenError
from pulltrace.web.connection import Limits
from pulltrace.web.http import Handler, Request, Response, matches_etag, text_response
from pulltrace.web.live import WebConfig
from pulltrace.web.server import Server

__all__ = [
    "Handler",
    "Limits",
    "ListenAddress",
    "ListenError",
    "Request",
    "Response",
    "Server",
    "WebConfig",
    "matches_etag",
    "text_response",
]
