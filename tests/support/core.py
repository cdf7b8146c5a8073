"""A small world for the core: SQLite, files and the embedded broker around real stories; the source is scripted."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import select

from app.archiver.announce import EventOptions
from app.archiver.describe import Target
from app.archiver.fetch import Fetcher
from app.archiver.payload import Payloads
from app.archiver.pipeline import Archiver, ArchiverOptions, ArchiverParts, Metadata
from app.archiver.records import Records
from app.broker.embedded import EmbeddedBroker
from app.broker.messages import Publisher, create_artifact_command
from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry
from app.catalog.schemas import CompiledSchema, compile_schema
from app.db.database import Database
from app.db.job_history import JobHistory
from app.db.metadata_tables import artifact
from app.db.tables import job, task
from app.domain.archive_types import ArchiveDataType, ArchiveTypeConfiguration, ExtractionPath
from app.domain.definitions import Definition
from app.domain.extraction import compile_paths
from app.domain.identity import content_hash
from app.domain.jobs import FailureThreshold, JobKind, Reference
from app.domain.mistakes import Mistake
from app.domain.readiness import BROKER, DATABASE, OBJECT_STORE, Readiness
from app.domain.tasks import OwedTask
from app.jobs.submit import Accepted, Submissions, Submitter
from app.messaging.create_artifact import CreateArtifactHandler
from app.messaging.dispatch import Answer, Received
from app.metadata.extract import Extractor
from app.objectstore import ObjectVersion
from app.objectstore.filesystem import FilesystemObjectStore
from app.sources.memory import ByteBudget
from tests.support.compiled import share_compiled
from tests.support.migrated import migrated
from tests.support.rows import keys_of
from tests.support.scripted_source import SCHEMA, ScriptedSource
from tests.support.tampered import Life, Tampered

MESSAGE, TOPIC, BUCKET, COMMANDS, EVENTS = "DocCreated", "docs", "archive", "commands", "events"
DORA = Submitter("Dora", "0042", "dora", "Dora", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
HISTORY = JobHistory(publishes=True)
ARCHIVED = EventOptions(EVENTS, Publisher("PSF", "pas"))
JSON_SCHEMA = b'{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}'


def configuration(**changes: Any) -> ArchiveTypeConfiguration:
    return ArchiveTypeConfiguration(**{
        "message_type": MESSAGE,
        "topic": TOPIC,
        "uri": "https://source/docs/{id}",
        "metadata_extraction_paths": (ExtractionPath("title", "title"),),
        **changes,
    })  # fmt: skip


@cache
def _compiled() -> CompiledSchema:
    def refuse(uri: str) -> Any:
        raise LookupError(uri)

    return compile_schema(JSON_SCHEMA, "schema.json", SCHEMA.name, "registry:///", refuse)


def registry() -> Registry:
    """One type, of which a document needs a title."""
    compiled = _compiled()
    return Registry({SCHEMA: (ArchiveDataType(SCHEMA, "org.example.Doc", 90, compiled.file), compiled)})


class References(tuple[Reference, ...]):
    """Satisfies the protocol of the domain."""


@dataclass(frozen=True)
class Submission:
    """A body without mistakes (`jobs.submit.Content`), but for versions that do not fit."""

    references: References
    message: str | None = MESSAGE
    topic: str | None = TOPIC
    config_id: str | None = None
    num_of_retry: int | None = None
    name: str | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def keys(self) -> bytes:
        return keys_of(self.references)

    @property
    def content_hash(self) -> bytes:
        return content_hash(self.message or "", self.topic or "", self.config_id, self.keys)

    def version_mistakes(self, versioned: bool) -> Sequence[Mistake]:
        return [
            Mistake(f"archiveDataReferences[{place}].version", None, "missing" if versioned else "too much")
            for place, reference in enumerate(self.references)
            if (reference.version is not None) is not versioned
        ]


def submission(*references: str | Reference, **changes: Any) -> Submission:
    named = (each if isinstance(each, Reference) else Reference(each) for each in references)
    return Submission(References(named), **changes)


@dataclass
class Core:
    """What outlives a process: database, objects, topics, source, configuration. `due` counts calls of `on_new`."""

    database: Database
    objects: FilesystemObjectStore
    broker: EmbeddedBroker
    topics: Path
    source: ScriptedSource = field(default_factory=ScriptedSource)
    catalog: LiveCatalog = field(default_factory=lambda: LiveCatalog(Catalog((configuration(),))))
    registry: Registry = field(default_factory=registry)
    due: int = 0

    def on_due(self) -> None:
        self.due += 1

    @property
    def submissions(self) -> Submissions:
        return Submissions(self.database, HISTORY, self.catalog, self.on_due)

    async def submit(self, *references: str | Reference, **changes: Any) -> UUID:
        """A new job."""
        job_id = uuid4()
        assert await self.submissions.submit(job_id, submission(*references, **changes), DORA) is Accepted.NEW
        return job_id

    def process(self, **changes: Any) -> "Process":
        return Process(self, **changes)

    async def archive(self, job_id: UUID, **changes: Any) -> None:
        """A new process handles the commands of all tasks."""
        process = self.process(**changes)
        for work in await process.take(job_id):
            await process.run(work)

    async def commands(self, job_id: UUID) -> list[Received]:
        """Of all tasks, in order, whether or not they were published."""
        found = await self.tasks(job_id)
        live, now = (await self.job(job_id)).kind == JobKind.LIVE, datetime.now(UTC)
        owed = [
            OwedTask(
                job_id,
                row.position,
                row.reference_key,
                Reference(row.reference_id, row.reference_version),
                MESSAGE,
                TOPIC,
                is_live=live,
            )
            for row in found
        ]
        return [Received(create_artifact_command(each, Publisher("psf", "pas"), now, uuid4()), None) for each in owed]

    async def rows(self, statement: Any) -> Sequence[Any]:
        async with self.database.reading() as connection:
            return (await connection.execute(statement)).all()

    async def tasks(self, job_id: UUID) -> list[Any]:
        return list(await self.rows(select(task).where(task.c.job_id == job_id).order_by(task.c.position)))

    async def task(self, job_id: UUID) -> Any:
        """Of a job of one task."""
        (found,) = await self.tasks(job_id)
        return found

    async def job(self, job_id: UUID) -> Any:
        return (await self.rows(select(job).where(job.c.id == job_id)))[0]

    async def artifacts(self) -> Sequence[Any]:
        return await self.rows(select(artifact).order_by(artifact.c.id))

    async def versions(self, *, schemas: bool = False) -> list[ObjectVersion]:
        """All that lie in the bucket, with what they say; those of schemas or all others."""
        listed = [each async for page in self.objects.list_versions(BUCKET) for each in page]
        wanted = [each for each in listed if each.key.startswith("archive-data-schema/") is schemas]
        found = [await self.objects.head(each.bucket, each.key, each.version_id) for each in wanted]
        return [each for each in found if each is not None]

    def events(self) -> list[dict[str, Any]]:
        """Messages of the event topic."""
        file = self.topics / f"{EVENTS}.jsonl"
        return [json.loads(line)["value"] for line in file.read_text().splitlines()] if file.exists() else []

    def event_ids(self) -> Iterator[str]:
        return (event["identity"]["idempotenceId"] for event in self.events())


class Process:
    """One process from its start: its parts can be tampered with, and it can die (`dies`)."""

    def __init__(
        self,
        core: Core,
        *,
        announces: bool = True,
        locks: bool = True,
        threshold: FailureThreshold | None = None,
        max_attempts: int = 4,
        target: Target | None = None,
    ) -> None:
        self.core = core
        self.life = Life()
        self.dies = self.life.end
        self.readiness = Readiness((DATABASE, BROKER, OBJECT_STORE))
        self.database, self.objects, self.broker = (
            Tampered(each, self.life) for each in (core.database, core.objects, core.broker)
        )
        self.settled = 0
        self.freed = 0
        extractor = Extractor(core.objects, core.registry, self.readiness, ByteBudget(1024 * 1024), self._definition)
        self.metadata = Tampered(extractor, self.life)
        self.records = Records(cast("Database", self.database), self.readiness, HISTORY, self._on_settled, threshold)
        self.archiver = Archiver(
            ArchiverOptions(target or Target(BUCKET), locks, ARCHIVED if announces else None),
            ArchiverParts(
                catalog=core.catalog,
                registry=core.registry,
                payloads=Payloads(self.records, ByteBudget(1024 * 1024)),
                fetcher=Fetcher(cast("Any", core.source), retry_backoff=0.0001, patience=3600),
                objects=cast("Any", self.objects),
                broker=cast("Any", self.broker),
                records=self.records,
                readiness=self.readiness,
                metadata=cast("Metadata", self.metadata),
            ),
        )
        self.handler = CreateArtifactHandler(self.records, self.archiver, lambda _: "", max_attempts)

    async def take(self, job_id: UUID) -> list[Answer]:
        """What is to be done for the commands of the job."""
        return await self.handler.receive(await self.core.commands(job_id))

    async def run(self, work: Answer) -> None:
        """Where something is to be done."""
        if hasattr(work, "run"):
            await work.run(self._on_free)

    async def archive(self, job_id: UUID) -> None:
        for work in await self.take(job_id):
            await self.run(work)

    def _on_settled(self, count: int) -> None:
        self.settled += count

    def _on_free(self) -> None:
        self.freed += 1

    def _definition(self, archive_type: str) -> Definition:
        configured = [each for each in self.core.catalog.now.configurations if each.name == archive_type]
        return Definition(7, compile_paths(configured[0].metadata_extraction_paths) if configured else ())


@asynccontextmanager
async def opened_core(directory: Path) -> AsyncIterator[Core]:
    """Everything empty and prepared, below `directory`."""
    file = directory / "pas.sqlite"
    file.write_bytes(migrated())
    database = Database(f"sqlite:///{file}")
    share_compiled(database.engine)
    objects = FilesystemObjectStore(directory / "objects")
    broker = EmbeddedBroker(directory, {COMMANDS})
    await broker.start()
    await objects.prepare([BUCKET], registry().types())
    try:
        yield Core(database, objects, broker, directory / "topics")
    finally:
        await broker.close()
        await objects.close()
        await database.close()
