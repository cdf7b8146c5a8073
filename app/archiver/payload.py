"""Takes the document of a task from the message that the task came of, in the place of a fetch."""

from functools import partial

from app.archiver.fetch import STOPPED, PutBackTask, StillWanted
from app.archiver.records import Records
from app.domain.artifacts import ArchiveTask, Document
from app.domain.errors import PermanentFailure, task_message
from app.domain.live_tasks import Origin, PayloadDescription
from app.sources.memory import ByteBudget, HeldDocument, Lease

STEP = "Failed reading artifact from its message"


class Payloads:
    """Reads documents from the database, within the `budget` of documents in memory."""

    def __init__(self, records: Records, budget: ByteBudget) -> None:
        self._records = records
        self._budget = budget

    def document(
        self, task: ArchiveTask, origin: Origin, payload: PayloadDescription, still_wanted: StillWanted
    ) -> HeldDocument:
        """The document, in memory until the block ends. Raises PermanentFailure when it is no longer kept, PutBackTask
        when the task is no longer wanted."""
        return HeldDocument(partial(self._read, task, origin, payload, still_wanted))

    async def _read(
        self, task: ArchiveTask, origin: Origin, payload: PayloadDescription, still_wanted: StillWanted
    ) -> tuple[Document, Lease]:
        lease = await self._budget.lease()
        try:
            await lease.resize(payload.size)
            if not await still_wanted():
                raise PutBackTask(0, task.attempts, STOPPED)
            content = await self._records.payload(origin.key)
            if content is None:
                raise PermanentFailure(task_message(STEP, "the document is no longer kept"))
        except BaseException:
            lease.release()
            raise
        return Document(content, payload.content_type, payload.schema), lease
