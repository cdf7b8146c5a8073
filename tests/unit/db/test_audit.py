"""The audit log: one order without gaps, hashes as an auditor computes them, pages with filters; on PostgreSQL too."""

import asyncio
import contextlib
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from app.db import audit
from app.db.audit import AuditFilter
from app.db.database import Database
from app.domain.audit import Act, Actor, AuditEntry, leaf, shown, true_hash
from app.domain.merkle import root_of

NOW = datetime(2026, 5, 8, 7, 26, 37, 123_987, tzinfo=UTC)
DORA = Actor("dora", "Dora", "0042", "pas-cli")


def entry(number: int = 0, **changes: object) -> AuditEntry:
    values: dict[str, object] = {"what": Act.JOB_PAUSED, "subject": f"job/{number}", "at": NOW, "by": DORA}
    return AuditEntry(**{**values, **changes})  # type: ignore[arg-type]


async def test_the_hash_is_that_of_the_canonical_json(database: Database) -> None:
    details = {"counts": {"total": 2, "failed": None}, "b": 1, "a": "ä"}
    await database.run(lambda c: audit.append(c, [entry(details=details), entry(1, by=None)]))
    async with database.reading() as connection:
        first, second = await audit.following(connection, -1)
    line = (
        '{"at":"2026-05-08T07:26:37.123Z","details":{"a":"ä","b":1,"counts":{"total":2}},"seq":0,"subject":"job/0",'
        '"what":"job.paused","who":{"client":"pas-cli","extId":"0042","name":"Dora","subject":"dora"}}'
    )
    assert leaf(first).decode() == line
    assert first.hash == true_hash(first) == sha256(b"\0" + line.encode()).digest()
    assert shown(first)["hash"] == b64encode(first.hash).decode()
    assert leaf(second) == (b'{"at":"2026-05-08T07:26:37.123Z","seq":1,"subject":"job/1","what":"job.paused"}')
    assert second.who is None
    assert json.loads(json.dumps(shown(second)))["details"] is None


async def test_acts_at_once_have_one_order_without_gaps(database: Database, url: str) -> None:
    other = Database(url)
    try:
        each = [
            (database if number % 2 else other).run(lambda c, n=number: audit.append(c, [entry(n)]))  # type: ignore[misc]
            for number in range(20)
        ]
        await asyncio.gather(*each)
    finally:
        await other.close()
    async with database.reading() as connection:
        found = await audit.following(connection, -1)
        head = await audit.head(connection)
    assert [each.seq for each in found] == list(range(20))
    assert {each.subject for each in found} == {f"job/{number}" for number in range(20)}
    assert (head.size, head.root()) == (20, root_of([true_hash(each) for each in found]))


async def test_an_act_that_is_undone_leaves_no_entry(database: Database) -> None:
    class Undone(Exception):
        pass

    async def work(connection: object) -> None:
        await audit.append(connection, [entry()])  # type: ignore[arg-type]
        raise Undone

    for _ in range(2):
        with contextlib.suppress(Undone):
            await database.run(work)
    await database.run(lambda c: audit.append(c, [entry(7)]))
    async with database.reading() as connection:
        assert [each.subject for each in await audit.following(connection, -1)] == ["job/7"]
        assert (await audit.head(connection)).size == 1


async def test_filters_and_pages(database: Database) -> None:
    def at(number: int) -> datetime:
        return NOW + timedelta(minutes=number)

    some = [entry(number % 2, at=at(number), by=DORA if number < 4 else None) for number in range(6)]
    some.append(entry(9, what=Act.JOB_COMPLETED, at=at(6), by=Actor(name="Erik")))
    await database.run(lambda c: audit.append(c, some))

    async def seqs(before: int | None = None, limit: int = 100, **wanted: object) -> list[int]:
        async with database.reading() as connection:
            found = await audit.entries(connection, AuditFilter(**wanted), before, limit)  # type: ignore[arg-type]
        return [each.seq for each in found]

    assert await seqs() == [6, 5, 4, 3, 2, 1, 0]
    assert await seqs(before=5, limit=2) == [4, 3]
    assert await seqs(subject="job/1") == [5, 3, 1]
    for who in DORA:
        assert await seqs(who=who) == [3, 2, 1, 0]
    assert await seqs(who="Erik") == [6]
    assert await seqs(what="job.completed") == [6]
    assert await seqs(since=at(5).replace(microsecond=0)) == [6, 5]


async def test_what_decides_on_a_checkpoint(database: Database) -> None:
    async def state() -> audit.CheckpointState:
        async with database.reading() as connection:
            return await audit.checkpoint_state(connection)

    assert (await state())[1:] == (0, None, -1)
    await database.run(lambda c: audit.append(c, [entry(), entry(what=Act.JOB_COMPLETED), entry()]))
    for _ in range(2):  # two processes note it
        await database.run(lambda c: audit.keep_checkpoint(c, 2, NOW))
    found = await state()
    assert (found.head.size, found.size, found.at, found.completed) == (3, 2, NOW, 1)
