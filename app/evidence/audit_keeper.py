"""Keeps the audit log: its start of the service, its checkpoints in the bucket, its comparison with the newest one."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.db import audit
from app.db.database import Database
from app.domain.audit import AUDIT, ORIGIN, Act, AuditEntry, BrokenHead, checkpoint_key
from app.domain.errors import Unavailable
from app.domain.notes import VerifierKey
from app.domain.readiness import Readiness
from app.evidence.audit_check import LARGEST_NOTE, SHOWN, CheckedLog, check_log, follow, signed_heads
from app.evidence.placing import place, small_upload
from app.evidence.reading import gathered
from app.evidence.signer import Signer
from app.evidence.timestamps import NoTimestamp, TimestampAuthority
from app.objectstore import ObjectRejected, ObjectStore, ObjectVersion
from app.outages import note_available, note_outage

LOOK_EVERY = 2.0
"""Seconds between two looks whether a checkpoint is due."""

AT_LATEST = timedelta(hours=1)
"""Without a completed job, a log that has grown gets its next checkpoint after this time."""

RESTAMP = timedelta(minutes=1)
"""Before an authority that gave no timestamp is asked again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """`details` are logged at the start of the service. `retain_days`: lock of a checkpoint, None without locks."""

    bucket: str
    retain_days: int | None
    details: dict[str, Any]
    former: tuple[VerifierKey, ...] = ()


async def compare(
    database: Database, objects: ObjectStore, bucket: str, keys: Sequence[VerifierKey], *, with_all: bool = False
) -> CheckedLog:
    """Compares the log with the newest checkpoint that one of the keys signed; where that differs with all of them:
    they say from where. `with_all`: with all of them in any case, as who has the key can sign a newer one of another
    log, and cannot take away the older ones. Raises Unavailable."""
    heads = await signed_heads(objects, bucket, keys, all_of_them=with_all) if keys else []
    found = await check_log(database, heads)
    if found.findings and heads and not with_all:
        found = await check_log(database, await signed_heads(objects, bucket, keys, all_of_them=True))
    return found


class AuditKeeper:
    """One of each process: `run` goes on until it is cancelled. Without a signer the log is checked against its own
    head, and there are no checkpoints."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        readiness: Readiness,
        signer: Signer | None,
        options: KeeperOptions,
        authority: TimestampAuthority | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._objects = objects
        self._readiness = readiness
        self._signer = signer
        self._options = options
        self._authority = authority
        self._now = now
        self._started = False
        self._checked: CheckedLog | None = None
        self._comparing = asyncio.Lock()
        self._untimed: tuple[str, str, datetime | None] | None = None
        self._restamp_at = now()

    async def run(self) -> None:
        """Outages only delay it. A store that was not seen yet is waited for without a word: the watch names it."""
        away: str | None = None
        while True:
            try:
                await self.look()
                if away is not None:
                    note_available(self._readiness, away)
                    away = None
            except Unavailable as outage:
                if self._readiness.has_seen(outage.component):
                    away = outage.component
                    note_outage(self._readiness, outage)
            except (ObjectRejected, OSError) as error:
                log.error("the checkpoint of the audit log cannot be put: %s", error)
            await asyncio.sleep(LOOK_EVERY)

    async def end(self) -> None:
        """Nothing is left to do: what happened since the last checkpoint gets one at the next start."""

    async def look(self) -> None:
        """Does what is due: the entry of the start, the comparison, a checkpoint. Raises Unavailable, ObjectRejected,
        OSError."""
        if not self._started:
            entry = AuditEntry(Act.SERVICE_STARTED, "service", self._now(), None, self._options.details)
            with contextlib.suppress(BrokenHead):  # it is one of the findings
                await self._database.run(lambda c: audit.append(c, [entry]))
                self._started = True
        if findings := await self.findings():
            self._readiness.work_waits(AUDIT, f"is not what it was: {'; '.join(findings[:SHOWN])}")
            return  # what was rewritten must not be signed
        if self._signer is not None and await self.is_due():
            await self.put_checkpoint()
        await self._stamp()

    async def findings(self) -> Sequence[str]:
        """What the comparison found. It is made once, before anything is signed; who asks meanwhile waits for it. Then
        the log must go on from what was compared. Raises Unavailable."""
        async with self._comparing:
            if self._checked is not None and self._checked.findings:
                return self._checked.findings
            if self._checked is None:
                self._checked = await self.check()
            else:
                await follow(self._database, self._checked)
            for finding in self._checked.findings:
                log.error("the audit log is not what it was: %s", finding)
        return self._checked.findings

    async def check(self) -> CheckedLog:
        """Compares the log with the checkpoints in the bucket. Raises Unavailable."""
        keys = [] if self._signer is None else [self._signer.verifier, *self._options.former]
        return await compare(self._database, self._objects, self._options.bucket, keys)

    async def is_due(self) -> bool:
        async with self._database.reading() as connection:
            state = await audit.checkpoint_state(connection)
        if state.head.size <= state.size:
            return False
        return state.completed >= state.size or state.at is None or self._now() - state.at >= AT_LATEST

    async def put_checkpoint(self) -> None:
        """Puts the checkpoint of the present size; another process may put the same, and both are one object."""
        assert self._signer is not None  # noqa: S101 # who calls has looked
        async with self._database.reading() as connection:
            head = await audit.head(connection)
        note = self._signer.checkpoint(ORIGIN, head.size, head.root())
        days = self._options.retain_days
        until = None if days is None else self._now() + timedelta(days=days)

        async def same(version: ObjectVersion) -> bool:
            return await gathered(self._objects, version, LARGEST_NOTE) == note.encode()

        key = checkpoint_key(head.size)
        await place(self._objects, small_upload(self._options.bucket, key, note.encode(), until), same)
        now = self._now()
        await self._database.run(lambda c: audit.keep_checkpoint(c, head.size, now))
        self._untimed, self._restamp_at = (key, note, until), now

    async def _stamp(self) -> None:
        """A timestamp beside the newest checkpoint; an authority that is away is asked again, until there is a newer
        one."""
        if self._authority is None or self._untimed is None or self._now() < self._restamp_at:
            return
        key, note, until = self._untimed
        self._restamp_at = self._now() + RESTAMP
        try:
            reply = await self._authority.stamp(note.encode())
        except NoTimestamp as error:
            log.warning("the checkpoint of the audit log has no timestamp yet: %s", error)
            return
        put = small_upload(self._options.bucket, f"{key}.tsr", reply, until)

        async def any_of_them(_version: ObjectVersion) -> bool:
            return True  # another process was faster: its timestamp is as good

        await place(self._objects, put, any_of_them)
        self._untimed = None
