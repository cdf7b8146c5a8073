"""The head of a report, and the example of the contract as a whole."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import yaml

from app.api.jobs.yaml_report import report_head, report_tasks
from app.api.shapes.moments import timestamp
from app.domain.jobs import Job, JobState, Reference, ReportedTask, TaskState

COMPLETED = Job(
    id=UUID("88dbb65f-9634-4685-bc86-17b72d715d3e"),
    message="JmeDecreeDocumentCreatedEvent",
    topic="jme-process-archive-decreedocumentcreated",
    config_id="decree-document",
    resolved_config_id="decree-document",
    num_of_retry=None,
    state=JobState.COMPLETED,
    started=datetime(2026, 5, 8, 7, 26, 37, 123456, tzinfo=UTC),
    completed=datetime(2026, 5, 8, 7, 30, 15, 456789, tzinfo=UTC),
    started_by_name="John Doe",
    started_by_ext_id="287365",
    total=2,
    open=0,
    succeeded=1,
    failed=1,
    last_settled=None,
    paused=False,
    traceparent=None,
    content_hash=b"",
)

TASKS = [
    ReportedTask(0, Reference("DOC-2024-001", 1), TaskState.SUCCEEDED, None, None),
    ReportedTask(
        1,
        Reference("DOC-2024-002", 1),
        TaskState.FAILED,
        "Failed reading artifact from source service",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ),
]

GOLDEN = """\
message: JmeDecreeDocumentCreatedEvent
topic: jme-process-archive-decreedocumentcreated
config-id: decree-document
job-state: completed
job-result: partially-succeeded
job-id: 88dbb65f-9634-4685-bc86-17b72d715d3e
started: 2026-05-08T07:26:37.123Z
report-created: 2026-05-08T07:30:15.456Z
started-by-name: John Doe
started-by-ext_id: "287365"
archiveDataReferences:
  - id: DOC-2024-001
    version: 1
    state: succeeded
  - id: DOC-2024-002
    version: 1
    state: failed
    error:
      message: Failed reading artifact from source service
      traceId: 4bf92f3577b34da6a3ce929d0e0e4736
"""


def test_the_example_of_the_contract_is_written_byte_for_byte() -> None:
    assert (report_head(COMPLETED) + report_tasks(TASKS)).decode() == GOLDEN


def test_an_open_job_has_neither_result_nor_creation_time() -> None:
    job = replace(COMPLETED, state=JobState.OPEN, completed=None, open=1, failed=0)
    head = report_head(job).decode()
    assert "job-state: open\njob-id:" in head
    assert "job-result" not in head
    assert "report-created" not in head


def test_what_the_job_does_not_have_is_left_out() -> None:
    job = replace(COMPLETED, config_id=None, started_by_name=None, started_by_ext_id=None)
    assert [line.split(":")[0] for line in report_head(job).decode().splitlines()] == [
        "message",
        "topic",
        "job-state",
        "job-result",
        "job-id",
        "started",
        "report-created",
        "archiveDataReferences",
    ]


def test_no_references_are_an_empty_list() -> None:
    head = report_head(COMPLETED, empty=True)
    assert head.endswith(b"archiveDataReferences: []\n")
    assert yaml.safe_load(head)["archiveDataReferences"] == []


def test_names_and_messages_that_are_yaml_words_are_quoted() -> None:
    job = replace(COMPLETED, message="yes", topic="null", config_id="1e3", started_by_name="", started_by_ext_id="0x1F")
    read = yaml.safe_load(report_head(job))
    assert [read[key] for key in ("message", "topic", "config-id", "started-by-name", "started-by-ext_id")] == [
        "yes",
        "null",
        "1e3",
        "",
        "0x1F",
    ]


def test_half_a_character_in_a_claim_does_not_break_the_report() -> None:
    head = report_head(replace(COMPLETED, started_by_name="J\ud800D"))
    assert yaml.safe_load(head)["started-by-name"] == "J\ufffdD"


def test_timestamps_are_in_utc_and_cut_to_milliseconds() -> None:
    moment = datetime(2026, 1, 1, 0, 30, 0, 999999, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2025-12-31T23:30:00.999Z"
    assert timestamp(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"
