"""Reports read a job page by page, in the order of submission."""

from uuid import UUID, uuid4

import pytest

from app.domain.errors import PermanentFailure
from app.domain.jobs import TaskState
from app.jobs import report
from app.jobs.report import Reports
from tests.support.core import Core


async def pages(core: Core, job_id: UUID, state: TaskState | None = None) -> list[list[str]]:
    return [[each.reference.id for each in page] async for page in Reports(core.database).pages(job_id, state)]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2])])
async def test_all_tasks_come_in_their_order(
    core: Core, monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(report, "PAGE", 2)
    names = [f"ref-{number}" for number in range(count)]
    found = await pages(core, await core.submit(*names))
    assert [len(page) for page in found] == sizes
    assert [name for page in found for name in page] == names


async def test_only_tasks_of_one_state_come_where_that_is_wanted(core: Core) -> None:
    job_id = await core.submit("a", "b", "c")
    core.source.answers("b", PermanentFailure("no"))
    await core.archive(job_id)
    assert await pages(core, job_id, TaskState.FAILED) == [["b"]]
    assert await pages(core, job_id, TaskState.OPEN) == []


async def test_an_unknown_job_has_no_report(core: Core) -> None:
    assert await Reports(core.database).find(uuid4()) is None
    assert await pages(core, uuid4()) == []


async def test_a_job_is_found(core: Core) -> None:
    job_id = await core.submit("a")
    found = await Reports(core.database).find(job_id)
    assert found is not None
    assert (found.id, found.total, found.result) == (job_id, 1, None)
