"""The same content again is the same job, other content under a known id is refused, and mistakes name their place."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.catalog.archive_types import Catalog
from app.domain.errors import Unavailable
from app.domain.jobs import JobState, Reference, TaskState
from app.domain.mistakes import Mistake
from app.jobs.submit import Accepted, DifferentContent, DoesNotFit, Submissions
from tests.support.core import DORA, HISTORY, MESSAGE, TOPIC, Core, Submission, configuration, submission
from tests.support.tampered import Life, Tampered

JOB = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")


async def submit(core: Core, body: Submission, job_id: UUID = JOB) -> Accepted:
    return await core.submissions.submit(job_id, body, DORA)


async def test_a_new_job_has_an_open_task_for_each_reference_in_order(core: Core) -> None:
    assert await submit(core, submission("b", "a", "ä/ö", num_of_retry=2)) is Accepted.NEW
    job, tasks = await core.job(JOB), await core.tasks(JOB)
    assert (job.state, job.total, job.open, job.num_of_retry) == (JobState.OPEN, 3, 3, 2)
    assert (job.started_by_name, job.started_by_ext_id, job.traceparent) == DORA_SAYS
    assert [each.reference_id for each in tasks] == ["b", "a", "ä/ö"]
    assert {(each.state, each.published_at, each.attempts) for each in tasks} == {(TaskState.OPEN, None, 0)}
    assert core.due == 1


DORA_SAYS = (DORA.name, DORA.ext_id, DORA.traceparent)


async def test_a_job_starts_on_a_millisecond_as_reports_show_it(core: Core) -> None:
    await submit(core, submission("a"))
    started = (await core.job(JOB)).started
    assert started.microsecond % 1000 == 0
    assert abs((datetime.now(UTC) - started).total_seconds()) < 60


async def test_a_job_keeps_what_it_said_and_what_that_resolved_to(core: Core) -> None:
    core.catalog.now = Catalog((configuration(id="only"),))
    await submit(core, submission("a"))
    job = await core.job(JOB)
    assert (job.config_id, job.resolved_config_id) == (None, "only")


async def test_same_job_twice_is_one_job(core: Core) -> None:
    assert await submit(core, submission("a", "b")) is Accepted.NEW
    assert await submit(core, submission("b", "a", num_of_retry=9)) is Accepted.REPEATED
    assert (core.due, len(await core.tasks(JOB)), (await core.job(JOB)).num_of_retry) == (1, 2, None)


@pytest.mark.parametrize(
    "other",
    [
        submission("a"),
        submission("a", "b", "c"),
        submission("a", Reference("b", 1)),
        submission("a", "b", topic="other"),
        submission("a", "b", config_id="x"),
        submission("a", "b", message="Other"),
    ],
)
async def test_other_content_under_a_known_id_is_refused_and_changes_nothing(core: Core, other: Submission) -> None:
    await submit(core, submission("a", "b"))
    with pytest.raises(DifferentContent):
        await submit(core, other)
    assert [each.reference_id for each in await core.tasks(JOB)] == ["a", "b"]


async def test_a_repeat_does_not_consult_the_configuration(core: Core) -> None:
    await submit(core, submission("a"))
    core.catalog.now = Catalog(())
    assert await submit(core, submission("a")) is Accepted.REPEATED
    with pytest.raises(DifferentContent):
        await submit(core, submission("b"))
    with pytest.raises(DoesNotFit):
        await submit(core, submission("a"), uuid4())


async def test_equal_submissions_that_race_are_one_job(core: Core) -> None:
    body = submission(*map(str, range(50)))
    answers = await asyncio.gather(*(submit(core, body) for _ in range(5)))
    assert sorted(answers, key=str) == [Accepted.NEW, *[Accepted.REPEATED] * 4]
    assert (len(await core.tasks(JOB)), core.due) == (50, 1)


def overtaken_by(core: Core, twin: Submission) -> Submissions:
    """Submissions that another one overtakes between their look and their insert."""

    async def overtake() -> None:
        assert await submit(core, twin) is Accepted.NEW

    database: Any = Tampered(core.database, Life())
    database.before("run", overtake)
    return Submissions(database, HISTORY, core.catalog, core.on_due)


async def test_who_loses_the_race_to_the_same_content_has_repeated_it(core: Core) -> None:
    late = overtaken_by(core, submission("a", "b"))
    assert await late.submit(JOB, submission("a", "b"), DORA) is Accepted.REPEATED
    assert (len(await core.tasks(JOB)), core.due) == (2, 1)


async def test_who_loses_the_race_to_other_content_is_refused(core: Core) -> None:
    late = overtaken_by(core, submission("winner"))
    with pytest.raises(DifferentContent):
        await late.submit(JOB, submission("loser"), DORA)
    assert [each.reference_id for each in await core.tasks(JOB)] == ["winner"]


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (submission("a", message="Other"), "message", "no archive type is configured for message Other"),
        (submission("a", message="Other", config_id="x"), "message", "no archive type is configured for message Other"),
        (submission("a", config_id="x"), "config-id", f"message {MESSAGE} has no configuration with config-id x"),
        (submission("a", topic="o"), "topic", f"is not the topic of message {MESSAGE}: that is {TOPIC}"),
        (submission("a", Reference("b", 1)), "archiveDataReferences[1].version", "too much"),
    ],
)
async def test_what_does_not_fit_the_configuration_names_its_place(
    core: Core, body: Submission, path: str, message: str
) -> None:
    with pytest.raises(DoesNotFit) as refused:
        await submit(core, body)
    (mistake,) = refused.value.mistakes
    assert mistake.path == path
    assert mistake.message.startswith(message)
    assert f"{path}: {message}" in str(refused.value)
    assert await core.tasks(JOB) == []
    assert core.due == 0


async def test_all_mistakes_come_at_once_each_with_its_line(core: Core) -> None:
    body = submission(Reference("a", 1), topic="other", lines={"topic": 2})
    assert core.submissions.mistakes(body) == [
        Mistake("topic", 2, f"is not the topic of message {MESSAGE}: that is {TOPIC}"),
        Mistake("archiveDataReferences[0].version", None, "too much"),
    ]


async def test_several_configurations_ask_for_a_config_id(core: Core) -> None:
    core.catalog.now = Catalog((configuration(id="a"), configuration(id="b", uri="https://s/{id}/{version}")))
    (mistake,) = core.submissions.mistakes(submission("a"))
    assert (mistake.path, mistake.message.endswith("choose one with config-id: a, b")) == ("message", True)
    assert core.submissions.mistakes(submission("a", config_id="a")) == []
    (missing,) = core.submissions.mistakes(submission("a", config_id="b"))
    assert missing.message == "missing"


async def test_a_body_whose_message_could_not_be_read_is_not_compared(core: Core) -> None:
    body = submission("a", message=None)
    assert core.submissions.mistakes(body) == []
    with pytest.raises(DoesNotFit):
        core.submissions.fitting(body)


async def test_a_body_whose_topic_could_not_be_read_is_no_job(core: Core) -> None:
    with pytest.raises(ValueError, match="a body with mistakes is no job"):
        await submit(core, submission("a", topic=None))
    assert await core.tasks(JOB) == []


async def test_a_database_that_is_away_is_told_to_who_submits(core: Core) -> None:
    database: Any = Tampered(core.database, Life())
    database.before("run", Unavailable("database", "away"))
    submissions = Submissions(database, HISTORY, core.catalog, core.on_due)
    with pytest.raises(Unavailable):
        await submissions.submit(JOB, submission("a"), DORA)
    assert core.due == 0


async def test_a_new_job_is_logged_with_its_size(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "app.jobs.submit"):
        await submit(core, submission("a", "b"))
        await submit(core, submission("a", "b"))
    assert [record.getMessage() for record in caplog.records] == ["job submitted: 2 references"]
