"""No hot statement reads a whole table: the plan of each that runs, on PostgreSQL with 154,000 tasks, as it runs."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.broker.messages import Publisher
from app.db import causes, clock_repair, direct, failures, jobs, migrations, outbox, references, reports, tasks, waiting
from app.db.database import Database
from app.domain.artifacts import ArchivedArtifact
from app.domain.identity import reference_key
from app.domain.jobs import Reference, TaskId, TaskState
from app.domain.references import WantedReferences
from app.domain.tasks import NoData, Outcome, PutBack, Settlement, TaskKey
from app.messaging.owed import CreateArtifactCommands
from tests.servers import Postgres
from tests.servers.process import run_sync
from tests.support.rows import LEASE, NOW, insert_job, stored_artifact

LARGE = 150_000
"""500 commands of 24,000 are found fastest by reading all; of a large table they must not be."""

DONE = 40_000
TABLES = {"backfill_task", "artifact"}


class Plans:
    """Explains each statement before it runs; what reads one of the tables from end to end is kept."""

    def __init__(self) -> None:
        self.explained = 0
        self.scans: list[str] = []
        self.indexes: set[str] = set()

    @contextmanager
    def of(self, database: Database) -> Iterator[None]:
        def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
            if not many and _is_of_tables(statement):
                self._note(
                    statement,
                    connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one(),
                )

        event.listen(database.engine.sync_engine, "before_cursor_execute", explain)
        try:
            with pytest.MonkeyPatch.context() as patched:
                for name in ("fetch", "change"):
                    patched.setattr(direct, name, self._explained(getattr(direct, name)))
                yield
        finally:
            event.remove(database.engine.sync_engine, "before_cursor_execute", explain)

    def _explained(self, execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The statements that go past SQLAlchemy."""

        async def explained(connection: AsyncConnection, statement: Any, parameters: Mapping[str, Any]) -> Any:
            assert direct.is_direct(connection)
            made = direct._compiled(statement, connection.dialect)
            if _is_of_tables(made.sql):
                driver, arguments = direct.driver_of(connection), made.arguments(parameters)
                self._note(made.sql, await driver.fetchval(f"EXPLAIN (FORMAT JSON) {made.sql}", *arguments))
            return await execute(connection, statement, parameters)

        return explained

    def _note(self, statement: str, found: Any) -> None:
        self.explained += 1
        plan = json.loads(found) if isinstance(found, str) else found
        self.indexes |= set(indexes(plan[0]["Plan"]))
        scanned = sorted(set(scans(plan[0]["Plan"])) & TABLES)
        if scanned:
            self.scans.append(f"{', '.join(scanned)}: {statement}")


def _is_of_tables(statement: str) -> bool:
    if not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "INSERT", "WITH")):
        return False
    return any(table in statement for table in TABLES) and "pg_class" not in statement


def scans(plan: dict[str, Any]) -> list[str]:
    own = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return own + [name for below in plan.get("Plans", []) for name in scans(below)]


