"""A database that cannot hold every text is refused; what a role or a database has set otherwise breaks nothing."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from app.db import jobs, migrations, tasks
from app.db.connect import Unusable
from app.db.database import Database
from app.db.metadata_tables import value
from app.domain.errors import Unavailable
from app.domain.identity import reference_key
from app.domain.jobs import Reference, TaskId
from app.domain.tasks import TaskKey
from tests.conftest import running
from tests.integration.conftest import MakeArchive
from tests.servers import Postgres
from tests.support.archive import Archive
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.metadata import archived, insert, opened
from tests.support.rows import insert_job, keys_of, new_job, task_row
from tests.support.service import pas
from tests.unit.metadata.archived import open_archived

FOREIGN = ("SQL_ASCII", "LATIN1", "WIN1252", "EUC_JP", "MULE_INTERNAL")
TEXTS = ["日本", "Müller", "Ł", "😀", "'\\x", "ΑΩ"]
"""Letters of many encodings, and what a string literal could trip over."""


def make(postgres: Postgres, options: str) -> str:
    """The name of a new database, made with these options."""
    name = f"e{uuid4().hex[:10]}"
    postgres.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 {options}')
    return name


@pytest.mark.parametrize("encoding", FOREIGN)
async def test_a_database_of_another_encoding_is_refused_and_the_message_says_the_way_out(
    postgres: Postgres, encoding: str
) -> None:
    database = Database(postgres.url(make(postgres, f"ENCODING '{encoding}' LOCALE 'C'")))
    try:
        for refused in (migrations.migrate(database), insert_job(database, 1), database.ping()):
            with pytest.raises(Unusable) as caught:
                await refused
            reason = caught.value.reason
            assert reason.startswith(f"the encoding of the database is {encoding} and must be UTF8")
            assert "createdb -E UTF8 -T template0" in reason
            assert "pg_dump" in reason
            assert "\n" not in reason
    finally:
        await database.close()


@pytest.mark.parametrize(
    "locale", ["LOCALE 'C'", "LOCALE_PROVIDER icu ICU_LOCALE 'de-CH' LOCALE 'C'", "LOCALE 'C.UTF-8'"]
)
async def test_texts_are_kept_and_compared_by_their_code_points_whatever_the_collation(
    postgres: Postgres, locale: str
) -> None:
    kept = await open_archived(postgres.url(make(postgres, f"ENCODING 'UTF8' {locale}")))
    try:
        for each in ("Zoo", "apple", "ärger", "Ärger", "日本", "apple2"):
            await kept.add({"k": each})
        assert await kept.ids(("k", "gt", "Zoo")) == [6, 5, 4, 3, 2]
        assert await kept.ids(("k", "gte", "apple"), ("k", "lt", "b")) == [6, 2]
        assert await kept.ids(("k", "eq", "日本")) == [5]
        assert await kept.ids(("k", "contains", "rger")) == [4, 3]
    finally:
        await kept.database.close()


SETTINGS = {
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "DateStyle": "German",
    "TimeZone": "Asia/Tokyo",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "30",
    "lock_timeout": "30",
    "idle_session_timeout": "200",
    "plan_cache_mode": "force_generic_plan",
    "synchronous_commit": "off",
    "jit": "on",
    "row_security": "on",
}
"""Each of which could change what we read, write, wait for or promise."""


@pytest.mark.parametrize("of", ["database", "role"])
async def test_what_a_role_or_a_database_has_set_otherwise_breaks_nothing(
    postgres: Postgres, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    name = make(postgres, "ENCODING 'UTF8' LOCALE 'C'")
    role = f"r{uuid4().hex[:10]}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    postgres.execute(f'ALTER DATABASE "{name}" OWNER TO {role}')
    for setting, to in SETTINGS.items():
        postgres.execute(f"ALTER {of} \"{name if of == 'database' else role}\" SET {setting} = '{to}'")
    url = postgres.url(name).replace(f"{postgres.username}:{postgres.password}@", f"{role}:secret@")
    async with opened(url) as database:
        references = [Reference(each) for each in TEXTS]
        new = new_job(references)
        assert await database.run(lambda c: jobs.insert_if_absent(c, new))
        await database.run(lambda c: jobs.insert_tasks(c, new.id, references))
        row = await task_row(database, TaskId(new.id, 0))
        assert row["reference_id"] == TEXTS[0]
        async with database.reading() as connection:
            kept = await jobs.find(connection, new.id)
            assert kept is not None
            assert (kept.started, kept.content_hash) == (new.started, new.content_hash)
            assert await jobs.keys_of(connection, new.id) == keys_of(references)
        await insert(database, archived("a", values={each: each for each in TEXTS} | {"n": 0.1}))
        async with database.reading() as connection:
            rows = await connection.execute(select(value.c.key, value.c.text))
            found = {row.key: row.text for row in rows}
        assert found == {each: each for each in TEXTS} | {"n": "0.1"}
        for names, was in (
            (("client_encoding",), "UTF8"),
            (("default_transaction_isolation", "transaction_isolation"), "read committed"),
            (("statement_timeout", "lock_timeout", "idle_session_timeout"), "0"),
            (("synchronous_commit", "standard_conforming_strings"), "on"),
            (("row_security", "jit"), "off"),
        ):
            async with database.reading() as connection:
                for each in names:
                    assert (await connection.execute(text(f"SHOW {each}"))).scalar_one() == was, each


async def test_rows_that_a_policy_hides_are_an_outage_and_not_tasks_that_nobody_knows(postgres: Postgres) -> None:
    role, name = f"r{uuid4().hex[:10]}", make(postgres, "ENCODING 'UTF8' LOCALE 'C'")
    async with opened(postgres.url(name)) as owner:
        job_id = await insert_job(owner, 1)
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    postgres.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", name)
    postgres.execute("ALTER TABLE backfill_task ENABLE ROW LEVEL SECURITY", name)
    database = Database(postgres.url(name).replace(f"{postgres.username}:{postgres.password}@", f"{role}:secret@"))
    key = TaskKey(job_id, UUID(bytes=reference_key(Reference("ref-0"))))
    try:
        with pytest.raises(Unavailable, match="row-level security"):
            await database.run(lambda c: tasks.look_up(c, [key]))
    finally:
        await database.close()


@pytest.fixture(scope="module")
def latin1(make_archive: MakeArchive, postgres: Postgres) -> Archive:
    """An archive whose database is LATIN1."""
    archive = make_archive(make=("topics", "bucket"))
    name = make(postgres, "ENCODING 'LATIN1' LOCALE 'C'")
    archive.configure({"jeap.datasource.url": postgres.url(name)})
    archive.database = name
    return archive


@pytest.mark.parametrize(
    ("command", "code"),
    [(("migrate",), 1), (("serve", "--port", "0"), 1), (("serve", "--port", "0", "--migrate"), 1), (("verify",), 3)],
)
def test_every_command_refuses_a_database_of_another_encoding_in_one_line(
    latin1: Archive, command: tuple[str, ...], code: int
) -> None:
    refused = pas(*command, "--config", str(latin1.config))
    assert (refused.returncode, refused.stdout) == (code, "")
    assert "the encoding of the database is LATIN1 and must be UTF8" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    assert latin1.query("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_where_the_database_comes_later_its_encoding_is_named_and_work_never_begins(make_archive: MakeArchive) -> None:
    with running(Postgres()) as postgres:
        archive = make_archive(postgres=postgres, make=("topics", "bucket"))
        archive.configure({"jeap.datasource.url": postgres.url(make(postgres, "ENCODING 'LATIN1' LOCALE 'C'"))})
        postgres.kill()
        service = archive.service()
        try:
            service.start_listening()
            service.wait("not there", lambda: "cannot be reached" in service.problem("database"))
            postgres.start()
            service.wait("named", lambda: "LATIN1 and must be UTF8" in service.problem("database"))
            refused = service.put(uuid4(), submission(OSV, unversioned("a")))
            assert refused.status_code == 503
            assert refused.json()["detail"].startswith("The database cannot be used as it is")
            assert service.ready()[0] == 503
            warnings = [line["message"] for line in service.logged() if line["level"] == "WARNING"]
            assert len([line for line in warnings if "must be UTF8" in line and "as it should be" in line]) == 1
            service.terminate()
            assert service.exit_code() == 0
        finally:
            service.close()
