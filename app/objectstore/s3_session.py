"""The HTTP session of aioboto3: guarded connections, and the same trusted authorities as all other connections."""

from functools import partial
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from app.outgoing.connections import GuardedConnector
from app.outgoing.trust import trusted
from app.outgoing.unasked import Unasked

KEEP_ALIVE = 12.0
"""Seconds an idle connection to the store is kept, aiobotocore's own value: stores keep theirs for longer."""


def guarded_session_class(unasked: Unasked) -> Any:
    """For `AioConfig(http_session_cls=…)`: what is called to make the session of a client."""
    return partial(_GuardedSession, unasked)


class _GuardedSession(AIOHTTPSession):  # type: ignore[misc]
    """`_create_connector` is the private part that is replaced (tests/unit/objectstore/test_s3_session.py)."""

    def __init__(self, unasked: Unasked, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._unasked = unasked

    def _create_connector(self, proxy_url: str | None) -> GuardedConnector:
        return GuardedConnector(self._unasked, tls=trusted(), limit=self._max_pool_connections, keep_alive=KEEP_ALIVE)
