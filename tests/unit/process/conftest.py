"""Starting a process changes nothing for the garbage collector of this one, which all other tests share."""

import pytest

from app.process import supervision


@pytest.fixture(autouse=True)
def _collector_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "spare_the_collector", lambda: None)
