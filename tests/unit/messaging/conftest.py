"""The command loop without its pauses: what it waits for in the tests are events, not seconds."""

import pytest

from app.messaging import consumer


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "POLL_TIMEOUT", 0.001)
    monkeypatch.setattr(consumer, "COMMIT_EVERY", 0.0)
