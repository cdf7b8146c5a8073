"""Each act has its entry in the audit log: what, of what, by whom, with what it says."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.db import audit
from app.domain.audit import Actor, LoggedEntry
from app.domain.errors import PermanentFailure
from app.domain.jobs import FailureThreshold
from app.evidence.audit_check import check_log
from app.evidence.signer import Signer
from app.jobs.control import ImpossibleForJob, JobControl
from app.jobs.retry import Retries
from tests.support.core import DORA, HISTORY, Core, opened_core, submission
from tests.support.proofs import build_all, builder

ERIK = Actor("erik", "Erik", "0815", "pas-cli")
DORAS = Actor("dora", "Dora", "0042", None)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with opened_core(tmp_path) as core:
        yield core
        assert (await check_log(core.database, [])).findings == []


async def entries(core: Core, since: int = 0) -> list[LoggedEntry]:
    async with core.database.reading() as connection:
        return await audit.following(connection, since - 1)


async def test_a_job_from_its_submission_to_its_proof(core: Core) -> None:
    job_id = await core.submit("a", "b")
    control = JobControl(core.database, HISTORY, core.on_due)
    await control.pause(job_id, "Erik", ERIK)
    await control.resume(job_id, "Erik", ERIK)
    await control.redrive(job_id, "Erik", ERIK)
    await core.archive(job_id)
    signer = Signer("psf/pas", Ed25519PrivateKey.generate())
    await build_all(builder(core, signer))
    found = await entries(core)
    assert {each.subject for each in found} == {f"job/{job_id}"}
    assert [(each.what, each.who) for each in found] == [
        ("job.submitted", DORAS),
        ("job.paused", ERIK),
        ("job.resumed", ERIK),
        ("job.redriven", ERIK),
        ("job.completed", None),
        ("job.proven", None),
    ]
    job = await core.job(job_id)
    submitted, *_, completed, proven = (each.details for each in found)
    assert submitted == {
        "contentHash": job.content_hash.hex(),
        "references": 2,
        "message": job.message,
        "kind": "backfill",
    }
    assert completed == {"result": "succeeded", "counts": {"total": 2, "succeeded": 2, "failed": 0}}
    assert proven is not None
    assert (proven["size"], len(proven["root"])) == (2, 44)


async def test_a_job_that_is_cancelled_ends_with_it(core: Core) -> None:
    job_id = await core.submit("a")
    control = JobControl(core.database, HISTORY, core.on_due)
    await control.cancel(job_id, "Erik", ERIK)
    with pytest.raises(ImpossibleForJob):
        await control.cancel(job_id, "Erik", ERIK)
    found = await entries(core)
    assert [(each.what, each.who) for each in found][1:] == [("job.cancelled", ERIK), ("job.completed", None)]
    assert found[-1].details is not None
    assert found[-1].details["result"] == "failed"


async def test_a_retry_is_told_of_both_jobs(core: Core) -> None:
    core.source.answers("a", PermanentFailure("Failed reading artifact from source service: HTTP 404"))
    old, new = await core.submit("a"), uuid4()
    await core.archive(old)
    await Retries(core.database, HISTORY, core.catalog, core.on_due).retry(old, new, DORA)
    submitted, retried = (await entries(core))[-2:]
    assert (submitted.what, submitted.subject, submitted.who) == ("job.submitted", f"job/{new}", DORAS)
    assert submitted.details is not None
    assert (submitted.details["retryOf"], submitted.details["references"]) == (str(old), 1)
    assert (retried.what, retried.subject, retried.details) == ("job.retried", f"job/{old}", {"jobId": str(new)})


async def test_a_job_that_pauses_itself_has_nobody_who_did_it(core: Core) -> None:
    for name in ("a", "b"):
        core.source.answers(name, PermanentFailure("Failed reading artifact from source service: HTTP 404"))
    job_id = await core.submit("a", "b", "c")
    process = core.process(threshold=FailureThreshold(0.5, 1))
    first, *_ = await process.take(job_id)
    await process.run(first)
    paused = (await entries(core))[-1]
    assert (paused.what, paused.who, paused.details) == ("job.paused", None, {"by": "failure-threshold"})


async def test_the_same_submission_again_is_no_act(core: Core) -> None:
    job_id = await core.submit("a")
    before = await entries(core)
    await core.submissions.submit(job_id, submission("a"), DORA)
    assert await entries(core) == before
