from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.ui.page_app import PageApp, page_app


@pytest.fixture
async def page(url: str, tmp_path: Path) -> AsyncIterator[PageApp]:
    async with page_app(url, tmp_path) as made:
        yield made
