"""The second check: finds objects in the buckets that look like the service's own and that no task knows."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote
from uuid import UUID

from app.db import jobs, tasks
from app.db.database import Database
from app.domain.identity import reference_key
from app.domain.jobs import JobState, Reference, TaskState
from app.domain.tasks import TaskKey
from app.objectstore import PROBE_KEY, ListedVersion, ObjectStore, ObjectVersion
from app.verify.findings import Difference, Finding, FindingCounts, FindingKind
from app.verify.known import KnownVersions

SCHEMAS = "archive-data-schema/"
"""Schema objects lie here, in every bucket; they are stored once and belong to no task."""

OUR_KEY = re.compile(r"(.+/)?[^/]+/[^/]+/([0-9a-f]{2})/\2[0-9a-f]{62}/v(0|[1-9][0-9]*)", re.DOTALL)

SKEW = timedelta(minutes=5)
"""How far the clock of a store may be off: what is younger than the search cannot be judged by its age."""


def _below(systems: Collection[str]) -> re.Pattern[str]:
    """The pattern of keys below these folders, also after the date of any `prefix-mode`, past modes included."""
    if not systems:
        return re.compile("(?!)")
    return re.compile(rf"(?:[0-9]{{4}}(?:[0-9]{{2}}){{0,2}}/)?(?:{'|'.join(map(re.escape, sorted(systems)))})/")


@dataclass(frozen=True, slots=True)
class SearchedObjects:
    """The objects that the search covers.

    `job_id` and `since` leave out objects that belong to another job, or were stored before. Below `systems`
    (`PSF/OsvRecord`), after one of our prefixes, no other objects may be stored.
    """

    systems: Collection[str] = ()
    job_id: UUID | None = None
    since: datetime | None = None


class UnknownVersions:
    """The versions in the store that no task knows; `began`: when the verification began."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        known: KnownVersions,
        began: datetime,
        concurrency: int,
        scope: SearchedObjects,
    ) -> None:
        self._database = database
        self._below = _below(scope.systems)
        self._objects = objects
        self._known = known
        self._began = began
        self._concurrency = concurrency
        self._job_id = scope.job_id
        self._since = scope.since

    async def judge(
        self, batch: Sequence[ListedVersion], stop: asyncio.Event
    ) -> tuple[FindingCounts, list[Finding]] | None:
        """The kind of each version; None when the verification is to stop before that is known."""
        counts = FindingCounts()
        if self._since is not None:
            batch = [found for found in batch if found.last_modified >= self._since]
        batch = [found for found in batch if not found.key.startswith(PROBE_KEY)]
        ours = [found for found in batch if not found.key.startswith(SCHEMAS)]
        strange = await self._known.without(ours)
        counts["versions"], counts["schema"] = len(batch), len(batch) - len(ours)
        counts["known"] = len(ours) - len(strange)
        findings = []
        for start in range(0, len(strange), self._concurrency):
            if stop.is_set():
                return None
            block = strange[start : start + self._concurrency]
            heads = await asyncio.gather(
                *(self._objects.head(each.bucket, each.key, each.version_id) for each in block)
            )
            for version in heads:
                if version is None:  # gone meanwhile
                    counts["other"] += 1
                    continue
                name = await self._standing(version)
                origin = _origin_of(version)
                if name == FindingKind.UNKNOWN and self._job_id is not None and origin.job_id != self._job_id:
                    name = "other"
                counts[name] += 1
                if name == FindingKind.UNKNOWN:
                    findings.append(_finding(version, origin))
        return counts, findings

    async def _standing(self, version: ObjectVersion) -> str:
        """`known` when the version was noted since the search began, `pending` when its task will still find it."""
        origin = _origin_of(version)
        if origin.job_id is None:
            is_ours = OUR_KEY.fullmatch(version.key) or self._below.match(version.key)
            return FindingKind.UNKNOWN if is_ours or "job-id" in version.user_metadata else "other"
        async with self._database.reading() as connection:
            if origin.reference is None:  # its id is too long to stand in the metadata
                job = await jobs.find(connection, origin.job_id)
                young = version.last_modified >= self._began - SKEW
                return "pending" if job is not None and (young or job.state is JobState.OPEN) else FindingKind.UNKNOWN
            if "idempotence-id" in version.user_metadata:  # of a message: its job may name the reference several times
                found = await tasks.of_reference(connection, origin.job_id, origin.reference)
            else:
                place = TaskKey(origin.job_id, UUID(bytes=reference_key(origin.reference)))
                found = list((await tasks.look_up(connection, [place])).values())
        name = (version.bucket, version.key, version.version_id)
        places = [row.stored for row in found if row.stored is not None]
        if any((each.bucket, each.key, each.version_id) == name for each in places):
            return "known"
        will_find = any(row.stored is None and row.state is TaskState.OPEN for row in found)
        return "pending" if will_find else FindingKind.UNKNOWN


@dataclass(frozen=True, slots=True)
class _ObjectOrigin:
    """The job and the reference that the metadata of an object names."""

    job_id: UUID | None
    reference: Reference | None


def _origin_of(version: ObjectVersion) -> _ObjectOrigin:
    metadata = version.user_metadata
    try:
        job_id = UUID(metadata.get("job-id", ""))
    except ValueError:
        job_id = None
    encoded, number = metadata.get("reference-id"), metadata.get("version")
    if encoded is None or (number is not None and not number.isdecimal()):
        return _ObjectOrigin(job_id, None)
    return _ObjectOrigin(job_id, Reference(unquote(encoded), None if number is None else int(number)))


def _finding(version: ObjectVersion, origin: _ObjectOrigin) -> Finding:
    return Finding(
        kind=FindingKind.UNKNOWN,
        job=version.user_metadata.get("job-id"),
        reference=None if origin.reference is None else origin.reference.id,
        version=None if origin.reference is None else origin.reference.version,
        bucket=version.bucket,
        key=version.key,
        version_id=version.version_id,
        differences=(Difference("database", "a task that names it", "none"),),
    )


async def whole_keys(pages: AsyncIterator[Sequence[ListedVersion]]) -> AsyncGenerator[list[ListedVersion], None]:
    """The same versions, in batches that never divide a key: after each batch the search can continue by the name of
    the key."""
    held: list[ListedVersion] = []
    async for page in pages:
        held += page
        last = held[-1].key
        cut = next(place for place, found in enumerate(held) if found.key == last)
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held
