"""What is said of a message or a config-id that nothing is configured for."""

from app.catalog.known_messages import unknown_config_id, unknown_message
from app.domain.archive_types import ArchiveTypeConfiguration


def configured(*names: str, uri: str | None = "https://source.example/{id}") -> list[ArchiveTypeConfiguration]:
    return [ArchiveTypeConfiguration(message_type=name, topic="t", uri=uri) for name in names]


def test_the_nearest_message_comes_first() -> None:
    known = configured("OsvRecordPublishedEvent", "JmeDecreeDocumentCreatedEvent", "JmeDecreeDocumentCreatedEvent")
    assert unknown_message("JmeDecreeDocumentCreated", known) == (
        "no archive type is configured for message JmeDecreeDocumentCreated; "
        "there are JmeDecreeDocumentCreatedEvent, OsvRecordPublishedEvent"
    )


def test_only_what_can_be_submitted_is_named() -> None:
    known = [*configured("LiveEvent", uri=None), *configured("BackfillEvent")]
    assert unknown_message("LiveEvnt", known).endswith("; there are BackfillEvent")
    assert unknown_message("LiveEvnt", configured("LiveEvent", uri=None)).endswith("; there are none")


def test_many_messages_are_counted() -> None:
    assert unknown_message("X", configured(*(f"Event{number}" for number in range(40)))).endswith(" and 30 more")


def test_the_nearest_config_id_comes_first() -> None:
    said = unknown_config_id("E", "decre", ["tax", "decree"])
    assert said == "message E has no configuration with config-id decre; there are decree, tax"
    assert unknown_config_id("E", "x", []).endswith("; its configuration has no id")
