"""Makes a new job of the references that failed in another job."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.archive_types import ResolveError
from app.catalog.live import LiveCatalog
from app.db import jobs
from app.db.database import Database
from app.db.job_history import JobHistory
from app.domain.identity import content_hash
from app.domain.jobs import Job, JobChange, JobKind, NewJob
from app.jobs.control import ImpossibleForJob, UnknownJob
from app.jobs.failures import count_all
from app.jobs.submit import DifferentContent, Submitter, begun_by
from app.telemetry import metrics

log = logging.getLogger(__name__)


class Retries:
    """`on_new` is called after a new job was committed: its commands are due."""

    def __init__(
        self, database: Database, history: JobHistory, catalog: LiveCatalog, on_new: Callable[[], None]
    ) -> None:
        self._database = database
        self._history = history
        self._catalog = catalog
        self._on_new = on_new

    async def retry(self, job_id: UUID, new_id: UUID, by: Submitter, cause: str | None = None) -> bool:
        """Makes job `new_id` of the references that have failed in `job_id` so far, in one transaction; with a cause
        (as failures are listed by) only of those that have it.

        False where it is there already, whatever failed since. Raises UnknownJob; ImpossibleForJob: nothing failed (of
        this cause), or it does not fit the present configuration; DifferentContent: `new_id` is another job, or one for
        another cause; Unavailable.
        """
        async with self._database.reading() as connection:
            old = await jobs.find(connection, job_id)
            if old is None:
                raise UnknownJob
            known = await jobs.find(connection, new_id)
        if known is not None:
            return _repeated(known, job_id, cause)
        new = _new_job(old, new_id, self._config_id(old), by, cause)
        if cause is not None:
            await count_all(self._database, job_id)

        async def insert(connection: AsyncConnection) -> Job | None:
            if not await jobs.insert_if_absent(connection, new):
                return None
            total = await jobs.copy_failed(connection, old, new_id, cause)
            if total == 0:
                raise ImpossibleForJob(f"has no failed references{'' if cause is None else ' of this cause'}")
            keys = await jobs.keys_of(connection, new_id)
            digest = await asyncio.to_thread(content_hash, new.message, new.topic, new.config_id, keys)
            await jobs.set_content(connection, new_id, total, digest)
            await jobs.find(connection, job_id, lock=True)
            await self._history.record(connection, new_id, JobChange.SUBMITTED, by.called, new.started, actor=by.actor)
            about = {"jobId": str(new_id), "cause": cause}
            await self._history.record(
                connection, job_id, JobChange.RETRIED, by.called, new.started, actor=by.actor, details=about
            )
            return await jobs.find(connection, new_id)

        made = await self._database.run(insert)
        if made is None:  # a twin won the race
            async with self._database.reading() as connection:
                known = await jobs.find(connection, new_id)
            if known is None:
                raise DifferentContent
            return _repeated(known, job_id, cause)
        metrics.JOBS_SUBMITTED.inc()
        metrics.REFERENCES_SUBMITTED.inc(made.total)
        about = {"job_id": str(new_id), "retry_of": str(job_id)}
        log.info("job submitted: %d references that failed in another job", made.total, extra=about)
        self._on_new()
        return True

    def _config_id(self, old: Job) -> str | None:
        """The id of the present configuration; the tasks of messages keep theirs.

        Whether references have versions was decided when they were submitted; a task whose version does not fit any
        more fails with a message that says so.
        """
        if old.kind is JobKind.LIVE:
            return old.resolved_config_id
        try:
            configuration = self._catalog.now.resolve(old.message, old.resolved_config_id)
        except ResolveError as error:
            raise ImpossibleForJob(f"does not fit the present configuration: {error}") from error
        if configuration.topic != old.topic:
            raise ImpossibleForJob(f"does not fit the present configuration: the topic is {configuration.topic} now")
        return configuration.id


def _repeated(known: Job, job_id: UUID, cause: str | None) -> bool:
    if known.retry_of != job_id or known.retry_cause != cause:
        raise DifferentContent
    return False


def _new_job(old: Job, new_id: UUID, config_id: str | None, by: Submitter, cause: str | None) -> Job:
    """Without references yet."""
    new = NewJob(
        new_id,
        old.message,
        old.topic,
        old.config_id,
        config_id,
        old.num_of_retry,
        old.name,
        retry_of=old.id,
        retry_cause=cause,
        kind=old.kind,
    )
    return begun_by(new, by)
