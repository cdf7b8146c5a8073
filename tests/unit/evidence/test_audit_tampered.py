"""Rows that nobody can read, written past the service: each is named, the service starts, and nothing is signed."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.db import audit
from app.db.audit import AuditFilter
from app.db.database import Database
from app.domain.audit import AUDIT, Act, Actor, AuditEntry, BrokenHead, shown
from app.domain.errors import Unavailable
from app.domain.readiness import Readiness
from app.evidence.audit_check import signed_heads
from app.evidence.audit_keeper import AuditKeeper, KeeperOptions, compare
from app.evidence.audit_log import AuditLog, LogDiffers
from app.evidence.signer import Signer
from app.objectstore.filesystem import FilesystemObjectStore

SIGNER = Signer("psf/pas", Ed25519PrivateKey.generate())
BUCKET = "archive"


class Tampered:
    """Six entries with a checkpoint, and who has the file of the database."""

    def __init__(self, url: str, objects: FilesystemObjectStore) -> None:
        self.database = Database(url)
        self.objects = objects
        self.readiness = Readiness(())
        self.keeper = AuditKeeper(
            self.database, objects, self.readiness, SIGNER, KeeperOptions(BUCKET, None, {"version": "1"})
        )
        self._path = url.removeprefix("sqlite:///")

    def sql(self, statement: str) -> None:
        with sqlite3.connect(self._path) as connection:
            connection.execute(statement)
        connection.close()

    async def findings(self) -> list[str]:
        return (await compare(self.database, self.objects, BUCKET, [SIGNER.verifier], with_all=True)).findings


@pytest.fixture
async def tampered(url: str, tmp_path: Path) -> AsyncIterator[Tampered]:
    (tmp_path / "objects" / BUCKET).mkdir(parents=True)
    store = FilesystemObjectStore(tmp_path / "objects")
    made = Tampered(url, store)
    entry = AuditEntry(Act.JOB_PAUSED, "job/1", datetime.now(UTC), Actor("dora", "Dora"), {"n": 1})
    await made.database.run(lambda c: audit.append(c, [entry] * 6))
    await made.keeper.put_checkpoint()
    yield made
    await made.database.close()
    await store.close()


CHANGES = {
    "details='[1]'": "entry 2 was changed",
    "details='\"a\"'": "entry 2 was changed",
    "details=x'ff00'": "entry 2 was changed",
    "details='" + "[" * 5000 + "'": "entry 2 was changed",
    "details='" + '{"a":' * 900 + "1" + "}" * 900 + "'": "entry 2 was changed",
    "details='{\"a\":1e999}'": "entry 2 was changed",
    "at='garbage'": "entry 2 was changed",
    "at='2026-11-30T10:00:00+01:00'": "entry 2 was changed",
    "at=5": "entry 2 was changed",
    "hash='abc'": "entry 2 was changed",
    "hash=x''": "entry 2 was changed",
    "hash=-1": "entry 2 was changed",
    "who_name=x'446f7261'": "entry 2 was changed",
    "what=x'ff'": "entry 2 was changed",
    "seq='abc'": "entry 'abc' was inserted without a number",
    "seq=2.5": "entry 2.5 was inserted without a number",
}
HEADS = {
    "delete from audit_head": "the head of the log was removed",
    "update audit_head set frontier=x'00'": "the head of the log was changed",
    "update audit_head set frontier='abc'": "the head of the log was changed",
    "update audit_head set size=-1": "the head of the log was changed",
    "update audit_head set size='abc'": "the head of the log was changed",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change[:20])
async def test_a_row_that_cannot_be_read_is_named(tampered: Tampered, change: str) -> None:
    tampered.sql(f"update audit_entry set {change} where seq=2")
    assert any(each.startswith(CHANGES[change]) for each in await tampered.findings())
    await refuses(tampered, CHANGES[change])
    log = AuditLog(tampered.database, SIGNER, tampered.keeper.findings)
    entries, _ = await log.page(AuditFilter(), None, 50)
    assert [shown(each)["seq"] for each in entries][:3] == [6, 5, 4]  # the start of the service is the newest


@pytest.mark.parametrize("statement", HEADS)
async def test_a_head_that_cannot_be_read_is_named(tampered: Tampered, statement: str) -> None:
    tampered.sql(statement)
    [finding] = await tampered.findings()
    assert finding.startswith(HEADS[statement])
    await refuses(tampered, finding)
    entry = AuditEntry(Act.JOB_PAUSED, "job/1", datetime.now(UTC))
    with pytest.raises(BrokenHead) as refused:
        await tampered.database.run(lambda c: audit.append(c, [entry]))
    assert (refused.value.component, refused.value.reason) == (AUDIT, f"is not what it was: {finding}")


async def test_rows_are_compared_with_the_checkpoint_without_a_head(tampered: Tampered) -> None:
    tampered.sql("delete from audit_head")
    tampered.sql("update audit_entry set subject='job/2' where seq=3")
    assert [each.partition(":")[0] for each in await tampered.findings()] == [
        "the head of the log was removed",
        "entry 3 was changed",
    ]


async def test_a_checkpoint_that_was_noted_for_later_or_never_holds_none_up(tampered: Tampered) -> None:
    tampered.sql("insert into audit_checkpoint values (1000000, '2026-11-30 10:00:00.000000')")
    tampered.sql("update audit_checkpoint set at='garbage' where size=6")
    await tampered.keeper.look()
    assert [each.size for each in await signed_heads(tampered.objects, BUCKET, [SIGNER.verifier])] == [7]


async def test_a_file_that_is_no_database_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "pas.sqlite").write_bytes(b"junk" * 1000)
    database = Database(f"sqlite:///{tmp_path}/pas.sqlite")
    with pytest.raises(Unavailable, match="not a database"):
        await database.ping()
    await database.close()


async def refuses(tampered: Tampered, finding: str) -> None:
    """The service starts, names it, and signs nothing."""
    await tampered.keeper.look()
    assert finding in (tampered.readiness.outage(AUDIT) or "")
    log = AuditLog(tampered.database, SIGNER, tampered.keeper.findings)
    with pytest.raises(LogDiffers, match=finding.partition(" ")[0]):
        await log.checkpoint()
    assert [each.size for each in await signed_heads(tampered.objects, BUCKET, [SIGNER.verifier])] == [6]
