"""Databases with artifacts, for the tests of the search."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import artifacts, definitions, migrations
from app.db.database import Database
from app.db.definitions import AppliedDefinition
from app.domain.archive_types import ArchiveTypeConfiguration, archive_type_name
from app.domain.artifacts import ArchivedArtifact, StoredArtifact
from app.domain.definitions import DefinedKey
from app.domain.extraction import metadata_value
from app.domain.jobs import Reference
from app.domain.search import Comparison, Search
from app.metadata.search import Artifacts, condition

MESSAGE = "DecreeCreatedEvent"
JOB = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")
START = datetime(2026, 5, 8, 7, 26, 37, 123456, tzinfo=UTC)


@dataclass
class Archived:
    """A migrated database and what the tests put there; artifacts have ids from 1, a minute between them."""

    database: Database
    configurations: list[ArchiveTypeConfiguration] = field(default_factory=list)
    count: int = 0

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.database, lambda: self.configurations)

    async def add(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        reference: Reference | None = None,
        message: str = MESSAGE,
        config_id: str | None = None,
        content: bytes = b"{}",
        **changes: Any,
    ) -> int:
        """Archives one; returns its id. `changes` are of `StoredArtifact`."""
        self.count += 1
        stored: dict[str, Any] = {
            "bucket": "archive",
            "key": f"PSF/Decree/{self.count}",
            "version_id": "v",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "content_type": "application/json",
            "system": "PSF",
            "schema": "Decree",
            "schema_version": 1,
            "reference_id_type": "decree",
            "reference_id_hash": "00",
            "expiration_days": 30,
            "archived_at": START + timedelta(minutes=self.count),
            "retain_until": START + timedelta(days=30),
            "metadata": (),
        }
        archived = ArchivedArtifact(
            stored=StoredArtifact(**{**stored, **changes}),
            job_id=JOB,
            reference=reference or Reference(f"DOC-{self.count}", 1),
            message_type=message,
            config_id=config_id,
            revision=1,
            values={key: metadata_value(value) for key, value in (metadata or {}).items()},
        )
        await self.database.run(lambda connection: artifacts.insert(connection, [archived]))
        return self.count

    async def define(
        self, *keys: str, message: str = MESSAGE, config_id: str | None = None, inactive: Sequence[str] = ()
    ) -> None:
        name = archive_type_name(message, config_id)
        defined = tuple(DefinedKey(key, key, 1, key not in inactive) for key in (*keys, *inactive))
        applied = AppliedDefinition(name, message, config_id, 1, defined)
        await self.database.run(lambda connection: definitions.replace(connection, applied, START))

    async def ids(self, *conditions: tuple[str, str, str], limit: int = 100, **search: Any) -> list[int]:
        """The artifacts that a search finds: conditions are (key, operator, operand)."""
        asked = tuple(condition(key, Comparison(operator), operand) for key, operator, operand in conditions)
        wanted = Search(conditions=asked, **search)
        return [each.id async for page in self.artifacts.pages(wanted, None, limit) for each in page]


async def open_archived(url: str) -> Archived:
    database = Database(url)
    await migrations.migrate(database)
    return Archived(database)
