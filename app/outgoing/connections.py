"""Pools of connections; a connection is used again only if nothing arrived on it since its last answer."""

import ssl
from functools import partial
from time import monotonic
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from typing_extensions import override

from app.outgoing.guard import GuardedHandler
from app.outgoing.unasked import Unasked

RESTING = 512
"""Connections to one origin that are kept between requests; with a rest of 1 s they serve 512 requests a second, and
further requests open new ones (docs/decisions/0011)."""

RESTING_IN_ALL = 512
"""The same for all origins: half of the file descriptors that a process commonly may open."""

LINGER = 1.0
"""Seconds for which arriving bytes are still noticed on a connection that is not used again."""


class AnsweredUnasked(aiohttp.ClientConnectionError):
    """Bytes arrived on a new connection before the request was sent."""


class GuardedConnector(aiohttp.TCPConnector):
    """`rest`: seconds of silence after an answer before its connection may be used again; the connection that has
    rested longest is used first.

    `keep_alive`: seconds after which a connection is closed, None: after each answer. `limit`: connections at the same
    time, 0: any number.
    """

    def __init__(
        self, unasked: Unasked, *, tls: ssl.SSLContext, limit: int, keep_alive: float | None, rest: float = 0.0
    ) -> None:
        reuse: dict[str, Any] = {"force_close": True} if keep_alive is None else {"keepalive_timeout": keep_alive}
        super().__init__(limit=limit, ssl=tls, **reuse)
        self._unasked = unasked
        self._rest = rest
        self._factory = cast(Any, partial(GuardedHandler, self._loop))
        self._lingering: set[ResponseHandler] = set()

    @override
    async def connect(self, req: ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if cast(GuardedHandler, connection.protocol).spoiled:
            connection.close()
            raise AnsweredUnasked
        return connection

    @override
    async def _create_connection(
        self, req: ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = cast(GuardedHandler, await super()._create_connection(req, traces, timeout))
        protocol.on_unasked = partial(self._unasked.heard, origin_of(req.connection_key))
        if protocol.spoiled:
            protocol.on_unasked()
        return protocol

    @override
    async def _get(self, key: ConnectionKey, traces: list[Any]) -> Connection | None:
        kept = self._conns.get(key)
        if not kept:
            return None
        distrusted = bool(self._unasked.origins) and origin_of(key) in self._unasked.origins
        now = monotonic()
        while kept:
            protocol, since = kept[0]
            stale = distrusted or now - since > cast(float, self._keepalive_timeout)
            if protocol.is_connected() and not stale:
                if now - since < self._rest:
                    return None
                if not cast(GuardedHandler, protocol).readable():
                    break
                self._let_go(protocol)
            else:
                protocol.close()
            kept.popleft()
        return await super()._get(key, traces)

    def close_idle(self) -> None:
        """Closes all unused connections: an answer did not fit its request, and it is unknown on which of them."""
        for kept in self._conns.values():
            for protocol, _ in kept:
                protocol.close()

    def _let_go(self, protocol: ResponseHandler) -> None:
        """Closes a connection that is not used again after `LINGER` seconds: bytes that still arrive count against the
        origin."""
        self._lingering.add(protocol)
        self._loop.call_later(LINGER, self._drop, protocol)

    def _drop(self, protocol: ResponseHandler) -> None:
        self._lingering.discard(protocol)
        protocol.close()

    @override
    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        if not should_close:
            should_close = (
                len(self._conns.get(key, ())) >= RESTING
                or sum(map(len, self._conns.values())) >= RESTING_IN_ALL
                or (bool(self._unasked.origins) and origin_of(key) in self._unasked.origins)
            )
        super()._release(key, protocol, should_close=should_close)

    @override
    def _close(self, *, abort_ssl: bool = False) -> list[Any]:
        for protocol in tuple(self._lingering):
            self._drop(protocol)
        return super()._close(abort_ssl=abort_ssl)


def origin_of(key: ConnectionKey) -> str:
    """`https://host:port`."""
    return f"{'https' if key.is_ssl else 'http'}://{key.host}:{key.port}"
