"""A retry is a new job of the references that failed; asked for twice it is one job, whatever failed since."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from app.catalog.archive_types import Catalog
from app.domain.errors import PermanentFailure
from app.domain.jobs import Reference, TaskState
from app.jobs.control import ImpossibleForJob, JobControl, UnknownJob
from app.jobs.retry import Retries
from app.jobs.submit import Accepted, DifferentContent, Submitter
from tests.support.core import DORA, HISTORY, Core, configuration, submission
from tests.support.tampered import Life, Tampered

ERIK = Submitter("Erik", "0043", "erik", "Erik", None)


@pytest.fixture
async def old(core: Core) -> UUID:
    """A job of which `b` and `d` have failed."""
    job_id = await core.submit("a", "b", "c", "d", num_of_retry=1)
    for failing in "bd":
        core.source.answers(failing, PermanentFailure("no"))
    await core.archive(job_id)
    core.due = 0
    return job_id


async def retry(core: Core, old: UUID, new: UUID, database: Any = None) -> bool:
    return await Retries(database or core.database, HISTORY, core.catalog, core.on_due).retry(old, new, ERIK)


async def test_the_new_job_has_the_failed_references_in_their_order(core: Core, old: UUID) -> None:
    new = uuid4()
    assert await retry(core, old, new)
    job, tasks = await core.job(new), await core.tasks(new)
    assert [(each.reference_id, each.position, each.state) for each in tasks] == [
        ("b", 0, TaskState.OPEN),
        ("d", 1, TaskState.OPEN),
    ]
    assert (job.total, job.open, job.failed, job.retry_of, job.num_of_retry) == (2, 2, 0, old, 1)
    assert (job.started_by_name, job.started_by_ext_id, job.traceparent) == ("Erik", "0043", None)
    assert core.due == 1
    assert (await core.job(old)).failed == 2


async def test_the_new_job_is_what_a_submission_of_these_references_would_be(core: Core, old: UUID) -> None:
    new = uuid4()
    await retry(core, old, new)
    assert await core.submissions.submit(new, submission("d", "b"), DORA) is Accepted.REPEATED
    with pytest.raises(DifferentContent):
        await core.submissions.submit(new, submission("a", "b"), DORA)


async def test_the_new_job_archives_what_has_been_mended(core: Core, old: UUID) -> None:
    new = uuid4()
    await retry(core, old, new)
    core.source.answers("b")
    core.source.answers("d")
    await core.archive(new)
    assert {each.state for each in await core.tasks(new)} == {TaskState.SUCCEEDED}
    assert len(await core.versions()) == 4


async def test_the_same_retry_twice_is_one_job_whatever_failed_since(core: Core) -> None:
    job_id, new = await core.submit("a", "b"), uuid4()
    core.source.answers("a", PermanentFailure("no"))
    core.source.answers("b", PermanentFailure("no"))
    process = core.process()
    first, second = await process.take(job_id)
    await process.run(first)
    assert await retry(core, job_id, new)
    await process.run(second)
    assert not await retry(core, job_id, new)
    assert [each.reference_id for each in await core.tasks(new)] == ["a"]
    assert core.due == 2  # of the submission and of the first retry


async def test_a_repeat_of_a_retry_does_not_consult_the_configuration(core: Core, old: UUID) -> None:
    new = uuid4()
    await retry(core, old, new)
    core.catalog.now = Catalog(())
    assert not await retry(core, old, new)


async def test_an_id_of_another_job_is_refused(core: Core, old: UUID) -> None:
    other = await core.submit("b", "d")
    with pytest.raises(DifferentContent):
        await retry(core, old, other)
    with pytest.raises(DifferentContent):
        await retry(core, old, old)


async def test_a_job_without_failures_cannot_be_retried(core: Core) -> None:
    job_id, new = await core.submit("a"), uuid4()
    await core.archive(job_id)
    with pytest.raises(ImpossibleForJob, match="has no failed references"):
        await retry(core, job_id, new)
    assert await core.tasks(new) == []
    assert core.due == 1
    with pytest.raises(UnknownJob):
        await retry(core, new, uuid4())


async def test_an_unknown_job_cannot_be_retried(core: Core) -> None:
    with pytest.raises(UnknownJob):
        await retry(core, uuid4(), uuid4())


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (Catalog(()), "no archive type is configured for message DocCreated"),
        (Catalog((configuration(topic="new"),)), "the topic is new now"),
        (Catalog((configuration(id="a"), configuration(id="b"))), "choose one with config-id: a, b"),
    ],
)
async def test_a_job_that_does_not_fit_the_present_configuration_is_refused(
    core: Core, old: UUID, now: Catalog, reason: str
) -> None:
    core.catalog.now = now
    with pytest.raises(ImpossibleForJob) as refused:
        await retry(core, old, uuid4())
    assert refused.value.reason.startswith("does not fit the present configuration: ")
    assert reason in str(refused.value)
    assert core.due == 0


async def test_versions_are_decided_by_the_old_job_and_fail_with_its_tasks(core: Core, old: UUID) -> None:
    core.catalog.now = Catalog((configuration(uri="https://source/{id}/{version}"),))
    new = uuid4()
    assert await retry(core, old, new)
    await core.archive(new)
    assert {each.message for each in await core.tasks(new)} == {
        "Unknown archive type configuration: that of message DocCreated asks for a version now, the reference has none"
    }


async def test_versions_are_kept(core: Core) -> None:
    core.catalog.now = Catalog((configuration(uri="https://source/{id}/{version}"),))
    job_id, new = await core.submit(Reference("a", 1), Reference("a", 2)), uuid4()
    core.source.answers("a", PermanentFailure("no"))
    await core.archive(job_id)
    await retry(core, job_id, new)
    assert [(each.reference_id, each.reference_version) for each in await core.tasks(new)] == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("by_retry", [True, False])
async def test_who_loses_a_race_has_repeated_the_retry_or_is_refused(core: Core, old: UUID, by_retry: bool) -> None:
    new = uuid4()

    async def overtake() -> None:
        if by_retry:
            assert await retry(core, old, new)
        else:
            await core.submissions.submit(new, submission("x"), DORA)

    late: Any = Tampered(core.database, Life())
    late.before("run", overtake)
    if by_retry:
        assert not await retry(core, old, new, late)
    else:
        with pytest.raises(DifferentContent):
            await retry(core, old, new, late)
    assert len(await core.tasks(new)) == (2 if by_retry else 1)
    assert core.due == 1


async def test_a_job_knows_its_retries_and_who_asked_for_them(core: Core, old: UUID) -> None:
    first, second = uuid4(), uuid4()
    for new in (first, second, first):
        await retry(core, old, new)
    control = JobControl(core.database, HISTORY, core.on_due)
    view = await control.view(old)
    assert list(view.retries) == [first, second]
    assert [(each.what, each.by) for each in view.actions] == [("retried", "Erik"), ("retried", "Erik")]
    assert (await control.view(first)).retries == ()


async def test_a_retry_has_the_name_of_its_job(core: Core) -> None:
    named, new = await core.submit("a", name="decrees"), uuid4()
    core.source.answers("a", PermanentFailure("no"))
    await core.archive(named)
    await retry(core, named, new)
    assert (await core.job(new)).name == "decrees"
