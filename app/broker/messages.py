"""What the service publishes, as plain dicts with the fields of the Java service's Avro records; pure and fast.

`created` is epoch milliseconds in JSON too (Avro: long, timestamp-millis), and a value of a union stands plain, so
that one model serves both encodings.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from app.domain.artifacts import ArchiveTask, StoredArtifact
from app.domain.identity import command_idempotence_id, event_idempotence_id, hash_of_text, live_command_id
from app.domain.jobs import Reference
from app.domain.tasks import OwedTask

COMMAND_TYPE = "CreateArtifactCommand"
COMMAND_TYPE_VERSION = "1.0.1"
COMMAND_VERSION = "1.3.0"
RUN_COMMAND_TYPE = "BackfillMetadataCommand"
RUN_COMMAND_TYPE_VERSION = "1.0.0"
EVENT_TYPE = "SharedArchivedArtifactVersionCreatedEvent"
EVENT_TYPE_VERSION = "2.0.2"
EVENT_KEY_TYPE = "ProcessIdMessageKey"
DOMAIN_EVENT_VERSION = "1.3.0"
JOB_EVENT_TYPE = "BackfillJobStateChangedEvent"
JOB_EVENT_TYPE_VERSION = "1.0.0"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Json = dict[str, Any]


class Publisher(NamedTuple):
    """The sender that a message names."""

    system: str
    service: str


def create_artifact_command(task: OwedTask, publisher: Publisher, now: datetime, message_id: UUID) -> Json:
    """The command that archives one reference of a job.

    Sent again, the command keeps its idempotence id, whatever `message_id` and `now` are.
    """
    job, reference = str(task.job_id), task.reference
    return {
        "identity": {
            "id": str(message_id),
            "idempotenceId": command_id_of(task),
            "created": epoch_millis(now),
        },
        "type": {"name": COMMAND_TYPE, "version": COMMAND_TYPE_VERSION, "variant": None},
        "publisher": {"system": publisher.system, "service": publisher.service},
        "references": {
            "archiveData": {
                "type": "archiveData",
                "referenceId": reference.id,
                "referenceVersion": reference.version,
            }
        },
        "payload": {"jobId": job, "messageName": task.message, "topicName": task.topic},
        "processId": job,
        "commandVersion": COMMAND_VERSION,
    }


def command_id_of(task: OwedTask) -> str:
    """The idempotence id of the command of a task."""
    if task.live_key is not None:
        return live_command_id(task.job_id, task.live_key)
    return command_idempotence_id(task.job_id, task.reference)


def backfill_metadata_command(run_id: UUID, batch: int, publisher: Publisher, now: datetime, message_id: UUID) -> Json:
    """The command for one batch of a metadata run; the same envelope, without a reference."""
    run = str(run_id)
    return {
        "identity": {"id": str(message_id), "idempotenceId": f"{run}-{batch}", "created": epoch_millis(now)},
        "type": {"name": RUN_COMMAND_TYPE, "version": RUN_COMMAND_TYPE_VERSION, "variant": None},
        "publisher": {"system": publisher.system, "service": publisher.service},
        "references": {},
        "payload": {"runId": run, "batch": batch},
        "processId": run,
        "commandVersion": COMMAND_VERSION,
    }


def archived_artifact_event(
    stored: StoredArtifact, task: ArchiveTask, publisher: Publisher, now: datetime, event_id: UUID
) -> Json:
    """The event that the artifact of `task` was archived, with the place of the artifact.

    As in the Java service, the publisher's system also makes the variant, `<system>_<schema>`. The type's own system is
    the one that the source named.
    """
    reference = task.reference
    version = reference.version
    return {
        "identity": {
            "eventId": str(event_id),
            "idempotenceId": event_idempotence_id(task.artifact_id(stored.system, stored.schema)),
            "created": epoch_millis(now),
        },
        "type": {
            "name": EVENT_TYPE,
            "version": EVENT_TYPE_VERSION,
            "variant": f"{publisher.system}_{stored.schema}",
        },
        "publisher": {"system": publisher.system, "service": publisher.service},
        "references": {
            "archivedArtifact": {
                "type": "archivedArtifact",
                "referenceId": reference.id,
                "referenceIdHash": stored.reference_id_hash,
                "referenceIdType": stored.reference_id_type,
                "referenceIdTypeHash": _hash_of_type(stored.reference_id_type),
                "version": None if version is None else str(version),
            },
            "archivedArtifactType": {
                "type": "archivedArtifactType",
                "contentType": stored.content_type,
                "system": stored.system,
                "dataSchemaType": stored.schema,
                "dataSchemaVersion": stored.schema_version,
            },
            "storageObject": {
                "type": "storageobject",
                "storageObjectBucket": stored.bucket,
                "storageObjectKey": stored.key,
                "storageObjectVersionId": stored.version_id,
            },
        },
        "payload": {
            "expiration": {"days": stored.expiration_days},
            "metadata": [{"name": name, "value": value} for name, value in stored.metadata],
        },
        "processId": task.process_id,
        "domainEventVersion": DOMAIN_EVENT_VERSION,
    }


def job_state_changed_event(
    payload: Json, number: int, publisher: Publisher, changed_at: datetime, event_id: UUID
) -> Json:
    """The event that something happened to a job; `payload` says what, and how the job stood then.

    Sent again, the event keeps its idempotence id, which `number` tells from all others of the job.
    """
    job = payload["jobId"]
    return {
        "identity": {
            "eventId": str(event_id),
            "idempotenceId": f"{JOB_EVENT_TYPE}_{job}-{number}",
            "created": epoch_millis(changed_at),
        },
        "type": {"name": JOB_EVENT_TYPE, "version": JOB_EVENT_TYPE_VERSION, "variant": None},
        "publisher": {"system": publisher.system, "service": publisher.service},
        "references": {},
        "payload": payload,
        "processId": job,
        "domainEventVersion": DOMAIN_EVENT_VERSION,
    }


def command_key(reference: Reference) -> bytes:
    """Kafka key of a command: the reference id, so that one job uses all partitions."""
    return reference.id.encode()


def run_key(run_id: UUID, batch: int) -> bytes:
    """Kafka key of the command of a batch: its own, so that a run uses all partitions."""
    return b"%s-%d" % (str(run_id).encode(), batch)


def job_state_changed_key(job_id: UUID) -> bytes:
    """Kafka key of the events of a job: its id, so that they stay in their order."""
    return str(job_id).encode()


def event_key(process_id: str) -> Json:
    """Kafka key of an event, a `ProcessIdMessageKey`."""
    return {"processId": process_id}


def epoch_millis(moment: datetime) -> int:
    """Whole milliseconds since 1970; exact, unlike `timestamp() * 1000`."""
    return (moment - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=1024)
def _hash_of_type(reference_id_type: str) -> str:
    return hash_of_text(reference_id_type)
