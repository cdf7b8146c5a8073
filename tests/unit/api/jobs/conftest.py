"""An edge with the endpoints of jobs, on an empty database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.api.job_app import JobApp, job_app


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[JobApp]:
    async with job_app(f"sqlite:///{tmp_path / 'pas.sqlite'}") as opened:
        yield opened
