"""Starting a process changes nothing for the garbage collector of this one, which all other tests share."""

import signal
from collections.abc import Iterator

import pytest

from app.process import supervision


@pytest.fixture(autouse=True)
def _collector_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "spare_the_collector", lambda: None)


@pytest.fixture
def of_a_terminal() -> Iterator[None]:
    """Signals as a terminal gives them, also where the tests run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
