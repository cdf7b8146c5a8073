"""The core for the tests of the archiver; what waits for an outage to end hardly waits."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app import outages
from tests.support.core import Core, opened_core


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "FIRST_PAUSE", 0.0001)
    monkeypatch.setattr(outages, "LONGEST_PAUSE", 0.0001)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with opened_core(tmp_path) as core:
        yield core
