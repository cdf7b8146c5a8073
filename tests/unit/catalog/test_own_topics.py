"""The topics of the service itself: a live archive type that reads them is a mistake of the file."""

from pathlib import Path

import pytest

from app.catalog.archive_types import CatalogError, load_archive_types
from app.catalog.own_topics import OwnTopics

OWN = OwnTopics({"commands": "the.commands"}, {"dead": "the.dead-letters"}, {"events": "the.events"})
URI = "uri: 'https://x.example/{id}'"


def mistakes(tmp_path: Path, topic: str, *keys: str) -> list[str]:
    file = tmp_path / "types.yml"
    file.write_text(f"archiveTypes:\n- messageType: M\n  topic: {topic}\n  {URI}\n" + "".join(f"  {k}\n" for k in keys))
    try:
        load_archive_types(file, (), False, None, OWN)
    except CatalogError as error:
        return error.mistakes
    return []


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("commands", "commands is the.commands too: commands of this service are no messages"),
        ("dead", "dead is the.dead-letters too: dead letters of this service would be read as messages"),
        ("events", "events is the.events too: each event that is archived would be announced by another one"),
    ],
)
def test_a_live_archive_type_must_not_read_what_the_service_writes(tmp_path: Path, topic: str, said: str) -> None:
    [mistake] = mistakes(tmp_path, topic, "reference: {id: a}")
    assert mistake.startswith(f"types.yml line 2: archiveTypes[0] (M): topic: {said}")
    assert mistake.endswith("name another topic in one of the two places")


def test_topics_are_compared_beside_other_mistakes_of_the_entry(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, "dead", "reference: {}", "announce: 1")) == 3


@pytest.mark.parametrize("topic", ["commands", "dead", "events"])
def test_what_is_not_live_reads_no_topic(tmp_path: Path, topic: str) -> None:
    assert mistakes(tmp_path, topic) == []


def test_events_of_artifacts_may_be_archived_where_that_is_not_announced(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "events", "reference: {id: a}", "announce: false") == []
    assert mistakes(tmp_path, "dead", "reference: {id: a}", "announce: false") != []
    assert mistakes(tmp_path, "others", "reference: {id: a}") == []
