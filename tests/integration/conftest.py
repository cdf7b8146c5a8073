"""Archives on the real servers, and a source for each file of tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from app.db.database import Database
from tests.integration.main_job import MainJob, run_main_job
from tests.servers import Kafka, Oidc, Postgres, SeaweedFS
from tests.servers.source import Source
from tests.support.archive import SOURCE_AUDIENCE, Archive
from tests.support.migrated import migrated as migrated_file
from tests.support.migrated import migrated_on


class MakeArchive(Protocol):
    def __call__(self, **arguments: Any) -> Archive: ...


@pytest.fixture(scope="module")
def source(oidc: Oidc) -> Iterator[Source]:
    """Takes tokens of the OAuth server for its audience only."""
    with Source(jwks_uri=oidc.jwks_uri, audience=SOURCE_AUDIENCE) as started:
        yield started


@pytest.fixture(scope="module")
def make_archive(
    tmp_path_factory: pytest.TempPathFactory,
    kafka: Kafka,
    postgres: Postgres,
    s3: SeaweedFS,
    oidc: Oidc,
    source: Source,
) -> MakeArchive:
    """Makes archives; arguments as of `Archive`, other servers may be given too."""

    def make(**arguments: Any) -> Archive:
        directory: Path = tmp_path_factory.mktemp("archive")
        servers = {"kafka": kafka, "postgres": postgres, "s3": s3, "oidc": oidc, "source": source}
        return Archive(directory, **{**servers, **arguments})

    return make


@pytest.fixture(scope="session")
def main_job(
    tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, postgres: Postgres, s3: SeaweedFS, oidc: Oidc
) -> MainJob:
    """Done once; its service has ended when the tests look."""
    with Source(jwks_uri=oidc.jwks_uri, audience=SOURCE_AUDIENCE) as started:
        directory = tmp_path_factory.mktemp("main-job")
        return run_main_job(Archive(directory, kafka, postgres, s3, oidc, started), started)


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """Name of a PostgreSQL database at the newest migration, to be copied."""
    return migrated_on(postgres)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of the service, migrated and empty, on each of the two engines."""
    if request.param == "sqlite":
        file = tmp_path / "pas.sqlite"
        file.write_bytes(migrated_file())
        opened = Database(f"sqlite:///{file}")
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        template = request.getfixturevalue("migrated")
        opened = Database(postgres.create_database(f"db-{uuid4()}", template))
    yield opened
    await opened.close()
