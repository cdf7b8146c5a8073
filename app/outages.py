"""Repeats calls until the outage of a component is over: work waits for what every task needs."""

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
    """Repeats `call` while it raises Unavailable; `readiness` has the reason until the call succeeds.

    Cancel the task to give up. A success shows that `component` is available, and each other component that the call
    waited for.
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


async def repeat_until(
    stop: asyncio.Event, readiness: Readiness, idle: float, step: Callable[[], Awaitable[bool]]
) -> None:
    """Repeats `step` until `stop`, at once while it returns True (there is more to do), else after `idle` seconds.

    Outages only delay it.
    """
    while not stop.is_set():
        try:
            if await step():
                continue
        except Unavailable as outage:
            note_outage(readiness, outage)
        try:
            await asyncio.wait_for(stop.wait(), idle)
        except TimeoutError:
            continue


def note_outage(readiness: Readiness, outage: Unavailable) -> None:
    """Reports the outage on /health/ready, and in the log when its reason is new."""
    if readiness.work_waits(outage.component, outage.reason):
        log.warning("%s is not available, work waits: %s", outage.component, outage.reason)


def note_available(readiness: Readiness, component: str) -> None:
    """Removes the outage of a component that was just used from /health/ready, and logs that it is over."""
    if readiness.work_goes_on(component):
        log.info("%s is available", component)
