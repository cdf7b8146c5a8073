"""What `app/outgoing` uses of aiohttp's inside is still as it was when it was written."""

import asyncio
import inspect
from importlib.metadata import version

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import BaseConnector, TCPConnector
from aiohttp.http import HttpResponseParser

from app.outgoing.connections import GuardedConnector
from app.outgoing.guard import GuardedHandler
from app.outgoing.trust import trusted
from app.outgoing.unasked import Unasked

STATE = {"_should_close", "_exception", "_payload", "_reading_paused", "_tail", "_parser", "transport"}


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


async def test_the_protocol_has_the_parts_that_the_guard_overrides_and_reads() -> None:
    handler = ResponseHandler(asyncio.get_running_loop())
    assert {name for name in STATE if hasattr(handler, name)} == STATE
    assert parameters(ResponseHandler.data_received) == ["self", "data"]
    assert parameters(ResponseHandler.feed_data) == ["self", "data", "size"]
    assert "HttpResponseParser(" in inspect.getsource(ResponseHandler.set_response_params)
    assert "self.feed_data((message, payload), 0)" in inspect.getsource(ResponseHandler.data_received)


async def test_the_pool_has_the_parts_that_the_connector_overrides_and_reads() -> None:
    async with aiohttp.TCPConnector() as connector:
        assert isinstance(connector._factory(), ResponseHandler)
        assert connector._keepalive_timeout == 15.0
    assert parameters(BaseConnector._get) == ["self", "key", "traces"]
    assert parameters(BaseConnector._release) == ["self", "key", "protocol", "should_close"]
    assert parameters(BaseConnector._close) == ["self", "abort_ssl"]
    assert parameters(TCPConnector._create_connection) == ["self", "req", "traces", "timeout"]
    assert "self._conns[key].append((protocol, monotonic()))" in inspect.getsource(BaseConnector._release)
    assert "conns.popleft()" in inspect.getsource(BaseConnector._get)
    assert "self._factory," in inspect.getsource(TCPConnector._create_direct_connection)


async def test_connections_are_made_with_the_guarded_protocol() -> None:
    async with GuardedConnector(Unasked("source"), tls=trusted(), limit=0, keep_alive=4.0) as connector:
        assert type(connector._factory()) is GuardedHandler


def test_the_parser_is_the_one_whose_messages_bad_answers_reads() -> None:
    assert HttpResponseParser.__module__ == "aiohttp._http_parser"
    assert version("aiohttp").startswith("3.")
