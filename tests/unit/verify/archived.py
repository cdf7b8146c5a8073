"""An archive as the service leaves it, filled through its own describe, store and note; and verifications of it."""

import hashlib
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import update

from app.archiver.describe import Target, describe
from app.archiver.schema_files import SchemaFiles
from app.archiver.store import store
from app.db import jobs, migrations, tasks
from app.db.database import Database
from app.db.tables import task
from app.domain.archive_types import ArchiveDataType, SchemaFile, SchemaName
from app.domain.artifacts import ArchivedArtifact, ArchiveTask, Document, StoredArtifact
from app.domain.jobs import Job, JobState, Reference, TaskId, TaskState
from app.domain.tasks import Outcome
from app.objectstore import ObjectStore
from app.verify.command import verify
from app.verify.findings import Report
from app.verify.progress import StateFile, fingerprint
from app.verify.run import Options

SCHEMA = SchemaFile(b"{}", "schema.json", hashlib.sha256(b"{}").hexdigest())


def type_of(days: int = 30) -> ArchiveDataType:
    return ArchiveDataType(SchemaName("PSF", "OsvRecord", 1), "osv", days, SCHEMA)


@dataclass
class Outcomes:
    """What a verification returned and printed."""

    code: int
    out: str
    err: str

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.out.splitlines()) if "summary" not in line]

    @property
    def counts(self) -> dict[str, int]:
        return dict(json.loads(self.out.splitlines()[-1])["summary"])

    @property
    def kinds(self) -> list[tuple[str, str | None]]:
        return [(each["kind"], each["reference"]) for each in self.findings]


@dataclass
class Archived:
    """`objects` may be replaced by one that misbehaves."""

    database: Database
    objects: ObjectStore
    bucket: str
    state: Path
    locks: bool = True
    metadata: tuple[tuple[str, str], ...] = (("author", "Zoë & Co"),)
    """What the source says of each document, in headers."""
    job_ids: list[UUID] = field(default_factory=list)

    async def prepare(self) -> None:
        await migrations.migrate(self.database)
        await self.objects.prepare([self.bucket], [type_of()])

    async def job(
        self, *contents: tuple[str, bytes], days: int = 30, recorded: bool = True, stored: bool = True
    ) -> list[StoredArtifact]:
        """A job with a task for each reference id and document, stored and, where wanted, recorded."""
        now, job_id = datetime.now(UTC), uuid4()
        self.job_ids.append(job_id)
        references = [Reference(name) for name, _ in contents]
        new = Job(
            job_id, "M", "t", None, None, None, JobState.OPEN, now, None, None, None,
            len(references), len(references), 0, 0, None, False, None, b"h",
        )  # fmt: skip

        async def insert(connection: Any) -> None:
            await jobs.insert_if_absent(connection, new)
            await jobs.insert_tasks(connection, job_id, references)

        await self.database.run(insert)
        if not stored:
            return []
        found = [
            await self.put(TaskId(job_id, place), reference, content, now, days)
            for place, (reference, (_, content)) in enumerate(zip(references, contents, strict=True))
        ]
        ids = [TaskId(job_id, place) for place in range(len(found))]
        await self.database.run(lambda connection: tasks.note(connection, list(zip(ids, found, strict=True))))
        if recorded:
            outcomes = [
                Outcome(
                    TaskId(job_id, place),
                    TaskState.SUCCEEDED,
                    archived=ArchivedArtifact(stored, job_id, references[place], "M", None, 0, {}),
                )
                for place, stored in enumerate(found)
            ]
            await self.database.run(lambda connection: tasks.settle(connection, outcomes, datetime.now(UTC)))
        return found

    async def put(
        self, place: TaskId, reference: Reference, content: bytes, now: datetime, days: int
    ) -> StoredArtifact:
        task = ArchiveTask(place, reference, "M", None, now, 0, 4, "i", "1" * 32)
        kind = type_of(days)
        document = Document(content, "application/json", kind.schema, self.metadata)
        schema_version_id = await SchemaFiles(self.objects).ensure(self.bucket, kind)
        artifact = describe(document, task, kind, Target(self.bucket), schema_version_id)
        return await store(self.objects, artifact, task, locks=self.locks)

    async def verify(self, *, as_json: bool = True, **changes: Any) -> Outcomes:
        mode = "COMPLIANCE" if self.locks else None
        options = Options(**{"buckets": (self.bucket,), "lock_mode": mode, **changes})
        out, err = io.StringIO(), io.StringIO()
        about = fingerprint([options.buckets, options.job_id, options.since])
        code = await verify(
            self.database,
            self.objects,
            options,
            StateFile(self.state, about),
            Report(out, as_json=as_json),
            err,
        )
        return Outcomes(code, out.getvalue(), err.getvalue())


def files_of(root: Path, stored: StoredArtifact) -> tuple[Path, Path]:
    """Content and description of a version on the file system, writable."""
    content = root / stored.bucket / stored.key / stored.version_id
    said = content.with_name(f"{content.name}.json")
    for path in (content, said):
        path.chmod(0o644)
    return content, said


async def rewrite_row(database: Database, old: StoredArtifact, new: StoredArtifact) -> None:
    """Lets the database say something else of a stored object."""
    statement = update(task).where(task.c.stored == tasks.to_json(old)).values(stored=tasks.to_json(new))
    await database.run(lambda connection: connection.execute(statement))


def documents(count: int, start: int = 0) -> list[tuple[str, bytes]]:
    return [(f"DOC/{number}", f'{{"id": {number}}}'.encode()) for number in range(start, start + count)]
