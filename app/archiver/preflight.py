"""Predicts the outcome of a job: fetches, checks and describes a sample as its tasks would. Writes nothing."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from app.archiver.describe import Target, bucket_of, describe
from app.archiver.sample import SampledReference, SampleVerdict
from app.archiver.schema_files import refuse_other_content
from app.catalog.registry import Registry
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.artifacts import ArchiveTask, Artifact, Document
from app.domain.errors import (
    STEP_READ,
    NoArchiveData,
    PermanentFailure,
    TransientFailure,
    Unavailable,
    task_message,
)
from app.domain.forecast import Forecast, Price, SampleResult, forecast
from app.domain.jobs import Reference, TaskId
from app.objectstore import ObjectRejected, ObjectStore
from app.sources.http import SourceClient
from app.sources.pacing import SourceBusy, source_key

log = logging.getLogger(__name__)

AT_ONCE = 5
"""References of a sample that are fetched at the same time: a preflight must not slow down a source."""

SAMPLE_PATIENCE = 20.0
"""Seconds for each reference of the sample: a person waits for the answer."""

PATIENCE = 60.0
"""Seconds for the whole sample."""

STORE_PATIENCE = 5.0
"""Seconds for a request to the object store."""

_NO_JOB = UUID(int=0)
_SCHEMA_VERSION_ID = "x" * 36
"""Stands for the version id of the schema file, which a preflight does not store: the size of the metadata must be
right."""


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket. `problem` says why nothing can be stored in it, and what to do; None when the bucket is usable."""

    bucket: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Preflight:
    sample: Sequence[SampledReference]
    buckets: Sequence[BucketState]
    forecast: Forecast

    @property
    def ok(self) -> bool:
        return all(each.verdict is SampleVerdict.WOULD_SUCCEED for each in self.sample) and not any(
            each.problem for each in self.buckets
        )


class AskedSource(NamedTuple):
    """How the documents of the sample are fetched. `attempts` is the number of attempts that a task would have."""

    configuration: ArchiveTypeConfiguration
    attempts: int
    traceparent: str


