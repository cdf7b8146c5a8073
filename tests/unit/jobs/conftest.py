"""The core for the tests of jobs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.core import Core, opened_core


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with opened_core(tmp_path) as core:
        yield core
