"""Work waits for what every task needs: calls that are repeated until the outage of a component is over."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.domain.errors import Unavailable
from app.domain.readiness import Readiness

T = TypeVar("T")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Seconds between two tries; short enough that work goes on soon after an outage."""

log = logging.getLogger(__name__)


async def through_outages(readiness: Readiness, component: str, call: Callable[[], Awaitable[T]]) -> T:
    """Repeats `call` while it raises Unavailable; `readiness` names the reason meanwhile and forgets it afterwards.

    Cancel the task to give up. A success proves that `component` is available, and each component that the call waited
    for.
    """
    pause = FIRST_PAUSE
    proven = {component}
    while True:
        try:
            result = await call()
        except Unavailable as outage:
            note_outage(readiness, outage)
            proven.add(outage.component)
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(pause * 2, LONGEST_PAUSE)
        else:
            for each in proven:
                note_available(readiness, each)
            return result


def note_outage(readiness: Readiness, outage: Unavailable) -> None:
    """Names the outage on /health/ready, and in the log where its reason is new."""
    if readiness.work_waits(outage.component, outage.reason):
        log.warning("%s is not available, work waits: %s", outage.component, outage.reason)


def note_available(readiness: Readiness, component: str) -> None:
    """Takes the outage of a component that was just used off /health/ready, and says so in the log."""
    if readiness.work_goes_on(component):
        log.info("%s is available", component)
