"""The signals that stop the service, and the handlers of the time while it loads."""

import os
import signal

import pytest

from app.process.stop_signals import ending_while_it_loads, stop_signals


@pytest.mark.usefixtures("of_a_terminal")
def test_a_terminal_that_closes_stops_the_service_unless_nohup_said_otherwise() -> None:
    assert stop_signals() == [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert stop_signals() == [signal.SIGTERM, signal.SIGINT]


@pytest.mark.usefixtures("of_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_loads_ends_the_process_well(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with ending_while_it_loads():
        signal.raise_signal(number)
    assert codes == [0]


@pytest.mark.usefixtures("of_a_terminal")
def test_the_handlers_before_are_put_back() -> None:
    before = list(map(signal.getsignal, stop_signals()))
    with ending_while_it_loads():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert list(map(signal.getsignal, stop_signals())) == before
