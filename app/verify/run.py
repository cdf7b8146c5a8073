"""A whole verification: first the objects that the database names, then all other objects in the buckets."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.db import jobs
from app.db.database import Database
from app.db.verify import DamagedTask, StoredTask, stored_page
from app.domain.errors import Unavailable
from app.domain.jobs import TaskId
from app.domain.readiness import OBJECT_STORE
from app.objectstore import ObjectStore
from app.verify.compare import compare, damaged, damaged_schema, may_be_gone
from app.verify.findings import FindingKind, Report
from app.verify.in_order import in_order
from app.verify.known import KnownVersions
from app.verify.progress import DamagedSchema, Progress
from app.verify.read_back import Reader, ReadVersion, UnreadableVersion
from app.verify.read_rate import ReadRate
from app.verify.unknown import SearchedObjects, UnknownVersions, whole_keys

CONCURRENCY = 8
"""Objects read at once."""

PAGE = 500
"""Tasks in one page of the database."""

UNREADABLE_IN_A_ROW = 20
"""So many unreadable objects in a row mean a cause outside the objects: a missing right, or a failing store."""


@dataclass(frozen=True, slots=True)
class Options:
    """`buckets` are those of the settings; `lock_mode` is None where locking is off."""

    buckets: tuple[str, ...]
    lock_mode: str | None
    job_id: UUID | None = None
    since: datetime | None = None
    max_bytes_per_second: int | None = None
    stored: bool = True
    unknown: bool = True
    resume: bool = False
    systems: tuple[str, ...] = ()
    """`<system>/<type>` of the registry: below them nothing may lie that no task knows."""


class NoSuchJob(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Steering:
    """The functions with which the caller of a verification controls it.

    `save` keeps the progress: it is called after each finding, and from time to time by the caller. `stop` ends the
    verification, `note` tells people something that is no finding.
    """

    save: Callable[[], None]
    stop: asyncio.Event
    note: Callable[[str], None]


class Verification:
    """Continues after `progress` and updates it."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        options: Options,
        progress: Progress,
        report: Report,
        steering: Steering,
    ) -> None:
        self._database = database
        self._objects = objects
        self._options = options
        self._progress = progress
        self._report = report
        self._save = steering.save
        self._stop = steering.stop
        self._note = steering.note
        self.bytes_read = 0
        """Now, not with what went before an interruption; for the progress lines."""

    async def run(self) -> bool:
        """False when it was stopped. Raises Unavailable, NoSuchJob; `progress` then covers everything up to that
        point."""
        options, progress = self._options, self._progress
        await self._objects.check(options.buckets)
        if options.job_id is not None:
            async with self._database.reading() as connection:
                if await jobs.find(connection, options.job_id) is None:
                    raise NoSuchJob(f"there is no job {options.job_id}")
        if options.stored and not progress.stored_done:
            await self._read_back()
            if self._stop.is_set():
                return False
            for each in progress.schemas:
                self._report.finding(damaged_schema(each.problem, each.objects))
            progress.stored_done = True
            self._save()
        if options.unknown:
            await self._search()
        return not self._stop.is_set()

    async def _tasks(
        self, after: TaskId | None = None, job_id: UUID | None = None, since: datetime | None = None
    ) -> AsyncGenerator[StoredTask | DamagedTask, None]:
        first = True
        while first or after is not None:
            first = False
            async with self._database.reading() as connection:
                page, after = await stored_page(connection, after, PAGE, job_id=job_id, since=since)
            for task in page:
                yield task

    async def _read_back(self) -> None:
        options, progress, counts = self._options, self._progress, self._progress.counts
        reader = Reader(self._objects, ReadRate(options.max_bytes_per_second), self._count)
        tasks = self._tasks(progress.task, options.job_id, options.since)
        readable, in_a_row = progress.copy(), 0

        async def look(task: StoredTask | DamagedTask) -> ReadVersion | UnreadableVersion | None:
            return None if isinstance(task, DamagedTask) else await reader.look(task.stored)

        results = in_order(tasks, look, self._stop, CONCURRENCY)
        async with aclosing(tasks), aclosing(results):
            async for task, seen in results:
                if isinstance(task, DamagedTask):
                    findings = [damaged(task)]
                elif seen is None and may_be_gone(task.stored, datetime.now(UTC)):
                    findings = []
                    counts["expired"] += 1
                else:
                    findings = compare(task, seen, options.lock_mode)
                    is_readable = self._has_schema(seen)
                    counts["ok"] += is_readable and not findings
                for finding in findings:
                    counts[finding.kind] += 1
                    self._report.finding(finding)
                counts["tasks"] += 1
                if seen is not None and not isinstance(seen, UnreadableVersion):
                    counts["bytes"] += seen.size
                progress.task = task.id
                if isinstance(seen, UnreadableVersion):
                    in_a_row += 1
                    if in_a_row == UNREADABLE_IN_A_ROW:
                        self._back_to(readable)
                        raise Unavailable(OBJECT_STORE, f"{in_a_row} objects in a row cannot be read: {seen.reason}")
                else:
                    in_a_row = 0
                    readable = progress.copy()
                if findings and not in_a_row:
                    self._save()

    def _has_schema(self, seen: ReadVersion | UnreadableVersion | None) -> bool:
        """Counts an object with a damaged schema file: one finding for all these objects, once all were checked."""
        problem = seen.schema_problem if isinstance(seen, ReadVersion) else None
        if problem is None:
            return True
        schemas = self._progress.schemas
        known = next((each for each in schemas if each.problem == problem), None)
        if known is None:
            known = DamagedSchema(problem)
            schemas.append(known)
            self._progress.counts[FindingKind.DIFFERENT] += 1
            self._note(
                f"schema file {problem.key} version {problem.version_id}: {problem.found}; its objects are counted"
            )
        known.objects += 1
        return False

    def _back_to(self, place: Progress) -> None:
        progress = self._progress
        progress.job, progress.position, progress.counts = place.job, place.position, place.counts
        progress.schemas = place.schemas

    def _count(self, size: int) -> None:
        self.bytes_read += size

    async def _search(self) -> None:
        options, progress = self._options, self._progress
        began = datetime.now(UTC)
        with KnownVersions() as known:
            await known.fill(self._tasks(), self._stop)
            search = UnknownVersions(
                self._database,
                self._objects,
                known,
                began,
                CONCURRENCY,
                SearchedObjects(options.systems, options.job_id, options.since),
            )
            for bucket in await self._buckets(known.buckets):
                if progress.bucket is None or bucket >= progress.bucket:
                    await self._search_in(bucket, search, progress.key if bucket == progress.bucket else None)
                if self._stop.is_set():
                    return

    async def _buckets(self, named: set[str]) -> Sequence[str]:
        """The buckets of the settings, and older ones that only the database names, if they still exist."""
        found = set(self._options.buckets)
        for bucket in sorted(named - found):
            try:
                await self._objects.check([bucket])
                found.add(bucket)
            except Unavailable as error:
                self._note(f"not searched, only old tasks name it: {error.reason}")
        return sorted(found)

    async def _search_in(self, bucket: str, search: UnknownVersions, after: str | None) -> None:
        progress = self._progress
        batches = whole_keys(self._objects.list_versions(bucket, after))
        async with aclosing(batches):
            async for batch in batches:
                judged = None if self._stop.is_set() else await search.judge(batch, self._stop)
                if judged is None:
                    return
                counts, findings = judged
                for name, number in counts.items():
                    progress.counts[name] += number
                for finding in findings:
                    self._report.finding(finding)
                progress.bucket, progress.key = bucket, batch[-1].key
                if findings:
                    self._save()
