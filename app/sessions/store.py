"""Sessions of the page in the database, so that any process knows them: begun, found, renewed, ended."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import orjson

from app.db import sessions
from app.db.database import Database
from app.db.sessions import SessionRow
from app.domain.errors import Unavailable
from app.domain.readiness import ISSUER
from app.sessions.sealing import Sealing, UnreadableSeal, hashed

LASTS = timedelta(hours=12)
"""After so long one logs in again, however often the tokens were renewed."""

AHEAD = timedelta(seconds=30)
"""Tokens are renewed so long before they expire."""

LEASE = timedelta(seconds=20)
"""How long one process may take to renew the tokens of a session; the others wait for it."""

LOOK = 0.2
"""Seconds between two looks at a session that another process is renewing."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """What an issuer gave. `expires` is the end of the access token, in seconds since the epoch."""

    access: str
    expires: float
    refresh: str | None = None
    identity: str | None = None
    """The ID token: the issuer asks for it at the logout."""


Renew = Callable[[SessionTokens], Awaitable[SessionTokens | None]]
"""Gets other tokens; None where one has to log in again. Raises Unavailable."""


class Sessions:
    """Every method raises Unavailable. `key` is what the browser has."""

    def __init__(
        self, database: Database, sealing: Sealing, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self.sealing = sealing
        self._now = now

    async def begin(self, tokens: SessionTokens) -> str:
        """The key of a new session."""
        key, now = secrets.token_urlsafe(32), self._now()
        row = SessionRow(hashed(key), self._sealed(key, tokens), now + LASTS)
        await self._database.run(lambda c: sessions.add(c, row, now))
        return key

    async def find(self, key: str, renew: Renew) -> SessionTokens | None:
        """The tokens of a session, renewed where they are about to expire; None where it has ended."""
        while True:
            row = await self._row(key)
            tokens = None if row is None else self._opened(key, row)
            now = self._now()
            if row is None or tokens is None or tokens.expires > (now + AHEAD).timestamp():
                return tokens
            if tokens.refresh is None:
                return tokens if tokens.expires > now.timestamp() else None
            if await self._claimed(row, now):
                return await self._renewed(key, tokens, renew)
            await asyncio.sleep(LOOK)

    async def end(self, key: str) -> SessionTokens | None:
        """Ends the session; its tokens, None where there was none."""
        row = await self._row(key)
        await self._database.run(lambda c: sessions.remove(c, hashed(key)))
        return None if row is None else self._opened(key, row)

    async def _row(self, key: str) -> SessionRow | None:
        async with self._database.reading(brief=True) as connection:
            return await sessions.find(connection, hashed(key), self._now())

    async def _claimed(self, row: SessionRow, now: datetime) -> bool:
        return await self._database.run(lambda c: sessions.claim(c, row, now, now + LEASE))

    async def _renewed(self, key: str, tokens: SessionTokens, renew: Renew) -> SessionTokens | None:
        id_ = hashed(key)
        try:
            async with asyncio.timeout(LEASE.total_seconds() - 1):
                fresh = await renew(tokens)
        except (Unavailable, TimeoutError) as outage:
            await self._database.run(lambda c: sessions.release(c, id_))
            if tokens.expires > self._now().timestamp():
                return tokens  # good for some seconds more
            raise outage if isinstance(outage, Unavailable) else Unavailable(ISSUER, "no answer in time") from outage
        if fresh is None:
            await self._database.run(lambda c: sessions.remove(c, id_))
            return None
        sealed = self._sealed(key, fresh)
        await self._database.run(lambda c: sessions.renew(c, id_, sealed))
        return fresh

    def _sealed(self, key: str, tokens: SessionTokens) -> bytes:
        return self.sealing.seal(orjson.dumps(asdict(tokens)), hashed(key))

    def _opened(self, key: str, row: SessionRow) -> SessionTokens | None:
        """None where the key of the settings was changed."""
        try:
            return SessionTokens(**orjson.loads(self.sealing.open(row.tokens, row.id)))
        except UnreadableSeal:
            log.info("a session of the page was sealed with another key: it has ended")
            return None
