"""The archive types that may be submitted, and when each was last archived."""

from collections.abc import Iterable

from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry
from app.db import artifacts
from app.db.database import Database
from app.domain.archive_types import ArchiveDataType
from app.domain.known_types import KnownArchiveType, KnownSchema, KnownTypes


class ArchiveTypes:
    """The archive types as they are configured now. Raises Unavailable."""

    def __init__(self, database: Database, catalog: LiveCatalog, registry: Registry) -> None:
        self._database = database
        self._catalog = catalog
        self._schemas = schemas_of(registry.types())

    async def known(self) -> KnownTypes:
        configurations = self._catalog.now.configurations
        async with self._database.reading() as connection:
            last = await artifacts.last_archived(connection, [each.name for each in configurations])
        known = (KnownArchiveType(each, last.get(each.name)) for each in configurations)
        return KnownTypes(tuple(known), self._schemas)


def schemas_of(types: Iterable[ArchiveDataType]) -> tuple[KnownSchema, ...]:
    """One item for all versions of a type, as they share one descriptor."""
    found: dict[tuple[str, str], list[ArchiveDataType]] = {}
    for each in types:
        found.setdefault((each.schema.system, each.schema.name), []).append(each)
    return tuple(
        KnownSchema(
            system,
            name,
            tuple(sorted(each.schema.version for each in versions)),
            versions[0].reference_id_type,
            versions[0].expiration_days,
        )
        for (system, name), versions in sorted(found.items())
    )
