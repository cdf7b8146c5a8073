"""An edge with the endpoints of jobs, on an empty database."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.api.job_app import JobApp, job_app


@pytest.fixture
async def api(url: str) -> AsyncIterator[JobApp]:
    async with job_app(url) as opened:
        yield opened
