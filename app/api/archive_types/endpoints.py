"""The endpoint of the archive types: what may be submitted, and the schemas that describe it."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.edge import MayReadJobs, TheEdge
from app.api.http.problems import responses
from app.api.shapes.examples import ARCHIVE_TYPES, shown
from app.api.shapes.moments import Moment
from app.domain.known_types import KnownArchiveType, KnownSchema

router = APIRouter(prefix="/api/archive-types", tags=["archive types"])

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ArchiveTypeView(BaseModel):
    """A configuration; one that is `remote` may be submitted, its references with versions where it is `versioned`."""

    model_config = _CAMEL

    message_type: str
    topic: str
    config_id: str | None
    remote: Annotated[bool, Field(description="its data is read from a source")]
    versioned: bool
    live: Annotated[bool, Field(description="archived as its messages come, in a job for each day")]
    uri: Annotated[str | None, Field(description="template of the source's address")]
    oauth_client_id: str | None
    metadata_keys: list[str]
    last_archived_at: Moment | None

    @classmethod
    def of(cls, known: KnownArchiveType) -> "ArchiveTypeView":
        configuration = known.configuration
        return cls(
            message_type=configuration.message_type,
            topic=configuration.topic,
            config_id=configuration.id,
            remote=configuration.is_remote_data,
            versioned=configuration.is_versioned,
            live=configuration.is_live,
            uri=configuration.uri,
            oauth_client_id=configuration.oauth_client_id,
            metadata_keys=[path.key for path in configuration.metadata_extraction_paths],
            last_archived_at=known.last_archived_at,
        )


class SchemaView(BaseModel):
    """A type of the registry."""

    model_config = _CAMEL

    system: str
    name: str
    versions: list[int]
    reference_id_type: str
    expiration_days: Annotated[int, Field(description="for so long nothing of it can be deleted")]

    @classmethod
    def of(cls, known: KnownSchema) -> "SchemaView":
        return cls(
            system=known.system,
            name=known.name,
            versions=list(known.versions),
            reference_id_type=known.reference_id_type,
            expiration_days=known.expiration_days,
        )


class ArchiveTypesView(BaseModel):
    """All archive types in the order of the configuration file, and all schemas."""

    items: list[ArchiveTypeView]
    schemas: list[SchemaView]
    next: Annotated[None, Field(description="there is one page, as of every list")] = None


@router.get(
    "",
    summary="List what may be submitted",
    responses={200: shown("All archive types and schemas.", ARCHIVE_TYPES), **responses(400, 401, 403, 503)},
)
async def list_archive_types(_caller: MayReadJobs, edge: TheEdge) -> ArchiveTypesView:
    """The archive types as they are configured now, when each was last archived, and the schemas of the registry."""
    known = await edge.archive_types.known()
    return ArchiveTypesView(
        items=[ArchiveTypeView.of(each) for each in known.archive_types],
        schemas=[SchemaView.of(each) for each in known.schemas],
    )
