"""The schema beside the data: stored once per bucket, so that an archived document can be read without this service."""

import asyncio

from app.domain.archive_types import ArchiveDataType, SchemaName
from app.domain.errors import STEP_STORE, PermanentFailure, Unavailable, task_message
from app.objectstore import ObjectStore, PreconditionFailed, Upload


class SchemaFiles:
    """Knows the version id of each schema object that it has put or found."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: dict[tuple[str, SchemaName], str] = {}
        self._lock = asyncio.Lock()

    async def ensure(self, bucket: str, data_type: ArchiveDataType) -> str:
        """Version id of the schema object. Raises PermanentFailure where other content has that name, Unavailable."""
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
            raise Unavailable("objectstore", f"the schema object {key} was deleted: remove its delete marker")
        if found.user_metadata.get("hash") != file.sha256:
            raise PermanentFailure(
                task_message(
                    STEP_STORE,
                    f"schema {data_type.schema} differs from what is stored as {key}; "
                    "a changed schema needs a new version",
                )
            )
        return found.version_id
