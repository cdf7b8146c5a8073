"""Databases that are older, newer or being migrated when the service starts."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import asyncpg

from app.db.dialect import LOCK_MIGRATION
from app.db.tables import schema_lock
from tests.integration.conftest import MakeArchive
from tests.support.archive import NOT_MIGRATED, Archive
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.service import pas


def test_an_older_database_refuses_the_start_and_the_message_says_how_to_migrate(make_archive: MakeArchive) -> None:
    archive = make_archive(make=NOT_MIGRATED)
    refused = pas("serve", "--port", "0", "--config", str(archive.config))
    assert refused.returncode == 1
    assert refused.stdout == ""  # nothing was promised
    assert refused.stderr.splitlines()[-1] == (
        "pas: the database is older than this release: run `pas migrate`, or start with --migrate"
    )
    tables = archive.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    assert tables == []


def test_several_migrations_at_once_are_one_and_a_newer_database_is_used_with_a_warning(
    make_archive: MakeArchive,
) -> None:
    archive, job_id = make_archive(make=NOT_MIGRATED), uuid4()
    command = ("migrate", "--config", str(archive.config))
    with ThreadPoolExecutor(3) as threads:
        migrations = list(threads.map(lambda _: pas(*command), range(3)))
    assert [(each.returncode, each.stdout) for each in migrations] == [
        (0, "the database is at the newest migration\n")
    ] * 3
    archive.query("UPDATE pas_alembic_version SET version_num = '9999_of_the_future'")
    assert pas(*command).returncode == 0
    with archive.service("--host", "127.0.0.1") as service:
        assert [line["message"] for line in service.logged() if line["level"] == "WARNING"] == [
            "the database was migrated by a newer release; it is used as it is"
        ]
        service.submit(job_id, unversioned("a", "b"))
        assert_all_succeeded(service.wait_completed(job_id), ["a", "b"])
    assert archive.query("SELECT version_num FROM pas_alembic_version") == [{"version_num": "9999_of_the_future"}]


@contextmanager
def migration_under_way(archive: Archive) -> Iterator[None]:
    """As if another process had begun to migrate, and its migration took as long as this lasts."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(archive.postgres.url(archive.database)))
        runner.run(connection.execute("SELECT pg_advisory_lock($1, $2)", schema_lock, LOCK_MIGRATION))
        try:
            yield
        finally:
            runner.run(connection.close())


def test_while_the_database_is_migrated_requests_and_health_say_that_it_is_being_prepared(
    make_archive: MakeArchive,
) -> None:
    archive, job_id, body = make_archive(make=NOT_MIGRATED), uuid4(), submission(OSV, unversioned("a"))
    service = archive.service()
    try:
        with migration_under_way(archive):
            service.start_listening()
            service.wait("named", lambda: "being prepared" in service.problem("database"))
            assert service.ready()[0] == 503
            for answer in (service.put(job_id, body), service.api("GET", f"/api/jobs/{job_id}")):
                assert answer.status_code == 503
                assert answer.json()["detail"].startswith("The database is being prepared;")
                assert "Retry-After" in answer.headers
        service.wait("ready", lambda: service.ready()[0] == 200)
        service.submit(job_id, unversioned("a"))
        assert_all_succeeded(service.wait_completed(job_id), ["a"])
        said = [line["message"] for line in service.logged()]
        assert said.count("the database is being prepared: its tables are brought to this release") == 1
    finally:
        service.close()
