"""Tells others that an artifact was archived: one event, with an idempotence id that every repeat keeps."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from app.broker import Broker, Message, MessageRejected
from app.broker.codec import encode
from app.broker.messages import archived_artifact_event, event_key
from app.domain.artifacts import ArchiveTask, StoredArtifact
from app.domain.errors import STEP_ANNOUNCE, PermanentFailure, task_message
from app.domain.readiness import BROKER, Readiness
from app.outages import through_outages
from app.telemetry import metrics, traces


@dataclass(frozen=True, slots=True)
class EventOptions:
    """Topic of the event and its publisher; `system` is part of its variant."""

    topic: str
    system: str
    service: str


async def announce(
    broker: Broker, readiness: Readiness, options: EventOptions, stored: StoredArtifact, task: ArchiveTask, parent: str
) -> None:
    """Returns once the broker has acknowledged the event; waits through outages.

    `parent` is the `traceparent` of the work that it belongs to. Raises PermanentFailure where the broker will never
    take this event.
    """
    with (
        traces.start(f"publish {options.topic}", "producer", parent) as span,
        metrics.SEND_EVENT.time(),
    ):
        event = archived_artifact_event(
            stored,
            task.reference,
            task.id.job_id,
            task.idempotence_id,
            options.system,
            options.service,
            datetime.now(UTC),
            uuid4(),
        )
        headers = [("traceparent", span.traceparent.encode())]
        message = Message(options.topic, event_key(task.id.job_id), encode(event), headers)
        try:
            await through_outages(readiness, BROKER, lambda: broker.send(message))
        except MessageRejected as rejected:
            raise PermanentFailure(task_message(STEP_ANNOUNCE, str(rejected))) from rejected
