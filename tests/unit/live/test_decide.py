"""A message for a configuration: passed over, or what it wants to have archived."""

from copy import deepcopy

import pytest

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import InvalidMessage
from app.domain.jobs import Reference
from app.domain.live import WantedArtifact
from app.live.decide import decide
from tests.unit.live.live_types import MESSAGE, URI, configuration, decided, no_avro, wanted


def test_a_message_of_a_source_wants_a_reference_and_no_payload() -> None:
    assert wanted(URI) == WantedArtifact(Reference("D-1"), "P-1", None, announce=True)


def test_an_archive_type_may_be_archived_without_an_event() -> None:
    assert wanted(URI, "announce: false").announce is False


def test_a_configuration_that_is_not_live_passes_all_messages_over() -> None:
    assert decide(ArchiveTypeConfiguration("M", "t", "https://x.example/{id}"), MESSAGE, no_avro) is None


def test_a_condition_is_looked_at_first() -> None:
    keys = ("condition: [{path: payload.kind, equals: other}]", "reference: {id: payload.nothing}")
    assert decided(*keys) is None


def test_the_reason_names_the_configuration_that_could_not_use_the_message() -> None:
    with pytest.raises(InvalidMessage, match=r"^M/second: reference.id: payload.nothing is not there$"):
        decided("id: second", "reference: {id: payload.nothing}")


def test_the_message_stays_as_it_is() -> None:
    before = deepcopy(MESSAGE)
    wanted("condition: [{path: payload.kind, equals: final}]")
    decide(configuration("payload: {path: payload, system: S, schema: T, schemaVersion: 1}"), MESSAGE, no_avro)
    assert before == MESSAGE
