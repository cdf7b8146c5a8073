"""Tasks of messages for the tests."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import live_tasks
from app.db.database import Database
from app.domain.archive_types import SchemaName
from app.domain.identity import live_subject, live_task_key
from app.domain.jobs import Reference
from app.domain.live_tasks import NewLiveTask, Origin, PayloadDescription

TYPE, TOPIC = "DocCreated", "docs"
SCHEMA = SchemaName("PSF", "Doc", 1)


def new_task(message_id: str, reference: str = "r", content: bytes | None = None, **changes: Any) -> NewLiveTask:
    """A task as the live flow makes it of a message."""
    archive_type, named = changes.pop("archive_type", TYPE), Reference(reference, changes.pop("version", None))
    origin: dict[str, Any] = {
        "key": live_task_key(archive_type, message_id, named),
        "reference": named,
        "message_id": message_id,
        "payload": None if content is None else PayloadDescription("application/json", SCHEMA, len(content)),
        **changes,
    }
    return NewLiveTask(
        archive_type, archive_type, TOPIC, None, live_subject(archive_type, named), Origin(**origin), content
    )


async def insert_live(database: Database, now: datetime, *tasks: NewLiveTask) -> set[UUID]:
    return await database.run(lambda c: live_tasks.insert(c, tasks, now))
