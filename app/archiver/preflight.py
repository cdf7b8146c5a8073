"""Predicts the outcome of a job: fetches, checks and describes a sample as its tasks would. Writes nothing."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from app.archiver.describe import Target, bucket_of, describe
from app.archiver.schema_files import refuse_other_content
from app.catalog.registry import Registry
from app.domain.archive_types import ArchiveTypeConfiguration, SchemaName
from app.domain.artifacts import ArchiveTask, Artifact, Document
from app.domain.errors import (
    STEP_READ,
    NoArchiveData,
    PermanentFailure,
    TransientFailure,
    Unavailable,
    task_message,
)
from app.domain.jobs import Reference, TaskId
from app.objectstore import ObjectRejected, ObjectStore
from app.sources.http import SourceClient
from app.sources.pacing import SourceBusy

log = logging.getLogger(__name__)

SAMPLE = 5
"""References of the sample: the first, the last, and some between."""

SAMPLE_PATIENCE = 20.0
"""Seconds for each reference of the sample: a person waits for the answer."""

STORE_PATIENCE = 5.0
"""Seconds for a request to the object store."""

_NO_JOB = UUID(int=0)
_SCHEMA_VERSION_ID = "x" * 36
"""Stands for the version id of the schema file, which is not stored here: the size of user metadata is checked."""


class Verdict(StrEnum):
    WOULD_SUCCEED = "would-succeed"
    WOULD_FAIL = "would-fail"
    NO_DATA = "no-data"
    """The source has nothing yet: the task would stay open."""
    NOT_SURE = "not-sure"
    """The source did not answer, failed in a way that may pass, or asked for a pause."""


@dataclass(frozen=True, slots=True)
class SampledReference:
    """The expected outcome of one reference.

    `message` is the message of the failed task. `bucket` and the fields after it are set for a document that would be
    stored. `present`: an object with the same content is in the store already.
    """

    reference: Reference
    verdict: Verdict
    message: str | None = None
    bucket: str | None = None
    key: str | None = None
    schema: SchemaName | None = None
    content_type: str | None = None
    size: int | None = None
    retention_days: int | None = None
    present: bool | None = None


@dataclass(frozen=True, slots=True)
class BucketLook:
    """A bucket. `problem` says why nothing can be stored in it, and what to do; None when the bucket is usable."""

    bucket: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Preflight:
    sample: Sequence[SampledReference]
    buckets: Sequence[BucketLook]

    @property
    def ok(self) -> bool:
        return all(each.verdict is Verdict.WOULD_SUCCEED for each in self.sample) and not any(
            each.problem for each in self.buckets
        )


def places(total: int) -> list[int]:
    """The positions of the sample, evenly spread over the references."""
    if total <= SAMPLE:
        return list(range(total))
    return [round(number * (total - 1) / (SAMPLE - 1)) for number in range(SAMPLE)]


class Preflights:
    """`locks` says whether objects are locked."""

    def __init__(
        self, target: Target, sources: SourceClient, registry: Registry, objects: ObjectStore, *, locks: bool
    ) -> None:
        self._target = target
        self._sources = sources
        self._registry = registry
        self._objects = objects
        self._locks = locks

    async def look(
        self, configuration: ArchiveTypeConfiguration, sample: Sequence[Reference], attempts: int, traceparent: str
    ) -> Preflight:
        """Asks the source once for each reference, however many `attempts` a task would have."""
        found = await asyncio.gather(*(self._try(configuration, each, attempts, traceparent) for each in sample))
        wanted = dict.fromkeys([self._target.bucket, *(each.bucket for each in found if each.bucket)])
        buckets = await asyncio.gather(*(self._examine(bucket) for bucket in wanted))
        return Preflight(found, buckets)

    async def _try(
        self, configuration: ArchiveTypeConfiguration, reference: Reference, attempts: int, traceparent: str
    ) -> SampledReference:
        task = ArchiveTask(
            id=TaskId(_NO_JOB, 0),
            reference=reference,
            message=configuration.message_type,
            config_id=configuration.id,
            job_started=datetime.now(UTC),
            attempts=0,
            max_attempts=attempts,
            idempotence_id="",
            traceparent=traceparent,
        )
        try:
            async with asyncio.timeout(SAMPLE_PATIENCE):
                artifact, size = await self._described(configuration, task, traceparent)
            return self._would_succeed(reference, artifact, size, await self._present(artifact))
        except TimeoutError:
            return SampledReference(reference, Verdict.NOT_SURE, f"no answer within {SAMPLE_PATIENCE:.0f} s")
        except NoArchiveData:
            return SampledReference(reference, Verdict.NO_DATA, "the source has no archive data")
        except PermanentFailure as failure:
            return SampledReference(reference, Verdict.WOULD_FAIL, failure.message)
        except TransientFailure as failure:
            if attempts == 1 and not failure.spares:
                message = task_message(STEP_READ, f"{failure.cause} (1 attempt)")
                return SampledReference(reference, Verdict.WOULD_FAIL, message)
            return SampledReference(reference, Verdict.NOT_SURE, f"would be tried again: {failure.cause}")
        except SourceBusy as busy:
            return SampledReference(
                reference, Verdict.NOT_SURE, f"would wait for {busy.not_before_seconds:.0f} s: {busy.reason}"
            )
        except Exception:
            log.exception("unexpected error in a preflight")
            return SampledReference(reference, Verdict.NOT_SURE, "internal error; the log has it")

    async def _described(
        self, configuration: ArchiveTypeConfiguration, task: ArchiveTask, traceparent: str
    ) -> tuple[Artifact, int]:
        """The artifact without its content, and the size of the content."""
        async with self._sources.fetching(configuration, task.reference, traceparent) as document:
            await self._registry.check_async(document.content, document.content_type, document.schema)
            artifact = await asyncio.to_thread(self._artifact, document, task)
            return replace(artifact, content=b""), len(document.content)

    def _would_succeed(
        self, reference: Reference, artifact: Artifact, size: int, present: bool | None
    ) -> SampledReference:
        days = artifact.data_type.expiration_days
        return SampledReference(
            reference=reference,
            verdict=Verdict.WOULD_SUCCEED,
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

    async def _present(self, artifact: Artifact) -> bool | None:
        """Whether the store already has an object that would be used; None when the store does not answer.

        The problem of the store is then reported with the bucket. Raises PermanentFailure when its schema is stored
        with other content.
        """
        bucket, data_type = artifact.bucket, artifact.data_type
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                schema = await self._objects.head(bucket, data_type.schema_object_key)
                versions = await self._objects.versions(bucket, artifact.key)
        except (Unavailable, ObjectRejected, TimeoutError):
            return None
        if schema is not None:
            refuse_other_content(schema, data_type)
        return any(version.user_metadata.get("hash") == artifact.sha256 for version in versions)

    async def _examine(self, bucket: str) -> BucketLook:
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                await self._objects.examine(bucket)
        except TimeoutError:
            return BucketLook(bucket, f"no answer within {STORE_PATIENCE:.0f} s")
        except Unavailable as unavailable:
            return BucketLook(bucket, unavailable.reason)
        return BucketLook(bucket, None)
