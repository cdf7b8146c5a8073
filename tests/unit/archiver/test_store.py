"""Storing is safe to repeat also where the store answered a put with something that is not its answer."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from app.archiver.store import store
from app.domain.artifacts import ArchiveTask
from app.domain.errors import Unavailable
from app.domain.jobs import Reference, TaskId
from app.objectstore.s3 import S3Options, open_s3
from tests.servers.http import Answer, Request
from tests.servers.s3_faults import FaultyS3
from tests.unit.archiver.test_describe import JOB, described


def task() -> ArchiveTask:
    return ArchiveTask(TaskId(JOB, 0), Reference("doc", 1), "M", None, datetime.now(UTC), 0, 4, "x", "1" * 32)


def of_something_else(request: Request, stored: Callable[[Request], Answer]) -> Answer:
    """It is done; the answer is the one to another put."""
    stored(request)
    return Answer(200, {"ETag": '"' + "0" * 32 + '"', "x-amz-version-id": "of-something-else"})


async def test_a_put_whose_answer_is_of_something_else_waits_and_leaves_one_version() -> None:
    with FaultyS3() as s3:
        s3.fault("PUT", of_something_else, times=1)
        options = S3Options(access_url=s3.url, access_key=s3.access_key, secret_key=s3.secret_key)
        async with open_s3(options) as objects:
            artifact = described(Reference("doc", 1))
            with pytest.raises(Unavailable, match="neither the checksum nor the MD5"):
                await store(objects, artifact, task(), locks=True)
            kept = await store(objects, artifact, task(), locks=True)
        assert kept.version_id != "of-something-else"
        assert s3.versions(artifact.key) == 1


async def test_a_look_that_is_answered_with_another_object_of_the_job_is_no_result() -> None:
    with FaultyS3() as s3:
        options = S3Options(access_url=s3.url, access_key=s3.access_key, secret_key=s3.secret_key)
        async with open_s3(options) as objects:
            other, mine = described(Reference("other", 1)), described(Reference("doc", 1))
            foreign = await store(objects, other, task(), locks=True)
            before = replace(mine, user_metadata={**mine.user_metadata, "job-id": str(uuid4()), "hash": "f" * 64})
            await store(objects, before, task(), locks=True)
            s3.fault("HEAD", lambda request, stored: stored(replace(request, target=f"/archive/{other.key}")), times=1)
            kept = await store(objects, mine, task(), locks=True)
        assert kept.version_id != foreign.version_id
        assert s3.versions(mine.key) == 2
