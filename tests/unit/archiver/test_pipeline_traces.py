"""Everything that is done for a reference, in every try, is of the one trace that its source saw."""

import json
from typing import Any
from uuid import UUID

import pytest

from app.db import reports
from app.domain.errors import NoArchiveData, PermanentFailure
from app.domain.identity import reference_key, trace_id_of
from app.domain.jobs import Reference, TaskState
from app.jobs.control import JobControl
from app.messaging.create_artifact import ArchiveWork
from tests.support.core import EVENTS, HISTORY, Core, Process
from tests.support.spans import attributes_of, exporting, linked_to, parent_of, trace_of_span

OF_THE_JOB = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""As a process of the release before sent it with its commands."""


def trace(job_id: UUID, reference: str) -> str:
    return trace_id_of(job_id, reference_key(Reference(reference)))


async def take(process: Process, job_id: UUID, traceparent: str | None) -> ArchiveWork:
    """The work of a job of one task, when its command has this header."""
    (command,) = await process.core.commands(job_id)
    (work,) = await process.handler.receive([command._replace(traceparent=traceparent)])
    assert isinstance(work, ArchiveWork)
    return work


def traces_of_events(core: Core) -> list[str]:
    lines = (core.topics / f"{EVENTS}.jsonl").read_text().splitlines()
    return [json.loads(line)["headers"]["traceparent"].split("-")[1] for line in lines]


async def test_source_event_outcome_and_log_name_the_trace_of_the_reference(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app.archiver.pipeline")
    job_id = await core.submit("good", "bad", "nothing yet")
    core.source.answers("bad", PermanentFailure("HTTP 404"))
    core.source.answers("nothing yet", NoArchiveData())
    await core.archive(job_id)
    of = [trace(job_id, reference) for reference in ("good", "bad", "nothing yet")]
    assert [each.split("-")[1] for each in core.source.traceparents] == of
    assert traces_of_events(core) == of[:1]
    assert [each.trace_id for each in await core.tasks(job_id)] == [None, *of[1:]]
    logged: list[dict[str, Any]] = [vars(record) for record in caplog.records]
    assert [each["trace_id"] for each in logged if each["name"] == "app.archiver.pipeline"] == of


async def test_each_try_has_the_same_trace_and_other_spans(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", NoArchiveData())
    await core.archive(job_id)
    await JobControl(core.database, HISTORY, core.on_due).redrive(job_id, "Dora")
    core.source.answers("doc", PermanentFailure("HTTP 404"))
    await core.archive(job_id)
    first, second = core.source.traceparents
    assert first.split("-")[1] == second.split("-")[1] == trace(job_id, "doc") == (await core.task(job_id)).trace_id
    assert first != second


async def test_a_reference_that_was_cancelled_while_its_source_was_asked_shows_the_trace_that_this_saw(
    core: Core,
) -> None:
    job_id = await core.submit("doc", "never asked for")
    core.source.turn = lambda: _cancel(core, job_id)
    work, _ = await core.process().take(job_id)
    assert isinstance(work, ArchiveWork)
    await work.run(lambda: None)
    async with core.database.reading() as connection:
        asked, other = await reports.page(connection, job_id, -1, 10, TaskState.FAILED)
    assert asked.message == "cancelled by Dora"
    assert [each.split("-")[1] for each in core.source.traceparents] == [asked.trace_id]
    assert (asked.trace_id, other.trace_id) == (trace(job_id, "doc"), trace(job_id, "never asked for"))


async def _cancel(core: Core, job_id: UUID) -> None:
    await JobControl(core.database, HISTORY, core.on_due).cancel(job_id, "Dora")


async def test_the_spans_of_a_task_are_below_that_of_its_command(core: Core) -> None:
    job_id = await core.submit("doc")
    header = f"00-{trace(job_id, 'doc')}-00f067aa0ba902b7-01"
    with exporting() as exporter:
        await (await take(core.process(), job_id, header)).run(lambda: None)
        spans = {span.name: span for span in exporter.ended}
    assert spans.keys() == {
        *("process CreateArtifactCommand", "fetch archive data", "store artifact", f"publish {EVENTS}")
    }
    assert {trace_of_span(span) for span in spans.values()} == {trace(job_id, "doc")}
    process = spans.pop("process CreateArtifactCommand")
    assert (parent_of(process), linked_to(process)) == ("00f067aa0ba902b7", [])
    assert attributes_of(process) == {"pas.job_id": str(job_id), "pas.reference": "doc"}
    assert {parent_of(span) for span in spans.values()} == {process.span_id.hex()}


@pytest.mark.parametrize(
    ("header", "links"), [(None, []), ("garbage", []), (OF_THE_JOB, [OF_THE_JOB])], ids=["none", "garbage", "the job's"]
)
async def test_a_command_without_the_trace_of_its_reference_does_not_change_it(
    core: Core, header: str | None, links: list[str]
) -> None:
    job_id = await core.submit("doc")
    with exporting() as exporter:
        await (await take(core.process(), job_id, header)).run(lambda: None)
        (process,) = [span for span in exporter.ended if span.name == "process CreateArtifactCommand"]
    assert trace_of_span(process) == trace(job_id, "doc")
    assert (parent_of(process), linked_to(process)) == (None, links)
    assert traces_of_events(core) == [trace(job_id, "doc")]
