"""Artifacts put straight into bucket and database, as an archiving long ago left them: thousands in seconds."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from app.catalog.archive_types import Catalog
from app.db import artifacts, migrations
from app.db.database import Database
from app.domain.archive_types import ArchiveTypeConfiguration, ExtractionPath
from app.domain.artifacts import ArchivedArtifact, StoredArtifact
from app.domain.extraction import KeyedPath, compile_paths, document_values, metadata_values
from app.domain.jobs import Reference
from app.metadata.definitions import Definitions, RunOptions
from app.objectstore import ObjectStore, Upload
from app.objectstore.s3 import S3Options, open_s3
from tests.servers import SeaweedFS
from tests.support.archive_types import OSV

JSON = "application/json"
BEGIN = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)
PUTS = 8
"""Objects that are put at once."""

BLOCK = 500
"""Artifacts whose rows are inserted in one transaction."""


class ToStore(NamedTuple):
    """An advisory under any reference."""

    reference: str
    content: bytes


def s3_options(s3: SeaweedFS) -> S3Options:
    return S3Options(s3.url, s3.region, s3.access_key, s3.secret_key, object_lock_enabled=False)


async def store_advisories(
    url: str, store: S3Options, bucket: str, advisories: Sequence[ToStore], paths: Mapping[str, str]
) -> None:
    """Puts the objects; migrates the database, applies these paths as the first definition and inserts the rows.

    The rows have the values of that definition and its revision, as if archived with it: no run is owed.
    """
    described = tuple(ExtractionPath(key, path) for key, path in paths.items())
    configuration = ArchiveTypeConfiguration(OSV.name, OSV.topic, "https://source/{id}", None, None, described)
    compiled, job_id = compile_paths(described), uuid4()
    database = Database(url)
    try:
        await migrations.migrate(database)
        definitions = Definitions(database, RunOptions(True, 100, False), lambda: None)
        await definitions.apply(Catalog((configuration,)))
        revision = definitions.of(configuration.name).revision
        async with open_s3(store) as objects:
            for first in range(0, len(advisories), BLOCK):
                block = [*enumerate(advisories)][first : first + BLOCK]
                rows = await _put_all(objects, bucket, block, compiled, revision, job_id)
                await database.run(lambda connection, rows=rows: artifacts.insert(connection, rows))  # type: ignore[misc]
    finally:
        await database.close()


async def _put_all(
    objects: ObjectStore,
    bucket: str,
    block: Sequence[tuple[int, ToStore]],
    paths: Sequence[KeyedPath],
    revision: int,
    job_id: UUID,
) -> list[ArchivedArtifact]:
    at_once = asyncio.Semaphore(PUTS)

    async def put(number: int, advisory: ToStore) -> ArchivedArtifact:
        stored = stored_advisory(bucket, advisory, BEGIN + timedelta(seconds=number))
        upload = Upload(bucket, stored.key, advisory.content, JSON, stored.sha256, {"job-id": str(job_id)}, None, None)
        async with at_once:
            stored = stored_advisory(bucket, advisory, stored.archived_at, (await objects.put(upload)).version_id)
        values = metadata_values(paths, document_values(advisory.content, JSON))
        return ArchivedArtifact(stored, job_id, Reference(advisory.reference, None), OSV.name, None, revision, values)

    return await asyncio.gather(*(put(number, advisory) for number, advisory in block))


def stored_advisory(bucket: str, advisory: ToStore, at: datetime, version_id: str = "") -> StoredArtifact:
    return StoredArtifact(
        bucket=bucket,
        key=f"PSF/OsvRecord/{advisory.reference}",
        version_id=version_id,
        sha256=hashlib.sha256(advisory.content).hexdigest(),
        size=len(advisory.content),
        content_type=JSON,
        system="PSF",
        schema="OsvRecord",
        schema_version=1,
        reference_id_type="ch.example.OsvRecord",
        reference_id_hash=hashlib.sha256(advisory.reference.encode()).hexdigest(),
        expiration_days=90,
        archived_at=at,
        retain_until=None,
        metadata=(),
    )