def indexes(plan: dict[str, Any]) -> list[str]:
    own = [plan["Index Name"]] if "Index Name" in plan else []
    return own + [name for below in plan.get("Plans", []) for name in indexes(below)]


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    return postgres.create_database(f"plans-{uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def large(url: str) -> UUID:
    """A large job in all states beside four smaller ones, with an artifact for each task that has ended."""

    async def fill() -> UUID:
        database = Database(url)
        await migrations.migrate(database)
        job_id = await insert_job(database, LARGE)
        for _ in range(4):
            await insert_job(database, 1000)
        for start in range(0, DONE, 2000):
            ids = [TaskId(job_id, position) for position in range(start, start + 2000)]
            await database.run(lambda c, ids=ids: tasks.settle(c, [succeeded(each) for each in ids], NOW))  # type: ignore[misc]
        async with database.engine.begin() as connection:
            await connection.execute(text("ANALYZE"))
        await database.close()
        return job_id

    return run_sync(fill())


def succeeded(task: TaskId) -> Outcome:
    reference = Reference(f"ref-{task.position}")
    archived = ArchivedArtifact(stored_artifact(f"v{task}"), task.job_id, reference, "M", None, 0, {})
    return Outcome(task, TaskState.SUCCEEDED, archived=archived)


async def test_no_hot_statement_scans_tasks_or_artifacts(url: str, large: UUID) -> None:
    database, plans = Database(url), Plans()
    commands = CreateArtifactCommands("commands", Publisher("psf", "pas"))
    box = outbox.TASKS
    try:
        with plans.of(database):
            claimed = await database.run(lambda c: outbox.claim(c, box, NOW, lease_until=LEASE, window=1000, batch=500))
            assert len(claimed) == 500
            await database.run(lambda c: commands.load(c, claimed))
            await database.run(lambda c: outbox.release(c, box, claimed[:10], LEASE))
            await database.run(lambda c: outbox.mark_published(c, box, claimed[10:], LEASE, NOW))
            ours = [TaskId(*item) for item in claimed[10:] if item.owner_id == large]
            keys = [TaskKey(large, UUID(bytes=reference_key(Reference(f"ref-{each.position}")))) for each in ours]
            found = await database.once(lambda c: tasks.look_up(c, keys))
            assert len(found) == len(ours)
            await database.once(lambda c: tasks.note(c, [(each, stored_artifact()) for each in ours[:20]]))
            later = NOW + timedelta(seconds=5)
            await database.run(lambda c: tasks.settle(c, [succeeded(each) for each in ours[:20]], later))
            mixed: list[Settlement] = [
                Outcome(ours[20], TaskState.FAILED, "m", "t"),
                NoData(ours[21], "t"),
                PutBack(ours[22], later, 1, hold_job=True),
            ]
            await database.run(lambda c: tasks.settle(c, mixed, later))
            await database.run(lambda c: outbox.owe_again(c, box, later + timedelta(hours=1), limit=100))
            await database.run(lambda c: outbox.owe_again(c, box, NOW - timedelta(hours=1), limit=100))
            await database.run(
                lambda c: clock_repair.bring_back(c, box, later, lease=timedelta(seconds=30), served_after=later)
            )
            async with database.reading() as connection:
                await outbox.count_outstanding(connection, box)
                await jobs.find(connection, large)
                await jobs.count_without_data(connection, [large])
                await waiting.open_jobs(connection, only_waiting=True)
                assert len(await waiting.open_jobs(connection, only_waiting=False)) == 5
                await reports.page(connection, large, after=-1, limit=1000, state=None)
        assert plans.explained >= 15
        assert plans.scans == []
    finally:
        await database.close()


CAUSE = "step: HTTP 404"
"""What few of the references failed of, far behind."""

PAGES = [
    (WantedReferences(), "pk_backfill_task"),
    (WantedReferences(TaskState.FAILED), "ix_backfill_task_failed"),
    (WantedReferences(TaskState.OPEN), "ix_backfill_task_waiting"),
    (WantedReferences(cause=CAUSE), "ix_backfill_task_cause"),
    (WantedReferences(prefix="ref-1499"), "ix_backfill_task_reference_id"),
    (WantedReferences(TaskState.FAILED, "ref-1499"), "ix_backfill_task_failed"),
]


async def test_no_page_of_references_and_no_failures_scan_tasks_or_artifacts(url: str, large: UUID) -> None:
    """Each by the index that was made for it: rare ones too are found at once."""
    database = Database(url)
    try:
        late = [TaskId(large, position) for position in range(LARGE - 300, LARGE - 200)]
        outcomes = [Outcome(each, TaskState.FAILED, CAUSE, "t") for each in late]
        await database.run(lambda c: tasks.settle(c, outcomes, NOW))
        for wanted, index in PAGES:
            plans = Plans()
            with plans.of(database):
                async with database.reading() as connection:
                    for after in (-1, LARGE // 2, LARGE - 400):
                        await references.page(connection, large, wanted, after, 50)
            assert plans.scans == []
            assert index in plans.indexes, wanted
        plans = Plans()
        with plans.of(database):
            async with database.reading() as connection:
                found = await failures.by_cause(connection, large, 100)
                assert await causes.with_uncounted(connection, large) is None
                assert await causes.with_uncounted(connection, None) is None
        assert [each.cause for each in found.causes if each.count == 100] == [CAUSE]
        assert plans.scans == []
        assert {"ix_backfill_task_cause", "ix_backfill_task_uncounted"} <= plans.indexes
    finally:
        await database.close()
