"""Tasks of messages go through the same steps: each document a version, the event of the message's process."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db.tables import job, live_task
from app.domain.errors import PermanentFailure
from app.domain.identity import live_artifact_idempotence_id, live_job_id
from app.domain.jobs import Reference, TaskState
from app.domain.live_tasks import PayloadDescription
from app.jobs.retry import Retries
from app.messaging.create_artifact import ArchiveWork
from tests.support.core import DORA, HISTORY, MESSAGE, Core
from tests.support.live import insert_live, new_task
from tests.support.scripted_source import SCHEMA, document

NOW = datetime.now(UTC)
JOB = live_job_id(MESSAGE, NOW.date())
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def insert(core: Core, *messages: Any) -> None:
    await insert_live(core.database, NOW, *messages)


def with_payload(message_id: str, title: str, reference: str = "r", **changes: Any) -> Any:
    content = json.dumps({"title": title}).encode()
    payload = PayloadDescription("application/json", SCHEMA, len(content))
    return new_task(message_id, reference, content, payload=payload, **changes)


async def content(core: Core, bucket: str, key: str, version_id: str) -> bytes:
    return b"".join([part async for part in core.objects.read(bucket, key, version_id)])


def artifact_id(message_id: str, reference: str = "r") -> str:
    return live_artifact_idempotence_id(MESSAGE, message_id, SCHEMA.system, SCHEMA.name, Reference(reference))


async def test_the_source_is_asked_for_what_a_message_names(core: Core) -> None:
    await insert(core, new_task("m1", process_id="p-1", traceparent=TRACE))
    await core.archive(JOB)
    (version,) = await core.versions()
    assert version.user_metadata["idempotence-id"] == artifact_id("m1")
    assert version.user_metadata["job-id"] == str(JOB)
    (event,) = core.events()
    assert event["identity"]["idempotenceId"] == f"{artifact_id('m1')}-event"
    assert event["processId"] == "p-1"
    (row,) = await core.artifacts()
    assert (row.archive_type, row.reference_id, row.job_id) == (MESSAGE, "r", JOB)
    assert (await core.task(JOB)).state == TaskState.SUCCEEDED
    assert (await core.job(JOB)).state == "open", "its day is not over"


async def test_the_key_of_the_event_is_the_process_and_without_one_the_job(core: Core) -> None:
    await insert(core, new_task("m1", process_id="p-1"), new_task("m2", "other"))
    await core.archive(JOB)
    lines = [json.loads(line) for line in (core.topics / "events.jsonl").read_text().splitlines()]
    assert [line["key"]["processId"] for line in lines] == ["p-1", str(JOB)]


async def test_a_document_in_a_message_is_archived_without_asking_a_source(core: Core) -> None:
    await insert(core, with_payload("m1", "from the message"))
    await core.archive(JOB)
    assert core.source.asked == []
    (version,) = await core.versions()
    assert await content(core, version.bucket, version.key, version.version_id) == b'{"title": "from the message"}'
    assert len(core.events()) == 1


async def test_each_document_of_a_reference_becomes_a_version_in_the_order_of_the_messages(core: Core) -> None:
    await insert(core, *(with_payload(f"m{number}", f"title {number}") for number in range(4)))
    for _ in range(4):
        await core.archive(JOB)  # those that are behind are put back, and come again
    found = sorted(await core.versions(), key=lambda each: each.last_modified)
    assert len(found) == 4
    assert {each.user_metadata["idempotence-id"] for each in found} == {artifact_id(f"m{n}") for n in range(4)}
    rows = await core.artifacts()
    stored = [await content(core, row.bucket, row.object_key, row.version_id) for row in rows]
    assert [json.loads(each)["title"] for each in stored] == [f"title {number}" for number in range(4)]
    assert [row.superseded for row in rows] == [True, True, True, False]
    assert len(set(core.event_ids())) == 4


async def test_a_task_that_is_behind_is_put_back_for_a_moment_and_does_not_hold_its_job(core: Core) -> None:
    await insert(core, with_payload("m1", "one"), with_payload("m2", "two"))
    process = core.process()
    _, behind = await process.take(JOB)
    await process.run(behind)
    _, second = await core.tasks(JOB)
    assert second.not_before is not None
    assert (second.state, second.published_at) == (TaskState.OPEN, None)
    assert (await core.job(JOB)).held_until is None


async def test_a_crash_after_the_put_finds_the_version_of_its_message_and_no_other(core: Core) -> None:
    await insert(core, with_payload("m1", "one"))
    await core.archive(JOB)
    await insert(core, with_payload("m2", "two"))
    process = core.process()
    process.objects.after("put", process.dies)
    (work,) = [each for each in await process.take(JOB) if isinstance(each, ArchiveWork)]
    with pytest.raises(asyncio.CancelledError):
        await process.run(work)
    assert len(await core.versions()) == 2
    await core.archive(JOB)
    assert len(await core.versions()) == 2
    one, two = await core.tasks(JOB)
    assert json.loads(one.stored)["version_id"] != json.loads(two.stored)["version_id"]
    assert len(set(core.event_ids())) == 2


async def test_what_is_not_announced_is_archived_without_an_event(core: Core) -> None:
    await insert(core, with_payload("m1", "one", announced=False))
    await core.archive(JOB)
    assert core.events() == []
    assert (await core.task(JOB)).state == TaskState.SUCCEEDED


async def test_a_payload_needs_no_configuration_any_more(core: Core) -> None:
    await insert(core, with_payload("m1", "one"), new_task("m2", "other"))
    core.catalog = LiveCatalog(Catalog(()))
    await core.archive(JOB)
    one, other = await core.tasks(JOB)
    assert one.state == TaskState.SUCCEEDED
    assert other.message.startswith("Unknown archive type configuration: ")


async def test_a_payload_that_does_not_match_its_schema_fails_and_can_be_retried_with_what_is_kept(core: Core) -> None:
    bad = new_task("m1", "r", b"{}", payload=PayloadDescription("application/json", SCHEMA, 2), traceparent=TRACE)
    await insert(core, bad)
    await core.archive(JOB)
    failed = await core.task(JOB)
    assert failed.message.startswith("Archive data does not match schema")
    assert failed.trace_id == TRACE[3:35]
    async with core.database.engine.begin() as connection:  # the schema is mended
        await connection.execute(update(live_task).values(payload=b'{"title": "ok"}', size=15))
    retry = uuid4()
    assert await Retries(core.database, HISTORY, core.catalog, core.on_due).retry(JOB, retry, DORA)
    await core.archive(retry)
    again, job = await core.task(retry), await core.job(retry)
    assert again.state == TaskState.SUCCEEDED
    assert (job.kind, job.state, job.retry_of, job.started_by_name) == ("live", "completed", JOB, "Dora")
    (event,) = core.events()
    assert event["identity"]["idempotenceId"] == f"{artifact_id('m1')}-event", "the same as without a retry"


async def test_a_payload_that_is_no_longer_kept_fails_and_says_so(core: Core) -> None:
    await insert(core, with_payload("m1", "one"))
    async with core.database.engine.begin() as connection:
        await connection.execute(update(live_task).values(payload=None))
    await core.archive(JOB)
    assert (await core.task(JOB)).message == "Failed reading artifact from its message: the document is no longer kept"


async def test_a_payload_of_a_paused_job_is_put_back(core: Core) -> None:
    await insert(core, with_payload("m1", "one"))
    process = core.process()
    (work,) = await process.take(JOB)
    assert isinstance(work, ArchiveWork)
    async with core.database.engine.begin() as connection:
        await connection.execute(update(job).values(paused=True))
    work._looked_up -= timedelta(seconds=5).total_seconds()
    await process.run(work)
    assert await core.versions() == []
    found = await core.task(JOB)
    assert (found.state, found.published_at) == (TaskState.OPEN, None)


async def test_failures_of_the_source_are_those_of_every_task(core: Core) -> None:
    await insert(core, new_task("m1"))
    core.source.answers("r", PermanentFailure("Failed reading artifact from source service: HTTP 404"))
    await core.archive(JOB)
    assert (await core.task(JOB)).message == "Failed reading artifact from source service: HTTP 404"


async def test_a_command_cannot_name_another_reference_than_its_message_did(core: Core) -> None:
    await insert(core, new_task("m1"))
    (received,) = await core.commands(JOB)
    received.message["references"]["archiveData"]["referenceId"] = "forged"
    process = core.process()
    (work,) = await process.handler.receive([received])
    await process.run(work)
    assert [each.id for each in core.source.asked] == ["r"]


async def test_an_equal_document_of_two_messages_is_one_version(core: Core) -> None:
    core.source.answers("r", document(), document())
    await insert(core, new_task("m1"), new_task("m2"))
    await core.archive(JOB)
    await core.archive(JOB)
    assert len(await core.versions()) == 1
    assert len(set(core.event_ids())) == 2
