"""Decides what a message is for a live archive type configuration: passed over, or the artifact that it wants."""

from collections.abc import Mapping
from typing import Any

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import InvalidMessage
from app.domain.live import WantedArtifact
from app.live.conditions import holds
from app.live.payloads import EncodeAvro, payload_of
from app.live.references import process_id_of, reference_of


def decide(
    configuration: ArchiveTypeConfiguration, message: Mapping[str, Any], encode_avro: EncodeAvro
) -> WantedArtifact | None:
    """What to archive of a decoded message; None where a condition does not hold, so that it is passed over.

    `message` is as `decode_values` of the broker returns it, and stays as it is. Raises InvalidMessage where the
    message can never be archived; the text has names, paths and rules, and no value of the message. It does no I/O
    beyond what the configuration's Python functions do, and is for a worker thread.
    """
    rule = configuration.live
    if rule is None:
        return None
    try:
        if not holds(rule.conditions, message):
            return None
        reference = reference_of(rule.reference, message, versioned=_versioned(configuration))
        process_id = process_id_of(rule.process_id, message)
        payload = None if rule.payload is None else payload_of(rule.payload, message, encode_avro)
    except InvalidMessage as error:
        raise InvalidMessage(f"{configuration.name}: {error}") from None
    return WantedArtifact(reference, process_id, payload, rule.announce)


def _versioned(configuration: ArchiveTypeConfiguration) -> bool | None:
    """Whether references must have a version; None: as they come, for data that is in the message."""
    return configuration.is_versioned if configuration.is_remote_data else None
