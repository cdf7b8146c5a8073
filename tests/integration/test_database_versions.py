"""Databases that are older, newer or being migrated when the service starts."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.integration.conftest import MakeArchive
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.service import pas


def test_an_older_database_refuses_the_start_and_the_message_says_how_to_migrate(make_archive: MakeArchive) -> None:
    archive = make_archive()
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
    archive, job_id = make_archive(), uuid4()
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
