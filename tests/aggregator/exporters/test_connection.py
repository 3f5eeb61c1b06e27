"""A connection whose peer closes it before anything was asked."""

import asyncio

import pytest

from pulltrace_aggregator.exporters.connection import Connection
from pulltrace_aggregator.exporters.errors import AskError, Result

pytestmark = pytest.mark.unit


def test_a_new_connection_that_is_closed_before_the_first_request_has_failed() -> None:
    """As a TLS server may do right after the handshake. It must not be asked again at once, and for ever."""
    connection = Connection()
    connection.connection_made(asyncio.Transport())
    connection.eof_received()
    with pytest.raises(AskError) as failed:
        asyncio.run(connection.ask([]))
    assert failed.value.result is Result.CONNECTION
