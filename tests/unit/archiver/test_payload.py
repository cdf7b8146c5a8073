"""The document of a message: within the memory for documents, and only while its job wants it."""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from app.archiver.fetch import PutBackTask
from app.archiver.payload import Payloads
from app.archiver.records import Records
from app.domain.artifacts import ArchiveTask, Document
from app.domain.errors import PermanentFailure
from app.domain.jobs import Reference, TaskId
from app.domain.live_tasks import Origin, PayloadDescription
from app.sources.memory import ByteBudget
from tests.support.live import SCHEMA

PAYLOAD = PayloadDescription("application/json", SCHEMA, 100_000)
ORIGIN = Origin(uuid4(), Reference("r"), "m1", payload=PAYLOAD)
TASK = ArchiveTask(TaskId(uuid4(), 0), Reference("r"), "M", None, datetime.now(UTC), 2, 4, "c", "1" * 32, origin=ORIGIN)


class Kept:
    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.asked: list[Any] = []

    async def payload(self, key: Any) -> bytes | None:
        self.asked.append(key)
        return self.content


async def wanted() -> bool:
    return True


async def unwanted() -> bool:
    return False


async def test_a_document_takes_its_bytes_of_the_memory_until_the_block_ends() -> None:
    budget, kept = ByteBudget(1_000_000), Kept(b"{}")
    payloads = Payloads(cast("Records", kept), budget)
    async with payloads.document(TASK, ORIGIN, PAYLOAD, wanted) as document:
        assert document == Document(b"{}", "application/json", SCHEMA)
        assert (budget.used, kept.asked) == (100_000, [ORIGIN.key])
    assert (budget.used, budget.leases) == (0, 0)


async def test_what_is_no_longer_kept_fails_the_task() -> None:
    budget = ByteBudget(1_000_000)
    with pytest.raises(PermanentFailure, match="no longer kept"):
        async with Payloads(cast("Records", Kept(None)), budget).document(TASK, ORIGIN, PAYLOAD, wanted):
            pass
    assert budget.leases == 0


async def test_a_task_that_is_no_longer_wanted_is_put_back_with_its_attempts_and_nothing_is_read() -> None:
    kept = Kept(b"{}")
    with pytest.raises(PutBackTask) as put_back:
        async with Payloads(cast("Records", kept), ByteBudget(10)).document(TASK, ORIGIN, PAYLOAD, unwanted):
            pass
    assert (put_back.value.seconds, put_back.value.attempts, kept.asked) == (0, 2, [])
