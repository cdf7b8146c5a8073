"""Jobs that owe a proof: leased one by one, in the order in which they completed; what is kept of proofs."""

import asyncio
from datetime import timedelta
from uuid import UUID

from app.db import proofs, tasks
from app.db.database import Database
from app.domain.jobs import Job, TaskId, TaskState
from app.domain.proofs import JobProof
from app.domain.tasks import Outcome
from tests.support.rows import LEASE, NOW, insert_job, stored_artifact

LATER = LEASE + timedelta(seconds=1)


async def completed(database: Database, number: int = 2, after: float = 0) -> UUID:
    job_id = await insert_job(database, number)
    at = NOW + timedelta(seconds=after)
    await database.run(lambda c: tasks.note(c, [(TaskId(job_id, 0), stored_artifact())]))
    done = [Outcome(TaskId(job_id, 0), TaskState.SUCCEEDED)]
    done += [Outcome(TaskId(job_id, each), TaskState.FAILED, "Failed: HTTP 404") for each in range(1, number)]
    await database.run(lambda c: tasks.settle(c, done, at))
    return job_id


async def claim(database: Database) -> UUID | None:
    found: Job | None = await database.run(lambda c: proofs.claim(c, NOW, LEASE))
    return None if found is None else found.id


def proof(job_id: UUID) -> JobProof:
    return JobProof(job_id, NOW, 2, b"r" * 32, "note\n", "archive", "v1", "v2", LATER)


async def test_the_job_that_completed_first_is_claimed_first_and_each_once(database: Database) -> None:
    await insert_job(database, 1)
    second, first = await completed(database, after=2), await completed(database, after=1)
    assert [await claim(database) for _ in range(3)] == [first, second, None]


async def test_a_lease_ends_with_its_time_or_is_given_back(database: Database) -> None:
    job_id = await completed(database)
    assert await claim(database) == job_id
    assert await database.run(lambda c: proofs.claim(c, LATER, LATER)) is not None
    assert await claim(database) is None
    await database.run(lambda c: proofs.lease(c, job_id, None))
    assert await claim(database) == job_id
    await database.run(proofs.forget_leases)
    assert await claim(database) == job_id


async def test_processes_that_claim_at_once_claim_different_jobs(database: Database) -> None:
    jobs = {await completed(database) for _ in range(5)}
    claimed = await asyncio.gather(*(claim(database) for _ in range(8)))
    assert set(claimed) - {None} == jobs
    assert claimed.count(None) == 3


async def test_a_proof_is_kept_once_and_the_job_owes_none_any_more(database: Database) -> None:
    job_id = await completed(database)
    await claim(database)
    async with database.reading() as connection:
        assert await proofs.find(connection, job_id) is None
        assert await proofs.count_owed(connection, 10) == 1
    assert await database.run(lambda c: proofs.keep(c, proof(job_id), None))
    assert not await database.run(lambda c: proofs.keep(c, proof(job_id), NOW))
    async with database.reading() as connection:
        assert await proofs.find(connection, job_id) == proof(job_id)
        assert await proofs.count_owed(connection, 10) == 0
    assert await database.run(lambda c: proofs.claim(c, LATER, LATER)) is None
    assert await database.run(lambda c: proofs.untimed(c, LATER, LATER)) is None


async def test_a_timestamp_is_owed_until_it_is_kept_and_not_asked_for_all_the_time(database: Database) -> None:
    job_id = await completed(database)
    await claim(database)
    await database.run(lambda c: proofs.keep(c, proof(job_id), NOW))
    due = await database.run(lambda c: proofs.untimed(c, NOW, LATER))
    assert due == proof(job_id)
    assert await database.run(lambda c: proofs.untimed(c, NOW, LATER)) is None
    assert await database.run(lambda c: proofs.untimed(c, LATER, LATER)) is not None
    await database.run(lambda c: proofs.keep_timestamp(c, job_id, b"tsr"))
    assert await database.run(lambda c: proofs.untimed(c, LATER, LATER)) is None
    async with database.reading() as connection:
        found = await proofs.find(connection, job_id)
    assert found is not None
    assert found.timestamp == b"tsr"


async def test_pages_have_the_leaves_in_the_order_of_submission(database: Database) -> None:
    job_id = await completed(database, 5)
    async with database.reading() as connection:
        pages = [await proofs.page(connection, job_id, after, 2) for after in (-1, 1, 3, 4)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    lines = [proofs.line_of(row) for page in pages for row in page]
    assert [until for _, until in lines] == [None] * 5
    assert b'"versionId":"v"' in lines[0][0]
    assert lines[1][0] == (
        b'{"id":"' + pages[0][1][1].encode() + b'","message":"Failed: HTTP 404","position":1,"state":"failed"'
        + (b"" if pages[0][1][2] is None else b',"version":%d' % pages[0][1][2]) + b"}"
    )  # fmt: skip
