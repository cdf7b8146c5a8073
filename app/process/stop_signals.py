"""The signals that stop the service, and what they do while it loads. Imports nothing that takes time."""

import contextlib
import os
import signal
from collections.abc import Iterator


def stop_signals() -> list[signal.Signals]:
    """Those of a stop, of Ctrl-C and of a terminal that closes; the last one not where `nohup` ignores it."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hung_up]


@contextlib.contextmanager
def ending_while_it_loads() -> Iterator[None]:
    """Until an event loop takes the signals, one ends the process at once and well: nothing has begun that must end."""
    before = {number: signal.signal(number, _end) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(*_: object) -> None:
    os._exit(0)  # an exception could come up in the middle of an import, and be lost there
