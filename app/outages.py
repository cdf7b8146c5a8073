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

    Cancel it to give up. A success proves that `component` is well, and all that this call waited for.
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
                note_well(readiness, each)
            return result


def note_outage(readiness: Readiness, outage: Unavailable) -> None:
    if readiness.ill(outage.component, outage.reason):
        log.warning("%s is not available, work waits: %s", outage.component, outage.reason)


def note_well(readiness: Readiness, component: str) -> None:
    if readiness.well(component):
        log.info("%s is available", component)
