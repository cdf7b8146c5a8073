"""Queries for a dry run: a sample of artifacts and their present values. They write nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.metadata_tables import artifact, value
from app.db.runs import candidates
from app.db.stored_objects import stored_object
from app.domain.artifacts import StoredObject
from app.domain.runs import Run


class KeptValue(NamedTuple):
    """A value as JSON, and the revision of the definition it was made with."""

    json: str
    revision: int


class SampledArtifact(NamedTuple):
    id: int
    object: StoredObject
    values: dict[str, KeptValue]
    """Of the run's keys, those that the artifact has."""


async def sample(connection: AsyncConnection, of: Run, limit: int) -> list[SampledArtifact]:
    """The newest artifacts that a run would read."""
    statement = select(artifact).where(candidates(of)).order_by(artifact.c.id.desc()).limit(limit)
    found = (await connection.execute(statement)).all()
    kept = await _values(connection, [row.id for row in found], of.keys)
    return [SampledArtifact(row.id, stored_object(row), kept[row.id]) for row in found]


async def _values(
    connection: AsyncConnection, ids: Sequence[int], keys: Sequence[str]
) -> dict[int, dict[str, KeptValue]]:
    statement = select(value.c.artifact_id, value.c.key, value.c.json, value.c.revision).where(
        value.c.artifact_id.in_(ids), value.c.key.in_(keys)
    )
    found: dict[int, dict[str, KeptValue]] = {id_: {} for id_ in ids}
    for id_, key, json, revision in await connection.execute(statement):
        found[id_][key] = KeptValue(json, revision)
    return found
