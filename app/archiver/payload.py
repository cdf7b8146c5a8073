"""Takes the document of a task from the message that the task came of, in the place of a fetch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.archiver.fetch import STOPPED, PutBackTask, StillWanted
from app.archiver.records import Records
from app.domain.artifacts import ArchiveTask, Document
from app.domain.errors import PermanentFailure, task_message
from app.domain.live_tasks import Origin, PayloadDescription
from app.sources.memory import ByteBudget

STEP = "Failed reading artifact from its message"


class Payloads:
    """Reads documents from the database, within the `budget` of documents in memory."""

    def __init__(self, records: Records, budget: ByteBudget) -> None:
        self._records = records
        self._budget = budget

    @asynccontextmanager
    async def document(
        self, task: ArchiveTask, origin: Origin, payload: PayloadDescription, still_wanted: StillWanted
    ) -> AsyncIterator[Document]:
        """The document, in memory until the block ends. Raises PermanentFailure when it is no longer kept, PutBackTask
        when the task is no longer wanted."""
        lease = await self._budget.lease()
        try:
            await lease.resize(payload.size)
            if not await still_wanted():
                raise PutBackTask(0, task.attempts, STOPPED)
            content = await self._records.payload(origin.key)
            if content is None:
                raise PermanentFailure(task_message(STEP, "the document is no longer kept"))
            yield Document(content, payload.content_type, payload.schema)
        finally:
            lease.release()
