"""What the log says of tasks that are put back: nothing of those whose source is away, which is told once."""

import logging
from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

import pytest

from app.archiver.pipeline import Archiver
from app.domain.artifacts import ArchiveTask
from app.domain.jobs import Reference, TaskId
from app.domain.tasks import PutBack
from app.telemetry import traces

NOW = datetime(2026, 5, 8, tzinfo=UTC)
TASK = ArchiveTask(TaskId(uuid4(), 0), Reference("DOC-1"), "Message", None, NOW, 0, 4, "id", "1" * 32)


@pytest.mark.parametrize(
    ("put_back", "level"),
    [
        (PutBack(TASK.id, NOW, 0, hold_job=True, reason="the source is given a rest"), "DEBUG"),
        (PutBack(TASK.id, NOW, 0, reason="HTTP 503"), "INFO"),
    ],
)
def test_a_task_that_waits_for_its_source_is_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture, put_back: PutBack, level: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with traces.start("test") as span:
        Archiver._report(cast("Archiver", None), TASK, put_back, span, changed=True)
    assert [record.levelname for record in caplog.records] == [level]
