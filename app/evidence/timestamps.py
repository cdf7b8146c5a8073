"""Asks an authority for timestamps of checkpoints. One that is away holds nothing up: it is asked again later."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from app.db import proofs
from app.db.database import Database
from app.domain.proofs import JobProof, timestamp_key
from app.domain.readiness import Readiness
from app.domain.timestamps import QUERY, TimestampError, check_reply, query_for
from app.evidence.placing import place, small_upload
from app.evidence.reading import gathered
from app.objectstore import ObjectRejected, ObjectStore, ObjectVersion
from app.outages import repeat_until

TIMEOUT = 10.0
"""Seconds for a whole answer."""

LARGEST = 64 * 1024
"""Bytes of an answer; one with certificates has some 6,000."""

IDLE = 1.0

PAUSE = timedelta(minutes=1)
"""Before an authority that gave none is asked again for the same checkpoint."""

log = logging.getLogger(__name__)


class NoTimestamp(Exception):
    """The authority gave none; the text says why."""


class TimestampAuthority:
    """`open_client` makes a client for each request: they are rare."""

    def __init__(self, url: str, open_client: Callable[[], httpx.AsyncClient]) -> None:
        self.url = url
        self._open_client = open_client

    async def stamp(self, content: bytes) -> bytes:
        """The RFC 3161 response over the SHA-256 of `content`, which answers this request. Raises NoTimestamp."""
        query = query_for(content)
        try:
            async with asyncio.timeout(TIMEOUT), self._open_client() as client:
                reply = await self._asked(client, query.content)
            check_reply(reply, content, query.nonce)
        except TimeoutError as error:
            raise NoTimestamp(f"no answer within {TIMEOUT:.0f} s") from error
        except (httpx.HTTPError, OSError) as error:
            raise NoTimestamp(str(error) or type(error).__name__) from error
        except TimestampError as error:
            raise NoTimestamp(str(error)) from error
        return reply

    async def _asked(self, client: httpx.AsyncClient, query: bytes) -> bytes:
        async with client.stream("POST", self.url, content=query, headers={"Content-Type": QUERY}) as answer:
            if answer.status_code != 200:
                raise NoTimestamp(f"HTTP {answer.status_code}")
            reply = b""
            async for piece in answer.aiter_bytes():
                reply += piece
                if len(reply) > LARGEST:
                    raise NoTimestamp(f"its answer has more than {LARGEST} bytes")
        return reply


class Timestamps:
    """Timestamps of proofs, each beside its checkpoint in the bucket."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        readiness: Readiness,
        authority: TimestampAuthority,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._objects = objects
        self._readiness = readiness
        self._authority = authority
        self._now = now
        self._problem: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; outages only delay it."""
        await repeat_until(stop, self._readiness, IDLE, self.stamp_next)

    async def stamp_next(self) -> bool:
        """Gets the timestamp that is owed for longest; False where none is due, or none was given. Raises
        Unavailable."""
        now = self._now()
        async with self._database.reading(brief=True) as connection:
            if not await proofs.is_untimed(connection, now):
                return False
        proof = await self._database.run(lambda c: proofs.untimed(c, now, now + PAUSE))
        if proof is None:
            return False
        try:
            reply = await self._placed(proof, await self._authority.stamp(proof.checkpoint.encode()))
        except (NoTimestamp, ObjectRejected) as error:
            self._tell(str(error))
            return False
        await self._database.run(lambda c: proofs.keep_timestamp(c, proof.job_id, reply))
        self._tell(None)
        return True

    async def _placed(self, proof: JobProof, reply: bytes) -> bytes:
        """Puts the reply; one that is there already stays, and is returned."""
        kept = reply

        async def same_checkpoint(version: ObjectVersion) -> bool:
            nonlocal kept
            there = await gathered(self._objects, version, LARGEST)
            try:
                check_reply(there, proof.checkpoint.encode())
            except TimestampError:
                return False
            kept = there
            return True

        put = small_upload(proof.bucket, timestamp_key(proof.job_id), reply, proof.retain_until)
        await place(self._objects, put, same_checkpoint)
        return kept

    def _tell(self, problem: str | None) -> None:
        """One warning for each new reason, and one line when it is over."""
        if problem is not None and problem != self._problem:
            log.warning("no timestamps from %s, asked again in %s: %s", self._authority.url, PAUSE, problem)
        elif problem is None and self._problem is not None:
            log.info("%s gives timestamps again", self._authority.url)
        self._problem = problem
