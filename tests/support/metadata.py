"""Databases for the tests of metadata, on both engines, and artifacts in them that need no object store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import select

from app.catalog.archive_types import Catalog
from app.db import artifacts, migrations, runs
from app.db.database import Database
from app.db.metadata_tables import artifact, batch, value
from app.db.runs import BatchId, BatchRow
from app.domain.archive_types import ArchiveTypeConfiguration, ExtractionPath
from app.domain.artifacts import ArchivedArtifact, StoredArtifact, StoredObject
from app.domain.extraction import KeyedPath, MetadataValue, metadata_value, metadata_values
from app.domain.jobs import Reference
from app.domain.readiness import Readiness
from app.domain.runs import Run
from app.metadata.backfill import MetadataBackfill
from app.metadata.definitions import Definitions, RunOptions
from app.metadata.extract import Extractor, UnreadableDocument
from tests.servers import Postgres

TYPE = "DocCreated"
BEGIN = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)
ENABLED = RunOptions(enabled=True, batch_size=10, all_versions=False)
DISABLED = RunOptions(enabled=False, batch_size=10, all_versions=False)

SIZE = 4711
"""Bytes of each stored object."""

_numbers = count(1)


def sqlite_url(directory: Path) -> str:
    return f"sqlite:///{directory}/pas-{next(_numbers)}.db"


def postgres_url(postgres: Postgres) -> str:
    """Of a new database."""
    return postgres.create_database(f"m{uuid4().hex[:10]}")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database, at the newest migration."""
    database = Database(url)
    try:
        await migrations.migrate(database)
        yield database
    finally:
        await database.close()


def paths(**by_key: str) -> tuple[ExtractionPath, ...]:
    return tuple(ExtractionPath(key, path) for key, path in by_key.items())


def catalog(message_type: str = TYPE, config_id: str | None = None, **by_key: str) -> Catalog:
    """One configuration with these keys and paths."""
    uri = "https://source/{id}"
    return Catalog((ArchiveTypeConfiguration(message_type, "docs", uri, None, config_id, paths(**by_key)),))


def together(*catalogs: Catalog) -> Catalog:
    """All their configurations."""
    return Catalog(tuple(each for one in catalogs for each in one.configurations))


def definitions(database: Database, options: RunOptions = ENABLED) -> Definitions:
    """Of one process."""
    return Definitions(database, options, lambda: None)


def archived(
    reference: str,
    version: int | None = None,
    *,
    revision: int = 0,
    minutes: float = 0,
    object_id: str | None = None,
    job_id: UUID | None = None,
    values: Mapping[str, Any] | None = None,
) -> ArchivedArtifact:
    """What archiving a document leaves, so many minutes after `BEGIN`; the object has a version id of its own."""
    stored = StoredArtifact(
        bucket="archive",
        key=f"PSF/OsvRecord/{reference}/v{version or 1}",
        version_id=object_id or uuid4().hex,
        sha256="0" * 64,
        size=SIZE,
        content_type="application/json",
        system="PSF",
        schema="OsvRecord",
        schema_version=1,
        reference_id_type="x",
        reference_id_hash="0" * 64,
        expiration_days=90,
        archived_at=BEGIN + timedelta(minutes=minutes),
        retain_until=None,
        metadata=(),
    )
    kept = {key: metadata_value(found) for key, found in (values or {}).items()}
    return ArchivedArtifact(stored, job_id or uuid4(), Reference(reference, version), TYPE, None, revision, kept)


async def insert(database: Database, *new: ArchivedArtifact) -> None:
    await database.run(lambda connection: artifacts.insert(connection, new))


async def rows(database: Database, statement: Any) -> Sequence[Any]:
    async with database.reading() as connection:
        return (await connection.execute(statement)).all()


async def artifact_ids(database: Database, **where: Any) -> list[int]:
    conditions = [artifact.c[name] == wanted for name, wanted in where.items()]
    return [row.id for row in await rows(database, select(artifact.c.id).where(*conditions).order_by(artifact.c.id))]


async def stored_values(database: Database) -> dict[str, dict[str, tuple[str, int]]]:
    """Reference → key → (JSON, revision)."""
    statement = (
        select(artifact.c.reference_id, value.c.key, value.c.json, value.c.revision)
        .where(value.c.artifact_id == artifact.c.id)
        .order_by(artifact.c.id, value.c.key)
    )
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for reference, key, json, revision in await rows(database, statement):
        found.setdefault(reference, {})[key] = (json, revision)
    return found


class Documents:
    """In the place of the extractor: reads documents by reference; those that it does not have are gone."""

    def __init__(self, by_reference: Mapping[str, Any]) -> None:
        self.by_reference = dict(by_reference)
        self.reads = 0

    async def read(self, stored: StoredObject, paths: Sequence[KeyedPath]) -> dict[str, MetadataValue]:
        self.reads += 1
        reference = stored.key.split("/")[2]
        if reference not in self.by_reference:
            raise UnreadableDocument("the stored object is gone")
        found = self.by_reference[reference]
        if isinstance(found, Exception):
            raise found
        return metadata_values(paths, found)


def backfill(database: Database, documents: Documents, batch_size: int = 10) -> MetadataBackfill:
    """Does batches as a process does."""
    extractor = cast("Extractor", documents)
    return MetadataBackfill(database, extractor, Readiness(()), batch_size=batch_size, on_settled=lambda: None)


async def open_batches(database: Database, run_id: UUID | None = None) -> list[BatchRow]:
    """The batches that are still to be done, of one run or of all."""
    statement = select(batch.c.run_id, batch.c.position).where(batch.c.state == "open")
    if run_id is not None:
        statement = statement.where(batch.c.run_id == run_id)
    ids = [BatchId(*row) for row in await rows(database, statement.order_by(batch.c.run_id, batch.c.position))]
    async with database.reading() as connection:
        found = await runs.look_up(connection, ids)
    return [found[id_] for id_ in ids]


async def work_off(database: Database, documents: Documents, batch_size: int = 10) -> None:
    """Does batches until none is open."""
    work = backfill(database, documents, batch_size)
    while todo := await open_batches(database):
        for each in todo:
            await work.do(each)


async def all_runs(database: Database) -> list[Run]:
    """The oldest first."""
    async with database.reading() as connection:
        return (await runs.page(connection, None, 1000))[::-1]
