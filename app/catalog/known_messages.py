"""The error text for an unknown message or config-id: it lists the existing ones, the nearest first."""

from collections.abc import Iterable

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.nearest import there_are


def unknown_message(message: str, configurations: Iterable[ArchiveTypeConfiguration]) -> str:
    """The text for an unknown message; it names the messages that can be submitted: those whose data a source has."""
    known = dict.fromkeys(each.message_type for each in configurations if each.is_remote_data)
    return f"no archive type is configured for message {message}; {there_are(message, known)}"


def unknown_config_id(message: str, config_id: str, ids: Iterable[str]) -> str:
    beginning = f"message {message} has no configuration with config-id {config_id}"
    ids = list(ids)
    return f"{beginning}; {there_are(config_id, ids)}" if ids else f"{beginning}; its configuration has no id"
