"""Accepts a job. The same content under the same id is the same job; other content under this id is refused."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.archive_types import ResolveError, UnknownMessage
from app.catalog.live import LiveCatalog
from app.db import jobs
from app.db.database import Database
from app.db.job_history import JobHistory
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.audit import Actor
from app.domain.jobs import Job, JobChange, NewJob, References, begun
from app.domain.mistakes import Mistake
from app.telemetry import metrics

log = logging.getLogger(__name__)


class SubmittedContent(Protocol):
    """A request body as far as it could be read; a part that could not be read is None.

    `content_hash` is set for a body without mistakes.
    """

    @property
    def message(self) -> str | None: ...
    @property
    def topic(self) -> str | None: ...
    @property
    def config_id(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def num_of_retry(self) -> int | None: ...
    @property
    def references(self) -> References: ...
    @property
    def keys(self) -> bytes:
        """The 16 bytes of `reference_key` of each reference."""

    @property
    def lines(self) -> Mapping[str, int]: ...
    @property
    def content_hash(self) -> bytes | None: ...

    def version_mistakes(self, versioned: bool) -> Sequence[Mistake]:
        """References that lack a version (`versioned`), or have one that they must not have."""


class Accepted(Enum):
    """The result of a submission: a new job, or a job that exists already."""

    NEW = "new"
    REPEATED = "repeated"


class DifferentContent(Exception):
    """A job with this id exists and has different content; nothing was changed."""


class DoesNotFit(Exception):
    """The submission does not fit the configuration; `mistakes` has every reason."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.path}: {mistake.message}" for mistake in mistakes[:3]))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who submits the job, and the trace of the request. `called` is the name of this person in messages."""

    name: str | None
    ext_id: str | None
    subject: str
    called: str
    traceparent: str | None
    client: str | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.subject or None, self.name, self.ext_id, self.client)


class Submissions:
    """`on_new` is called after a new job was committed: its commands are due."""

    def __init__(
        self, database: Database, history: JobHistory, catalog: LiveCatalog, on_new: Callable[[], None]
    ) -> None:
        self._database = database
        self._history = history
        self._catalog = catalog
        self._on_new = on_new

    async def submit(
        self,
        job_id: UUID,
        content: SubmittedContent,
        by: Submitter,
        approve: Callable[[ArchiveTypeConfiguration], None] | None = None,
    ) -> Accepted:
        """Stores the job and its tasks in one transaction.

        `approve` is called before with the configuration of a new job; what it raises refuses the job.
        Raises DifferentContent; DoesNotFit, only for a new job, as a repeated submission is not checked against the
        configuration again; Unavailable.
        """
        if (known := await self._find(job_id)) is not None:
            return _repeated(known, content)
        configuration = self.fitting(content)
        if approve is not None:
            approve(configuration)
        job = _new_job(job_id, content, configuration, by)
        if not await self._insert(job, content, by):
            known = await self._find(job_id)  # a twin won the race
            if known is None:
                raise DifferentContent
            return _repeated(known, content)
        metrics.JOBS_SUBMITTED.inc()
        metrics.REFERENCES_SUBMITTED.inc(job.total)
        log.info("job submitted: %d references", job.total, extra={"job_id": str(job_id)})
        self._on_new()
        return Accepted.NEW

    def mistakes(self, content: SubmittedContent) -> list[Mistake]:
        """The mistakes of a body against the configuration, as far as the body could be read."""
        return self._check(content)[1]

    def fitting(self, content: SubmittedContent) -> ArchiveTypeConfiguration:
        """The configuration for a body without mistakes. Raises DoesNotFit."""
        configuration, mistakes = self._check(content)
        if configuration is None or mistakes:
            raise DoesNotFit(mistakes)
        return configuration

    def _check(self, content: SubmittedContent) -> tuple[ArchiveTypeConfiguration | None, list[Mistake]]:
        if content.message is None:
            return None, []
        try:
            configuration = self._catalog.now.resolve(content.message, content.config_id)
        except ResolveError as error:
            path = "message" if isinstance(error, UnknownMessage) or content.config_id is None else "config-id"
            return None, [Mistake(path, content.lines.get(path), str(error))]
        mistakes: list[Mistake] = []
        if content.topic is not None and content.topic != configuration.topic:
            problem = f"is not the topic of message {content.message}: that is {configuration.topic}"
            mistakes.append(Mistake("topic", content.lines.get("topic"), problem))
        mistakes += content.version_mistakes(configuration.is_versioned)
        return configuration, mistakes

    async def _find(self, job_id: UUID) -> Job | None:
        async with self._database.reading() as connection:
            return await jobs.find(connection, job_id)

    async def _insert(self, job: Job, content: SubmittedContent, by: Submitter) -> bool:
        """Returns False when a job with this id exists already."""

        async def insert(connection: AsyncConnection) -> bool:
            if not await jobs.insert_if_absent(connection, job):
                return False
            await jobs.insert_tasks(connection, job.id, content.references, content.keys)
            await self._history.record(connection, job.id, JobChange.SUBMITTED, by.called, job.started, actor=by.actor)
            return True

        return await self._database.run(insert)


def _repeated(known: Job, content: SubmittedContent) -> Accepted:
    if known.content_hash != content.content_hash:
        raise DifferentContent
    return Accepted.REPEATED


def _new_job(job_id: UUID, content: SubmittedContent, configuration: ArchiveTypeConfiguration, by: Submitter) -> Job:
    if content.message is None or content.topic is None or content.content_hash is None:
        raise ValueError("a body with mistakes is no job")
    new = NewJob(
        job_id,
        content.message,
        content.topic,
        content.config_id,
        configuration.id,
        content.num_of_retry,
        name=content.name,
        total=len(content.references),
        content_hash=content.content_hash,
    )
    return begun_by(new, by)


def begun_by(new: NewJob, by: Submitter) -> Job:
    """A job that somebody starts now."""
    return replace(
        begun(new, datetime.now(UTC)),
        started_by_name=by.name,
        started_by_ext_id=by.ext_id,
        started_by_subject=by.subject or None,
        traceparent=by.traceparent,
    )
