"""Builds the proofs that completed jobs owe: leaves, tree, signed checkpoint, both in the bucket under lock.

A proof is made once, however often and by however many processes it is begun: the leaves follow from the database, the
checkpoint from the leaves, both are put on a condition, and the row is written last.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import audit, proofs
from app.db.database import Database
from app.domain.audit import Act, AuditEntry, subject_of_job
from app.domain.errors import Unavailable
from app.domain.jobs import Job
from app.domain.notes import Checkpoint, NoteError, VerifierKey, verified
from app.domain.proofs import JobProof, checkpoint_key, leaves_key, lines_of, origin_of
from app.domain.readiness import OBJECT_STORE, Readiness
from app.evidence.leaf_file import LeafFile
from app.evidence.placing import place, small_upload, upload_of
from app.evidence.reading import gathered, root_of_leaves
from app.evidence.signer import Signer
from app.objectstore import ObjectRejected, ObjectStore, ObjectVersion
from app.outages import note_available, repeat_until
from app.telemetry import metrics

PAGE = 1024
"""Leaves of one page: a power of two, see `Frontier.grown_by`; some 15 ms of work, in a thread."""

LEASE = timedelta(seconds=30)
"""A claim of a process that died becomes free after this time. Renewed while leaves are read."""

RENEW = timedelta(seconds=10)

IDLE = 1.0
"""Seconds between two looks for jobs that owe a proof."""

PAUSE = timedelta(minutes=5)
"""Before a proof that cannot be made is tried again; others go on."""

UNMADE = (ObjectRejected, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What a proof that cannot be made raises, outages apart: a row may hold anything, and a disk may be full."""

LARGEST_NOTE = 1024**2

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The process stops; the proof is built by another one, or later."""


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """`bucket` is where evidence is put; `former` are keys whose checkpoints stay as they are. `timestamps`: whether
    each checkpoint gets one."""

    bucket: str
    former: tuple[VerifierKey, ...] = ()
    timestamps: bool = False


class ProofBuilder:
    """Several processes may build at once, each another job. `alone`: no other one does, so that all claims are free
    when it starts."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        readiness: Readiness,
        signer: Signer,
        options: ProofOptions,
        *,
        alone: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._objects = objects
        self._readiness = readiness
        self._signer = signer
        self._options = options
        self._alone = alone
        self._now = now

    async def run(self, stop: asyncio.Event) -> None:
        """Builds until `stop`; outages only delay it."""
        forgotten = self._alone

        async def step() -> bool:
            nonlocal forgotten
            if forgotten:
                await self._database.run(proofs.forget_leases)
                forgotten = False
            return await self.build_next(stop)

        await repeat_until(stop, self._readiness, IDLE, step)

    async def build_next(self, stop: asyncio.Event) -> bool:
        """Builds the proof that is owed for longest; False where none is, or `stop` came. Raises Unavailable."""
        now = self._now()
        async with self._database.reading(brief=True) as connection:
            if not await proofs.is_owed(connection, now):
                return False
        job = await self._database.run(lambda c: proofs.claim(c, now, now + LEASE))
        if job is None:
            return False
        try:
            await self._build(job, stop)
        except Stopped:
            await self._release(job.id, None)
            return False
        except Unavailable:
            await self._release(job.id, None)
            raise
        except UNMADE as error:
            metrics.PROOFS_FAILED.inc()
            log.error("the proof of job %s cannot be made, and is tried again in %s: %s", job.id, PAUSE, error)
            await self._release(job.id, self._now() + PAUSE)
        return True

    async def _release(self, job_id: UUID, until: datetime | None) -> None:
        await self._database.run(lambda c: proofs.lease(c, job_id, until))

    async def _build(self, job: Job, stop: asyncio.Event) -> None:
        with LeafFile() as leaves:
            until = await self._read(job, leaves, stop)
            root, size = leaves.frontier.root(), leaves.frontier.size
            if size != job.total:
                raise ValueError(f"it had {job.total} references, and the database has {size} of them")
            content, sha256 = leaves.finished()

            async def same_leaves(version: ObjectVersion) -> bool:  # by what it holds: anybody can write its metadata
                return await root_of_leaves(self._objects, version) == (size, root)

            put = upload_of(self._options.bucket, leaves_key(job.id), content, sha256, until)
            placed = await place(self._objects, put, same_leaves)
        note, checkpoint = await self._sign(job, size, root, until)
        note_available(self._readiness, OBJECT_STORE)
        proof = JobProof(
            job_id=job.id,
            created_at=self._now(),
            size=size,
            root=root,
            checkpoint=note,
            bucket=self._options.bucket,
            checkpoint_version=checkpoint.version_id,
            leaves_version=placed.version_id,
            retain_until=until,
        )
        if await self._database.run(lambda c: self._keep(c, proof)):
            metrics.PROOFS_MADE.inc()
            log.info("job %s has its proof: %d leaves, root %s", job.id, size, root.hex())

    async def _keep(self, connection: AsyncConnection, proof: JobProof) -> bool:
        if not await proofs.keep(connection, proof, proof.created_at if self._options.timestamps else None):
            return False
        details = {"root": b64encode(proof.root).decode(), "size": proof.size}
        subject = subject_of_job(proof.job_id)
        await audit.append(connection, [AuditEntry(Act.JOB_PROVEN, subject, proof.created_at, None, details)])
        return True

    async def _read(self, job: Job, leaves: LeafFile, stop: asyncio.Event) -> datetime | None:
        """Adds the leaves of the job; the longest lock among its objects, None where none is locked."""
        after, longest, renewed = -1, "", self._now()
        while True:
            async with self._database.reading() as connection:
                rows = await proofs.page(connection, job.id, after, PAGE)
            if rows:
                longest = max(longest, await asyncio.to_thread(_add, leaves, rows))
                after = rows[-1][0]
            if len(rows) < PAGE:
                return datetime.fromisoformat(longest) if longest else None
            if stop.is_set():
                raise Stopped
            if self._now() - renewed > RENEW:
                renewed = self._now()
                await self._database.run(lambda c: proofs.lease(c, job.id, self._now() + LEASE))

    async def _sign(self, job: Job, size: int, root: bytes, until: datetime | None) -> tuple[str, ObjectVersion]:
        """The note and its object; one that a key of the past signed stays."""
        lines = lines_of(job)
        note = self._signer.checkpoint(origin_of(job.id), size, root, lines)
        found = note

        async def same_checkpoint(version: ObjectVersion) -> bool:
            nonlocal found
            content = await gathered(self._objects, version, LARGEST_NOTE)
            there = _verified(content, [self._signer.verifier, *self._options.former])
            if there is None:
                return False
            text, key = there
            if text != Checkpoint(f"{key.name}/{origin_of(job.id)}", size, root, tuple(lines)).text():
                return False
            found = content.decode()
            return True

        put = small_upload(self._options.bucket, checkpoint_key(job.id), note.encode(), until)
        version = await place(self._objects, put, same_checkpoint)
        return found, version


def _add(leaves: LeafFile, rows: Sequence[Any]) -> str:
    """Adds the leaves of the rows; the last end of a lock among them, "" where none is locked."""
    lines, ends = [], [""]
    for row in rows:
        line, until = proofs.line_of(row)
        lines.append(line)
        if until is not None:
            ends.append(until)
    leaves.add(lines)
    return max(ends)


def _verified(note: bytes, keys: Sequence[VerifierKey]) -> tuple[str, VerifierKey] | None:
    try:
        return verified(note.decode(), keys)
    except (NoteError, UnicodeDecodeError):
        return None
