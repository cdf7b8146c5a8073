"""A log that was cut, changed, thinned out, lengthened or rewritten: each is found and named; on PostgreSQL too."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, update

from app.db import audit
from app.db.database import Database
from app.db.tables import audit_entry, audit_head
from app.domain.audit import AUDIT, Act, Actor, AuditEntry, leaf_of
from app.domain.errors import Unavailable
from app.domain.merkle import Frontier, leaf_hash
from app.domain.readiness import Readiness
from app.evidence import audit_check
from app.evidence.audit_check import signed_heads
from app.evidence.audit_keeper import AuditKeeper, KeeperOptions, compare
from app.evidence.audit_log import AuditLog, LogDiffers
from app.evidence.signer import Signer
from app.evidence.timestamps import NoTimestamp
from app.objectstore import ListedVersion
from app.objectstore.filesystem import FilesystemObjectStore

NOW = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)
BUCKET = "archive"
SIGNER = Signer("psf/pas", Ed25519PrivateKey.generate())
OTHER = Signer("psf/pas", Ed25519PrivateKey.generate())


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[FilesystemObjectStore]:
    (tmp_path / "objects" / BUCKET).mkdir(parents=True)
    store = FilesystemObjectStore(tmp_path / "objects")
    yield store
    await store.close()


class World:
    """A log with its keeper; `now` can be moved."""

    def __init__(self, database: Database, objects: FilesystemObjectStore) -> None:
        self.database, self.objects = database, objects
        self.readiness = Readiness(())
        self.now = datetime.now(UTC)

    def keeper(self, signer: Signer | None = SIGNER, **changes: Any) -> AuditKeeper:
        options = KeeperOptions(BUCKET, 90, {"version": "1", "settings": "ab"}, changes.pop("former", ()))
        return AuditKeeper(
            self.database,
            self.objects,
            self.readiness,
            signer,
            options,
            changes.pop("authority", None),
            lambda: self.now,
        )

    async def act(self, number: int = 1, what: Act = Act.JOB_PAUSED) -> None:
        for _ in range(number):
            entry = AuditEntry(what, "job/1", NOW, Actor("dora", "Dora"), {"counts": {"total": 1}})
            await self.database.run(lambda c, e=entry: audit.append(c, [e]))  # type: ignore[misc]

    async def checkpoint(self) -> None:
        await self.keeper().put_checkpoint()

    async def findings(self, signer: Signer | None = SIGNER) -> list[str]:
        keys = [] if signer is None else [signer.verifier]
        return (await compare(self.database, self.objects, BUCKET, keys)).findings

    async def do(self, work: Callable[[Any], Awaitable[Any]]) -> None:
        await self.database.run(work)

    async def rehash(self, *, head: bool = True, keep: int = 10**9) -> None:
        """What somebody does who knows the format: hashes and head fit again."""

        async def work(connection: Any) -> None:
            rows = await audit.following(connection, -1, 1_000)
            frontier = Frontier()
            await connection.execute(delete(audit_entry))
            for row in rows[:keep]:
                hash_ = leaf_hash(leaf_of(frontier.size, row.at, row.who, row.what, row.subject, row.details))
                who = row.who or Actor()
                values = {"who_subject": who.subject, "who_name": who.name}
                await connection.execute(
                    insert(audit_entry).values(
                        seq=frontier.size, at=row.at, what=row.what, subject=row.subject, hash=hash_,
                        details='{"counts":{"total":1}}' if row.details else None, **values,
                    )
                )  # fmt: skip
                frontier = frontier.grown(hash_)
            if head:
                await connection.execute(update(audit_head).values(size=frontier.size, frontier=frontier.packed()))

        await self.do(work)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 4)
    monkeypatch.setattr(audit.following, "__defaults__", (4,))


@pytest.fixture
async def world(database: Database, objects: FilesystemObjectStore, small_pages: None) -> World:
    """Ten entries, checkpoints of 4, 8 and 10."""
    world = World(database, objects)
    for number in (4, 4, 2):
        await world.act(number)
        await world.checkpoint()
    return world


async def test_a_log_that_only_grew_holds(world: World) -> None:
    assert await world.findings() == []
    await world.act(3)
    assert await world.findings() == []
    checked = await compare(world.database, world.objects, BUCKET, [SIGNER.verifier])
    assert (checked.entries, checked.compared) == (13, 10)


async def test_a_changed_row_is_named(world: World) -> None:
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 5).values(who_name="Erik")))
    assert await world.findings() == ["entry 5 was changed: job.paused of job/1 does not have the hash that it has"]
    assert len(await world.findings(None)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"at": NOW + timedelta(seconds=1)},
        {"what": "job.resumed"},
        {"subject": "job/2"},
        {"who_subject": None},
        {"who_client": "x"},
        {"details": None},
        {"details": "{"},
        {"details": '{"counts":{"total":1.5}}'},
        {"hash": b"\0" * 32},
    ],
    ids=lambda change: f"{next(iter(change.items()))}",
)
async def test_every_column_counts(world: World, change: dict[str, Any]) -> None:
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 9).values(**change)))
    [finding] = await world.findings()
    assert finding.startswith("entry 9 was changed")


async def test_removed_rows_are_named(world: World) -> None:
    await world.do(lambda c: c.execute(delete(audit_entry).where(audit_entry.c.seq.in_([3, 6, 7]))))
    assert await world.findings() == ["entry 3 was removed", "entries 6 to 7 were removed"]


async def test_removed_rows_at_the_end_are_named(world: World) -> None:
    await world.do(lambda c: c.execute(delete(audit_entry).where(audit_entry.c.seq >= 8)))
    assert await world.findings() == ["entries 8 to 9 were removed"]
    await world.do(lambda c: c.execute(delete(audit_entry)))
    assert await world.findings() == ["entries 0 to 9 were removed"]


async def test_an_inserted_row_is_named(world: World) -> None:
    row = {"seq": 10, "at": NOW, "what": "job.paused", "subject": "job/9", "hash": b"\0" * 32}
    await world.do(lambda c: c.execute(insert(audit_entry).values(**row)))
    assert await world.findings() == ["entry 10 was inserted behind the head of the log"]


async def test_rows_before_the_first_are_named(world: World) -> None:
    row = {"at": NOW, "what": "job.paused", "subject": "job/9", "hash": b"\0" * 32}
    await world.do(lambda c: c.execute(insert(audit_entry), [{"seq": seq, **row} for seq in (-1, -(2**63))]))
    assert await world.findings() == [
        f"entry {-(2**63)} was inserted before the first of the log",
        "entry -1 was inserted before the first of the log",
    ]


async def test_a_log_that_was_cut_with_its_head_is_named(world: World) -> None:
    await world.rehash(keep=7)
    [cut] = await world.findings()
    assert cut == "the log was cut: it has 7 entries, and a checkpoint in the bucket is of 10"
    assert await world.findings(None) == []  # without the checkpoints nobody could tell


async def test_a_log_that_was_rewritten_with_hashes_and_head_is_named(world: World) -> None:
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 5).values(who_name="Erik")))
    await world.rehash()
    [finding] = await world.findings()
    assert finding.startswith("the log was rewritten: its entries 4 to 7 are not those that the checkpoint of 8")


async def test_a_log_that_the_holder_of_the_key_signed_anew_is_found_by_the_older_checkpoints(world: World) -> None:
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 5).values(who_name="Erik")))
    await world.rehash()
    await world.act(3)
    await world.checkpoint()
    assert await world.findings() == []  # of the newest one
    found = await compare(world.database, world.objects, BUCKET, [SIGNER.verifier], with_all=True)
    [finding] = found.findings
    assert finding.startswith("the log was rewritten: its entries 4 to 7 are not those that the checkpoint of 8")


async def test_two_checkpoints_of_one_size_that_differ_are_named(world: World) -> None:
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 9).values(who_name="Erik")))
    await world.rehash()
    await world.checkpoint()  # another version above the one of ten entries
    found = await compare(world.database, world.objects, BUCKET, [SIGNER.verifier], with_all=True)
    [finding] = found.findings
    assert finding == "two checkpoints of 10 entries in the bucket are signed, and they differ"


async def test_a_log_with_a_row_less_and_numbers_that_fit_is_named(world: World) -> None:
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 9).values(subject="job/2")))
    await world.do(lambda c: c.execute(delete(audit_entry).where(audit_entry.c.seq == 8)))
    await world.act(2)
    await world.rehash()
    [finding] = await world.findings()
    assert "entries 8 to 9" in finding


async def test_rows_that_fit_each_other_but_not_the_head_are_named(world: World) -> None:
    await world.act(2)
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 11).values(who_name="Erik")))
    await world.rehash(head=False)
    assert await world.findings() == ["the head of the log is not that of its 12 entries"]


async def test_what_others_put_into_the_bucket_says_nothing(world: World) -> None:
    before = world.objects
    stranger = World(world.database, before)
    await stranger.act(5)
    await stranger.keeper(OTHER).put_checkpoint()
    found = await compare(world.database, before, BUCKET, [SIGNER.verifier])
    assert (found.findings, found.compared) == ([], 10)
    found = await compare(world.database, before, BUCKET, [SIGNER.verifier, OTHER.verifier])
    assert (found.findings, found.compared) == ([], 15)
    assert [each.size for each in await signed_heads(before, BUCKET, [SIGNER.verifier], all_of_them=True)] == [4, 8, 10]


async def test_many_findings_are_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_check, "MOST", 2)
    await world.do(lambda c: c.execute(update(audit_entry).values(who_name="Erik")))
    assert len(await world.findings()) == 3


# --- the keeper


async def test_the_start_is_logged_and_signed_within_the_hour(
    database: Database, objects: FilesystemObjectStore
) -> None:
    world = World(database, objects)
    keeper = world.keeper()
    await keeper.look()
    await keeper.look()
    async with database.reading() as connection:
        [entry] = await audit.following(connection, -1)
    assert (entry.what, entry.subject, entry.who) == ("service.started", "service", None)
    assert entry.details == {"version": "1", "settings": "ab"}
    [signed] = await signed_heads(objects, BUCKET, [SIGNER.verifier])
    assert signed.size == 1
    version = await objects.head(BUCKET, "evidence/audit/1/checkpoint")
    assert version is not None
    assert version.retain_until is not None
    assert version.retain_until > datetime.now(UTC) + timedelta(days=89)


async def test_a_checkpoint_follows_a_completed_job_or_an_hour(
    database: Database, objects: FilesystemObjectStore
) -> None:
    world = World(database, objects)
    keeper = world.keeper()

    async def sizes() -> list[int]:
        await keeper.look()
        return [each.size for each in await signed_heads(objects, BUCKET, [SIGNER.verifier], all_of_them=True)]

    assert await sizes() == [1]
    await world.act(2)
    assert await sizes() == [1]
    await world.act(1, Act.JOB_COMPLETED)
    assert await sizes() == [1, 4]
    await world.act(1)
    world.now += timedelta(minutes=59)
    assert await sizes() == [1, 4]
    world.now += timedelta(minutes=2)
    assert await sizes() == [1, 4, 5]
    world.now += timedelta(hours=5)
    assert await sizes() == [1, 4, 5]  # nothing happened


async def test_two_processes_put_one_checkpoint(world: World) -> None:
    await world.act()
    for _ in range(2):
        await world.keeper().put_checkpoint()
    assert len(await world.objects.versions(BUCKET, "evidence/audit/11/checkpoint")) == 1


async def test_a_rewritten_log_is_told_at_the_start_and_not_signed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.do(lambda c: c.execute(delete(audit_entry).where(audit_entry.c.seq == 3)))
    await world.act(1, Act.JOB_COMPLETED)
    keeper = world.keeper()
    await keeper.look()
    await keeper.look()
    reason = world.readiness.outage(AUDIT)
    assert reason is not None
    assert "entry 3 was removed" in reason
    assert sum("entry 3 was removed" in record.message for record in caplog.records) == 1
    assert [each.size for each in await signed_heads(world.objects, BUCKET, [SIGNER.verifier])] == [10]


async def test_the_comparison_is_made_before_the_first_signature(world: World) -> None:
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 5).values(who_name="Erik")))
    await world.rehash()
    log = AuditLog(world.database, SIGNER, world.keeper().findings)  # of a process that has just started
    for refused in (log.checkpoint(), log.proof(3)):
        with pytest.raises(LogDiffers, match="its entries 4 to 7 are not those"):
            await refused


async def test_a_log_that_only_grew_is_signed(world: World) -> None:
    keeper = world.keeper()
    log = AuditLog(world.database, SIGNER, keeper.findings)
    assert (await log.checkpoint()).startswith("psf/pas/audit\n10\n")
    await keeper.look()
    assert (await log.proof(10)).checkpoint == await log.checkpoint()


async def test_a_log_that_is_rewritten_while_the_service_runs_is_not_signed(world: World) -> None:
    keeper = world.keeper()
    log = AuditLog(world.database, SIGNER, keeper.findings)
    await keeper.look()
    await world.act(5)
    assert (await log.checkpoint()).startswith("psf/pas/audit\n16\n")
    await world.do(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 12).values(who_name="Erik")))
    await world.rehash()
    await world.act(1, Act.JOB_COMPLETED)
    with pytest.raises(LogDiffers, match="rewritten while the service ran: its head is not what 16 entries lead to"):
        await log.checkpoint()
    await keeper.look()
    assert "rewritten while the service ran" in (world.readiness.outage(AUDIT) or "")
    assert [each.size for each in await signed_heads(world.objects, BUCKET, [SIGNER.verifier])] == [10]


async def test_a_log_that_is_cut_while_the_service_runs_is_not_signed(world: World) -> None:
    keeper = world.keeper()
    await world.act(3)
    assert await keeper.findings() == []
    await world.rehash(keep=12)
    assert await keeper.findings() == ["the log was cut while the service ran: it has 12 entries, and had 13"]
    await world.act(5)
    assert len(await keeper.findings()) == 1  # until it is restarted


async def test_a_head_that_is_removed_while_the_service_runs_is_named(world: World) -> None:
    keeper = world.keeper()
    assert await keeper.findings() == []
    await world.do(lambda c: c.execute(delete(audit_head)))
    assert await keeper.findings() == ["the head of the log was removed"]


async def test_an_outage_of_the_store_only_delays(database: Database, objects: FilesystemObjectStore) -> None:
    world = World(database, objects)

    class Away:
        def list_prefix(self, _bucket: str, _prefix: str) -> AsyncIterator[list[ListedVersion]]:
            raise Unavailable("objectstore", "is away")

    keeper = world.keeper()
    keeper._objects = Away()  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(Unavailable):
            await keeper.look()
    keeper._objects = objects
    await keeper.look()
    async with database.reading() as connection:
        assert (await audit.head(connection)).size == 1


async def test_without_a_key_the_log_is_checked_against_its_head(world: World) -> None:
    keeper = world.keeper(None)
    await keeper.look()
    assert world.readiness.outage(AUDIT) is None
    await world.do(lambda c: c.execute(delete(audit_entry).where(audit_entry.c.seq == 3)))
    await world.keeper(None).look()
    assert "entry 3" in (world.readiness.outage(AUDIT) or "")


async def test_a_timestamp_lies_beside_the_checkpoint(database: Database, objects: FilesystemObjectStore) -> None:
    world = World(database, objects)

    answers: list[bytes | None] = [None, b"reply"]

    class Authority:
        async def stamp(self, content: bytes) -> bytes:
            assert content.startswith(b"psf/pas/audit\n")
            answer = answers.pop(0)
            if answer is None:
                raise NoTimestamp("away")
            return answer

    keeper = world.keeper(authority=Authority())
    key = "evidence/audit/1/checkpoint.tsr"
    await keeper.look()
    assert await objects.head(BUCKET, key) is None
    world.now += timedelta(minutes=2)
    await keeper.look()
    await keeper.look()
    assert b"".join([piece async for piece in objects.read(BUCKET, key, None)]) == b"reply"
