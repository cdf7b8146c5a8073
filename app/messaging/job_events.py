"""Publishes job events from their outbox; the events of each job in their order."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from uuid import uuid4

import orjson

from app.broker import Broker, Message
from app.broker.encoding import JSON, Encoder
from app.broker.messages import Publisher, job_state_changed_event, job_state_changed_key
from app.db import job_events
from app.db.database import Database
from app.db.job_events import OwedEvent
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, SCHEMA_REGISTRY, Readiness, topic_named
from app.outages import note_available, repeat_until
from app.telemetry import metrics, traces

BATCH = 200
LEASE = timedelta(seconds=30)
"""A claim of a process that died becomes free after this time; a slower send happens twice, which is harmless."""

IDLE = 0.5
"""Seconds between two claims."""

log = logging.getLogger(__name__)


class JobEventRelay:
    """`publisher` is the sender named in the events."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        readiness: Readiness,
        topic: str,
        publisher: Publisher,
        encoder: Encoder = JSON,
    ) -> None:
        self._database = database
        self._broker = broker
        self._readiness = readiness
        self._topic = topic
        self._publisher = publisher
        self._encoder = encoder
        self._waits_for_schema = False

    async def run(self, stop: asyncio.Event) -> None:
        """Publishes until `stop`; outages only delay it."""

        async def step() -> bool:
            try:
                return await self.publish_once() >= BATCH
            except Unavailable as outage:
                raise self._of_topic(outage) from outage

        await repeat_until(stop, self._readiness, IDLE, step)

    async def publish_once(self) -> int:
        """Sends the oldest events; returns how many were claimed.

        Raises Unavailable when an event cannot be sent: this event and the later ones of its job stay in the outbox.
        Also raises Unavailable, and claims nothing, while the schema id of the events is not known.
        """
        if not self._encoder.is_ready:
            self._waits_for_schema = True
            await self._encoder.prepare()
        if self._waits_for_schema:  # somebody else may have prepared it meanwhile
            self._waits_for_schema = False
            note_available(self._readiness, SCHEMA_REGISTRY)
        now = datetime.now(UTC)
        owed = await self._database.run(lambda c: job_events.claim(c, now, now + LEASE, BATCH))
        if not owed:
            return 0
        of_jobs = [
            list(each) for _, each in groupby(sorted(owed, key=attrgetter("job_id", "id")), attrgetter("job_id"))
        ]
        sent: list[int] = []
        results = await asyncio.gather(*(self._send_in_order(each, sent) for each in of_jobs), return_exceptions=True)
        left = sorted({each.id for each in owed}.difference(sent))
        if sent:
            await self._database.run(lambda c: job_events.remove(c, sent))
            metrics.JOB_EVENTS_PUBLISHED.inc(len(sent))
            note_available(self._readiness, BROKER)
            note_available(self._readiness, topic_named(self._topic))
        if left:
            await self._database.run(lambda c: job_events.release(c, left))
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(owed)

    def _of_topic(self, outage: Unavailable) -> Unavailable:
        """No job waits for its events: whether commands get through, their relay says."""
        return Unavailable(topic_named(self._topic), outage.reason) if outage.component == BROKER else outage

    async def _send_in_order(self, events: list[OwedEvent], sent: list[int]) -> None:
        for each in events:
            with traces.start(f"publish {self._topic}", "producer", each.traceparent) as span:
                event = job_state_changed_event(orjson.loads(each.payload), each.id, self._publisher, each.at, uuid4())
                headers = [("traceparent", span.traceparent.encode())]
                value = self._encoder.encode(event)
                await self._broker.send(Message(self._topic, job_state_changed_key(each.job_id), value, headers))
            sent.append(each.id)