class _Clock:
    """Measures the time since the request for a reference was sent, after all waits."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._started: float | None = None

    async def start(self) -> None:
        self._started = self._now()

    def seconds(self) -> float | None:
        return None if self._started is None else self._now() - self._started


class Preflights:
    """`locks` says whether objects are locked; `price` is that of storage, where it is known."""

    def __init__(
        self,
        target: Target,
        sources: SourceClient,
        registry: Registry,
        objects: ObjectStore,
        *,
        locks: bool,
        price: Price | None = None,
    ) -> None:
        self._target = target
        self._sources = sources
        self._registry = registry
        self._objects = objects
        self._locks = locks
        self._price = price

    async def look(self, asked: AskedSource, sample: Sequence[Reference], total: int) -> Preflight:
        """Asks the source once for each reference of the sample; `total` is the number of references of the job."""
        turns = asyncio.Semaphore(AT_ONCE)
        now = asyncio.get_running_loop().time
        end = now() + PATIENCE

        async def in_turn(reference: Reference) -> SampledReference:
            async with turns:
                patience = min(SAMPLE_PATIENCE, end - now())
                if patience <= 0:
                    text = f"not asked for: the others took {PATIENCE:.0f} s"
                    return SampledReference(reference, SampleVerdict.NOT_SURE, text)
                return await self._try(asked, reference, patience)

        found = await asyncio.gather(*map(in_turn, sample))
        wanted = dict.fromkeys([self._target.bucket, *(each.bucket for each in found if each.bucket)])
        buckets = await asyncio.gather(*map(self._examine, wanted))
        return Preflight(found, buckets, self._forecast(asked.configuration, found, total))

    def _forecast(
        self, configuration: ArchiveTypeConfiguration, found: Sequence[SampledReference], total: int
    ) -> Forecast:
        answers = [
            SampleResult(each.size or 0, each.seconds, each.retention_days)
            for each in found
            if each.seconds is not None
        ]
        pace = self._sources.pacers.of(source_key(configuration.uri or "")).pace
        return forecast(answers, total, pace, self._price, datetime.now(UTC))

    async def _try(self, asked: AskedSource, reference: Reference, patience: float) -> SampledReference:
        clock = _Clock()
        found = await self._outcome(asked, reference, patience, clock)
        if found.verdict is SampleVerdict.NOT_SURE or found.seconds is not None:
            return found
        return replace(found, seconds=clock.seconds())

    async def _outcome(
        self, asked: AskedSource, reference: Reference, patience: float, clock: _Clock
    ) -> SampledReference:
        """Sets `seconds` only where the object store did not answer: then without its part."""
        configuration = asked.configuration
        task = ArchiveTask(
            id=TaskId(_NO_JOB, 0),
            reference=reference,
            message=configuration.message_type,
            config_id=configuration.id,
            job_started=datetime.now(UTC),
            attempts=0,
            max_attempts=asked.attempts,
            command_id="",
            trace_id="",
        )
        try:
            async with asyncio.timeout(patience):
                artifact, size = await self._described(asked, task, clock)
            seconds = clock.seconds()
            present = await self._present(artifact, size)
            found = self._would_succeed(reference, artifact, size, present)
            return replace(found, seconds=seconds) if present is None else found
        except TimeoutError:
            return SampledReference(reference, SampleVerdict.NOT_SURE, f"no answer within {patience:.0f} s")
        except NoArchiveData:
            return SampledReference(reference, SampleVerdict.NO_DATA, "the source has no archive data")
        except PermanentFailure as failure:
            return SampledReference(reference, SampleVerdict.WOULD_FAIL, failure.message)
        except TransientFailure as failure:
            if asked.attempts == 1 and not failure.keeps_attempt:
                message = task_message(STEP_READ, f"{failure.cause} (1 attempt)")
                return SampledReference(reference, SampleVerdict.WOULD_FAIL, message)
            return SampledReference(reference, SampleVerdict.NOT_SURE, f"would be tried again: {failure.cause}")
        except SourceBusy as busy:
            return SampledReference(
                reference, SampleVerdict.NOT_SURE, f"would wait for {busy.not_before_seconds:.0f} s: {busy.reason}"
            )
        except Exception:
            log.exception("unexpected error in a preflight")
            return SampledReference(reference, SampleVerdict.NOT_SURE, "internal error; the log has it")

    async def _described(self, asked: AskedSource, task: ArchiveTask, clock: _Clock) -> tuple[Artifact, int]:
        """The artifact without its content, and the size of the content."""
        fetching = self._sources.fetching(asked.configuration, task.reference, asked.traceparent, clock.start)
        async with fetching as document:
            await self._registry.check_async(document.content, document.content_type, document.schema)
            artifact = await asyncio.to_thread(self._artifact, document, task)
            return replace(artifact, content=b""), len(document.content)

    def _would_succeed(
        self, reference: Reference, artifact: Artifact, size: int, present: bool | None
    ) -> SampledReference:
        days = artifact.data_type.expiration_days
        return SampledReference(
            reference=reference,
            verdict=SampleVerdict.WOULD_SUCCEED,
            bucket=artifact.bucket,
            key=artifact.key,
            schema=artifact.data_type.schema,
            content_type=artifact.content_type,
            size=size,
            retention_days=days if self._locks else None,
            present=present,
        )

    def _artifact(self, document: Document, task: ArchiveTask) -> Artifact:
        data_type = self._registry.find(document.schema)
        assert data_type is not None  # noqa: S101 # an unknown schema does not pass the check
        bucket_of(document, self._target)  # a bucket that is not allowed is the first mistake of a task, too
        return describe(document, task, data_type, self._target, _SCHEMA_VERSION_ID)

    async def _present(self, artifact: Artifact, size: int) -> bool | None:
        """Whether the store already has an object that would be used; None when the store does not answer.

        The problem of the store is then reported with the bucket. Raises PermanentFailure when its schema is stored
        with other content.
        """
        bucket, data_type = artifact.bucket, artifact.data_type
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                schema = await self._objects.head(bucket, data_type.schema_object_key)
                versions = await self._objects.versions(bucket, artifact.key, lambda listed: listed.size == size)
        except (Unavailable, ObjectRejected, TimeoutError):
            return None
        if schema is not None:
            refuse_other_content(schema, data_type)
        return any(version.user_metadata.get("hash") == artifact.sha256 for version in versions)

    async def _examine(self, bucket: str) -> BucketState:
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                await self._objects.examine(bucket)
        except TimeoutError:
            return BucketState(bucket, f"no answer within {STORE_PATIENCE:.0f} s")
        except Unavailable as unavailable:
            return BucketState(bucket, unavailable.reason)
        return BucketState(bucket, None)
