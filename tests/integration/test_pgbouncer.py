"""Through a real PgBouncer: session mode as it is installed, transaction mode when named, else not ready."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.db import migrations, outbox, tasks
from app.db.connect import SESSION, Unusable
from app.db.database import Database, PoolerNotNamed
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import Outcome
from tests.conftest import running
from tests.integration.conftest import MakeArchive
from tests.servers import PgBouncer, Postgres
from tests.support.archive import NOT_MIGRATED
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.metadata import opened
from tests.support.rows import LEASE, NOW, insert_job, job_row
from tests.support.service import pas

FEW = 3
"""Server connections in transaction mode: fewer than ours, so that each of ours has another one all the time."""


@pytest.fixture(scope="module")
def by_session(postgres: Postgres) -> Iterator[PgBouncer]:
    with running(PgBouncer(postgres)) as server:
        yield server


@pytest.fixture(scope="module")
def by_transaction(postgres: Postgres) -> Iterator[PgBouncer]:
    with running(PgBouncer(postgres, pool_mode="transaction", pool_size=FEW)) as server:
        yield server


@pytest.fixture(params=["session", "transaction"])
def url(request: pytest.FixtureRequest, postgres: Postgres) -> str:
    """Of a new database through PgBouncer, named where it must be."""
    pooler: PgBouncer = request.getfixturevalue(f"by_{request.param}")
    name = f"b{uuid4().hex[:10]}"
    postgres.create_database(name)
    return pooler.url(name) + ("?pooler=transaction" if request.param == "transaction" else "")


async def test_migrations_that_race_and_batches_side_by_side_work_through_it(url: str) -> None:
    async with opened(url) as database:
        other = Database(url)
        await asyncio.gather(*(migrations.migrate(each) for each in (database, other, database)))
        job_ids = [await insert_job(each, 2_500) for each in (database, other)]  # by COPY

        async def claim(of: Database) -> list[outbox.ItemId]:
            return await of.run(lambda c: outbox.claim(c, outbox.TASKS, NOW, lease_until=LEASE, window=500, batch=100))

        claimed = [item for taken in await asyncio.gather(*(claim(database) for _ in range(8))) for item in taken]
        assert len(claimed) == len(set(claimed)) == 800
        await database.run(lambda c: outbox.mark_published(c, outbox.TASKS, claimed, LEASE, NOW))

        async def settle(of: Database, items: list[outbox.ItemId]) -> int:
            outcomes = [Outcome(TaskId(*item), TaskState.SUCCEEDED) for item in items]
            return len((await of.run(lambda c: tasks.settle(c, outcomes, NOW))).changed)

        parts = [claimed[start::16] for start in range(16)]
        done = await asyncio.gather(
            *(settle(each, part) for part, each in zip(parts, [database, other] * 8, strict=True))
        )
        assert sum(done) == 800
        assert sum([(await job_row(other, job_id))["succeeded"] for job_id in job_ids]) == 800
        await other.close()


async def test_every_transaction_and_every_single_statement_has_the_session_that_we_need(url: str) -> None:
    wanted = {**SESSION, "transaction_isolation": "read committed"}
    async with opened(url) as database:

        async def shown(*, brief: bool) -> dict[str, str]:
            async with database.reading(brief=brief) as connection:
                columns = ", ".join(f"current_setting('{name}') AS {name}" for name in wanted)
                found = (await connection.execute(text(f"SELECT {columns}, pg_sleep(0.01)"))).one()
                return {name: str(found._mapping[name]) for name in wanted}

        for each in await asyncio.gather(*(shown(brief=number % 2 == 0) for number in range(20))):
            assert each == wanted


async def test_a_schema_of_its_own_holds_in_every_transaction(url: str, postgres: Postgres) -> None:
    name = url.rpartition("/")[2].partition("?")[0]
    postgres.execute("CREATE SCHEMA archive", name)
    postgres.execute("CREATE TABLE public.invoice (id int)", name)
    async with opened(f"{url}{'&' if '?' in url else '?'}options=-csearch_path=archive") as database:
        job_ids = await asyncio.gather(*(insert_job(database, 10) for _ in range(10)))
        rows = await asyncio.gather(*(job_row(database, job_id) for job_id in job_ids))
        assert [row["total"] for row in rows] == [10] * 10


async def test_it_keeps_letters_whatever_the_role_has_for_them(url: str, postgres: Postgres) -> None:
    name = url.rpartition("/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE \"{name}\" SET client_encoding = 'LATIN1'")
    postgres.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
    async with opened(url) as database:
        said = text(
            "SELECT CAST(:text AS text), octet_length(CAST(:text AS text)), current_setting('transaction_isolation')"
        )
        for _ in range(5):
            async with database.reading() as connection:
                found = (await connection.execute(said, {"text": "日本ä"})).one()
            assert tuple(found) == ("日本ä", 8, "read committed")


async def test_transaction_mode_that_is_not_named_is_noticed_at_once_and_says_the_way_out(
    by_transaction: PgBouncer, postgres: Postgres
) -> None:
    name = f"b{uuid4().hex[:10]}"
    postgres.create_database(name)
    database = Database(by_transaction.url(name))
    try:
        for asked in (database.check_pooler, lambda: migrations.migrate(database)):
            with pytest.raises(PoolerNotNamed, match=r"say \?pooler=transaction in jeap\.datasource\.url"):
                await asked()
    finally:
        await database.close()


async def test_what_is_named_works_without_a_pooler_too_and_nothing_is_noticed_where_none_is(
    postgres: Postgres, by_session: PgBouncer
) -> None:
    name = f"b{uuid4().hex[:10]}"
    postgres.create_database(name)
    for url in (f"{postgres.url(name)}?pooler=transaction", postgres.url(name), by_session.url(name)):
        async with opened(url) as database:
            await database.check_pooler()
            await insert_job(database, 3)


async def test_an_encoding_is_refused_through_it(by_session: PgBouncer, postgres: Postgres) -> None:
    name = f"b{uuid4().hex[:10]}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    database = Database(by_session.url(name))
    with pytest.raises(Unusable, match="is LATIN1"):
        await database.ping()
    await database.close()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_job_of_some_hundred_references_runs_end_to_end(
    make_archive: MakeArchive, request: pytest.FixtureRequest, mode: str
) -> None:
    pooler: PgBouncer = request.getfixturevalue(f"by_{mode}")
    archive, job_id = make_archive(make=NOT_MIGRATED), uuid4()
    named = "?pooler=transaction" if mode == "transaction" else ""
    archive.configure({"jeap.datasource.url": pooler.url(archive.database) + named})
    migrated = pas("migrate", "--config", str(archive.config))
    assert (migrated.returncode, migrated.stdout) == (0, "the database is at the newest migration\n")
    references = [f"R-{number}" for number in range(300)]
    with archive.service("--host", "127.0.0.1") as service:
        service.submit(job_id, unversioned(*references))
        assert_all_succeeded(service.wait_completed(job_id), references)
        ours = [line for line in service.logged() if line["logger"].startswith("app.")]
        assert [line for line in ours if line["level"] in ("WARNING", "ERROR")] == []
        service.terminate()
        assert service.exit_code() == 0


def test_transaction_mode_that_is_not_named_is_not_ready_and_nothing_else(
    make_archive: MakeArchive, by_transaction: PgBouncer
) -> None:
    archive = make_archive(make=NOT_MIGRATED)
    archive.configure({"jeap.datasource.url": by_transaction.url(archive.database)})
    service = archive.service()
    try:
        service.start_listening()
        service.wait("named", lambda: "?pooler=transaction" in service.problem("database"))
        refused = service.put(uuid4(), submission(OSV, unversioned("a")))
        assert refused.status_code == 503
        assert refused.json()["detail"].startswith("The database cannot be used as it is")
        assert service.ready()[0] == 503
        service.terminate()
        assert service.exit_code() == 0
        assert not [line for line in service.logged() if "Traceback" in str(line)]
        assert archive.query("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    finally:
        service.close()
