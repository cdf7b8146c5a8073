"""The live flow of a process: a member of a consumer group of its own for the live topics, as they are configured."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.broker import Consumer
from app.messaging.consumer import CommandLoop
from app.messaging.live_messages import LiveReceiver
from app.telemetry import metrics

LOOK_EVERY = 1.0
"""Seconds between two looks at the configured topics, and at how far the flow is behind."""

IN_HAND = 500
"""Records in the memory of one process: they may be large, and taking them in waits for the database only."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveLoop:
    """The loop over some topics, and the consumer that it polls."""

    loop: CommandLoop
    consumer: Consumer


class LiveFlow:
    """`topics` says what is to be consumed now; `begin` makes a loop over topics. A change of the topics ends one loop
    and begins another: what is committed stays."""

    def __init__(
        self, receiver: LiveReceiver, topics: Callable[[], frozenset[str]], begin: Callable[[frozenset[str]], LiveLoop]
    ) -> None:
        self._receiver = receiver
        self._topics = topics
        self._begin = begin

    async def run(self, stop: asyncio.Event, shutdown_timeout: float) -> None:
        """Takes messages in until `stop`. Raises what broke."""
        while not stop.is_set():
            topics = self._topics()
            if topics:
                log.info("live archiving of topics: %s", ", ".join(sorted(topics)))
                await self._consume(topics, stop, shutdown_timeout)
            else:
                await _pause(stop)

    async def _consume(self, topics: frozenset[str], stop: asyncio.Event, shutdown_timeout: float) -> None:
        """Until `stop`, or until other topics are configured."""
        live, ended = self._begin(topics), asyncio.Event()

        async def watch() -> None:
            while not stop.is_set() and self._topics() == topics:
                await _pause(stop)
                self._measure(live.consumer.lag())
            ended.set()

        watching = asyncio.create_task(watch())
        try:
            await live.loop.run(ended, shutdown_timeout)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            for topic in topics - self._topics():
                self._forget(topic)

    def _measure(self, lag: Mapping[str, int]) -> None:
        for topic, messages in lag.items():
            metrics.LIVE_LAG.labels(topic).set(messages)
            metrics.LIVE_LAG_SECONDS.labels(topic).set(self._receiver.age(topic) if messages else 0.0)

    @staticmethod
    def _forget(topic: str) -> None:
        for gauge in (metrics.LIVE_LAG, metrics.LIVE_LAG_SECONDS):
            with contextlib.suppress(KeyError):
                gauge.remove(topic)


async def _pause(stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY):
            await stop.wait()
