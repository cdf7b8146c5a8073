"""Charts as SVG."""

import re

import pytest

from app.domain.minutes import Allowance, Course, Part, SourceCourse
from app.ui import charts
from tests.support.rows import NOW, insert_job
from tests.unit.api.job_app import failed, succeeded
from tests.unit.ui.page_app import PageApp


def test_columns_are_as_tall_as_what_they_stand_for() -> None:
    svg = charts.course(Course(1, (Part(0, 10, 0), Part(1, 0, 0), Part(2, 5, 5))))
    tall = re.findall(r'class="(ok|bad)".*?height="([\d.]+)"', svg)
    assert tall == [("ok", "80.0"), ("ok", "40.0"), ("bad", "40.0")]
    assert "style" not in svg


def test_the_line_of_a_limit_has_gaps_where_nothing_is_known() -> None:
    svg = charts.limits(SourceCourse("M", 1, (Allowance(0, 8, 4), Allowance(1, None, 0), Allowance(2, 2, 2))))
    assert re.findall(r'class="run".*?height="([\d.]+)"', svg) == ["32.0", "16.0"]
    assert re.findall(r'class="limit" d="(.*?)"', svg) == ["M60.0 30.0H121.7M183.3 78.0H245.0"]


@pytest.mark.parametrize(("most", "top"), [(1, 1), (3, 5), (10, 10), (11, 20), (4001, 5000)])
def test_scales_end_at_round_numbers(most: int, top: int) -> None:
    assert charts.ceiling(most) == top


def test_parts_are_named_by_time_or_day() -> None:
    assert [charts.clock(29_000_000, step) for step in (1, 60, 1440)] == ["21:20", "02-19 21:20", "2025-02-19"]


async def test_a_job_shows_its_course_with_a_table(page: PageApp) -> None:
    job_id = await insert_job(page.database, 3)
    await page.log_in()
    assert "As a table" not in await page.seen(f"/ui/jobs/{job_id}")
    await page.settle(succeeded(job_id, 0), failed(job_id, 1))
    await page.page.minutes.read(NOW, thin=False)
    html = await page.seen(f"/ui/jobs/{job_id}")
    assert 'class="chart"' in html
    assert re.search(r"<td>07:26</td><td[^>]*>1</td><td[^>]*>1</td>", html)
