"""Stores each schema once per bucket, beside the data, so that documents can be read without this service."""

import asyncio

from app.domain.archive_types import ArchiveDataType, SchemaName
from app.domain.errors import STEP_STORE, PermanentFailure, Unavailable, task_message
from app.domain.readiness import OBJECT_STORE
from app.objectstore import ObjectStore, ObjectVersion, PreconditionFailed, Upload


class SchemaFiles:
    """Remembers the version id of each schema object that it has stored or found."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: dict[tuple[str, SchemaName], str] = {}
        self._lock = asyncio.Lock()

    def known(self, bucket: str, data_type: ArchiveDataType) -> str | None:
        """The version id where the schema object was stored or found before: then nothing is asked."""
        return self._known.get((bucket, data_type.schema))

    async def ensure(self, bucket: str, data_type: ArchiveDataType) -> str:
        """The version id of the schema object. Raises PermanentFailure when an object of that name has other content,
        Unavailable."""
        place = (bucket, data_type.schema)
        known = self._known.get(place)
        if known is None:
            async with self._lock:
                known = self._known.get(place)
                if known is None:
                    known = self._known[place] = await self._put(bucket, data_type)
        return known

    async def _put(self, bucket: str, data_type: ArchiveDataType) -> str:
        file, key = data_type.file, data_type.schema_object_key
        upload = Upload(
            bucket=bucket,
            key=key,
            content=file.content,
            content_type=file.content_type,
            sha256=file.sha256,
            user_metadata={
                "hash": file.sha256,
                "system": data_type.schema.system,
                "schema": data_type.schema.name,
                "schema-version": str(data_type.schema.version),
            },
            retain_days=None,
            tag=None,
        )
        try:
            return (await self._objects.put(upload)).version_id
        except PreconditionFailed:
            pass
        found = await self._objects.head(bucket, key)
        if found is None:
            raise Unavailable(OBJECT_STORE, f"the schema object {key} was deleted: remove its delete marker")
        refuse_other_content(found, data_type)
        return found.version_id


def refuse_other_content(found: ObjectVersion, data_type: ArchiveDataType) -> None:
    """Raises PermanentFailure when the content of the schema object differs from the schema of the registry."""
    if found.user_metadata.get("hash") != data_type.file.sha256:
        cause = f"schema {data_type.schema} differs from what is stored as {data_type.schema_object_key}"
        raise PermanentFailure(task_message(STEP_STORE, f"{cause}; a changed schema needs a new version"))
