"""Sends the event that an artifact was archived; each repetition carries the same idempotence id."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from app.archiver.fetch import PutBackTask
from app.broker import Broker, Message, MessageRejected
from app.broker.encoding import JSON, Encoder
from app.broker.messages import Publisher, archived_artifact_event, event_key
from app.domain.artifacts import ArchiveTask, StoredArtifact
from app.domain.errors import STEP_ANNOUNCE, task_message
from app.domain.readiness import BROKER, SCHEMA_REGISTRY, Readiness
from app.outages import note_outage, through_outages
from app.telemetry import metrics, traces

REFUSED_PAUSE = 60.0
"""Seconds before an event that its topic refused is sent again; it is refused until somebody changes the topic."""


@dataclass(frozen=True, slots=True)
class EventOptions:
    """The topic of the event, its publisher, and the encoders of its key and value."""

    topic: str
    publisher: Publisher
    key: Encoder = JSON
    value: Encoder = JSON


async def announce(
    broker: Broker, readiness: Readiness, options: EventOptions, stored: StoredArtifact, task: ArchiveTask, parent: str
) -> None:
    """Returns once the broker has acknowledged the event; waits through outages.

    `parent` is the `traceparent` of the work that sends the event. Raises PutBackTask when the topic refuses this
    event, for example for its size: other events may be small enough, so their work goes on.
    """
    with (
        traces.start(f"publish {options.topic}", "producer", parent) as span,
        metrics.SEND_EVENT.time(),
    ):
        event = archived_artifact_event(stored, task, options.publisher, datetime.now(UTC), uuid4())
        for encoder in (options.key, options.value):
            if not encoder.is_ready:
                await through_outages(readiness, SCHEMA_REGISTRY, encoder.prepare)
        headers = [("traceparent", span.traceparent.encode())]
        key = options.key.encode(event_key(task.process_id))
        message = Message(options.topic, key, options.value.encode(event), headers)

        async def send() -> None:
            try:
                await broker.send(message)
            except MessageRejected as rejected:
                note_outage(readiness, rejected)
                reason = task_message(STEP_ANNOUNCE, str(rejected))
                raise PutBackTask(REFUSED_PAUSE, task.attempts, reason) from rejected

        await through_outages(readiness, BROKER, send)
