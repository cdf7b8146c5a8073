"""The stop of the service by a signal, whether it is still starting or runs."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from app.process.stop_signals import stop_signals

log = logging.getLogger(__name__)


def on_stop_signals(ask: Callable[[str], None]) -> None:
    """Calls `ask` in the event loop with the name of each signal that asks for a stop."""
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, ask, number.name)


class Stopping:
    """The first signal stops the service in good order; a second one ends the process, where it `hurries`."""

    def __init__(self, *, hurries: bool) -> None:
        self.asked = asyncio.Event()
        self._hurries = hurries
        self._begin: Callable[[], object] = lambda: None
        self._started = False

    def ask(self, name: str) -> None:
        if self.asked.is_set():
            if self._hurries:
                log.warning("%s again: ending at once", name)
                sys.exit(1)
            return
        log.info("%s: stopping", name)
        self.asked.set()
        self._begin()

    async def run(self, service: Coroutine[Any, Any, None]) -> None:
        """Runs the service; a stop before it has called `started` cancels it."""
        if self.asked.is_set():
            service.close()
            return
        task = asyncio.ensure_future(service)
        self._begin = task.cancel
        try:
            await task
        except asyncio.CancelledError:
            if self._started or not self.asked.is_set():
                raise

    def started(self, begin: Callable[[], object]) -> None:
        """From now on a stop sets `asked` and calls `begin`, and cancels nothing."""
        self._started = True
        self._begin = begin
