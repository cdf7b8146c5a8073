"""The audit log as people see it: pages of entries, the signed head, proofs of single entries."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.db import audit
from app.db.audit import AuditFilter
from app.db.database import Database
from app.domain.audit import ORIGIN, Act, Actor, AuditEntry, LoggedEntry, leaf, subject_of_artifact
from app.domain.merkle import RangeRoots, includes, inclusion_ranges, leaf_hash
from app.evidence.audit_check import SHOWN
from app.evidence.signer import Signer

__all__ = ["AuditFilter", "AuditLog", "EntryProof", "LogDiffers", "NotSigned", "UnknownEntry"]

Findings = Callable[[], Awaitable[Sequence[str]]]
"""What the comparison of the log with its checkpoints found; made before it answers. Raises Unavailable."""


class NotSigned(Exception):
    """No key is configured, so nothing is signed."""


class LogDiffers(Exception):
    """The log is not what it was, so nothing of it is signed; the text says what was found."""


class UnknownEntry(Exception):
    """The log has no entry of this number."""


@dataclass(frozen=True, slots=True)
class EntryProof:
    """The proof that an entry is in the log: `checkpoint` is a signed note of the size that the proof is for."""

    index: int
    leaf: bytes
    hashes: Sequence[bytes]
    checkpoint: str


class AuditLog:
    """Every method raises Unavailable."""

    def __init__(self, database: Database, signer: Signer | None, findings: Findings) -> None:
        self._database = database
        self._signer = signer
        self._findings = findings

    async def page(self, wanted: AuditFilter, before: int | None, limit: int) -> tuple[Sequence[LoggedEntry], bool]:
        """Wanted entries, newest first, below `before`; and whether there are more."""
        async with self._database.reading() as connection:
            found = await audit.entries(connection, wanted, before, limit + 1)
        return found[:limit], len(found) > limit

    async def pages(self, wanted: AuditFilter, before: int | None) -> AsyncIterator[Sequence[LoggedEntry]]:
        """All of them; no transaction stays open between two pages."""
        more = True
        while more:
            found, more = await self.page(wanted, before, audit.PAGE)
            if found:
                yield found
                before = found[-1].seq

    async def read(self, artifact_id: int, by: Actor) -> None:
        """Logs that somebody reads the content of an artifact."""
        entry = AuditEntry(Act.ARTIFACT_READ, subject_of_artifact(artifact_id), datetime.now(UTC), by)
        await self._database.run(lambda c: audit.append(c, [entry]))

    async def checkpoint(self) -> str:
        """The signed note of the log as it is now. Raises NotSigned, LogDiffers."""
        signer = await self._need_signer()
        async with self._database.reading() as connection:
            head = await audit.head(connection)
        return signer.checkpoint(ORIGIN, head.size, head.root())

    async def proof(self, seq: int) -> EntryProof:
        """Raises UnknownEntry, NotSigned, LogDiffers; ValueError where entries are missing or were changed, as `pas
        audit verify` says in full."""
        signer = await self._need_signer()
        async with self._database.reading() as connection:
            head = await audit.head(connection)
            entry = await audit.find(connection, seq) if seq < head.size else None
        if entry is None:
            raise UnknownEntry
        roots, start = RangeRoots(inclusion_ranges(seq, head.size)), 0
        while start < head.size:
            async with self._database.reading() as connection:
                found = await audit.hashes(connection, start, head.size)
            if not found:
                break
            for each in found:
                roots.add(each)
            start += len(found)
        text, hashes = leaf(entry), roots.roots()
        if not includes(head.root(), head.size, seq, leaf_hash(text), hashes):
            raise ValueError("the entry, or the log around it, was changed")
        return EntryProof(seq, text, hashes, signer.checkpoint(ORIGIN, head.size, head.root()))

    async def _need_signer(self) -> Signer:
        if self._signer is None:
            raise NotSigned
        if findings := await self._findings():
            raise LogDiffers("; ".join(findings[:SHOWN]))
        return self._signer
