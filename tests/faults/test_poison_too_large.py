"""Records that are too large for the dead letter topic, and empty ones, between good commands."""

import hashlib
from uuid import uuid4

from tests.faults.making import MakeArchive, references
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each
from tests.support.records import Headers, Record, committed, read_topic, write_topic

NAMES = references(40)
LARGE = 2_000_000
KEPT = 64 * 1024
POISON: list[tuple[bytes | None, bytes | None, Headers]] = [
    (b"k" * LARGE, b"garbage", [("h", b"large key")]),
    (b"k", b"v" * LARGE, [("h", b"large value")]),
    (b"k" * LARGE, None, [("h", b"large key of a tombstone")]),
    (b"k", None, [("h", b"tombstone")]),
    (None, None, [("h", b"nothing")]),
    (None, b"g", [("h", b"large header"), ("x", b"x" * LARGE)]),
]


def test_what_is_too_large_is_kept_in_part_with_its_hash_and_all_good_commands_are_done(
    make_archive: MakeArchive,
) -> None:
    archive, job_id = make_archive(make=("database", "bucket")), uuid4()
    archive.kafka.create_topic(archive.commands, 2, {"max.message.bytes": "4000000"})
    archive.kafka.create_topic(archive.dead_letters)
    archive.kafka.create_topic(archive.events)
    with archive.service() as service:
        for partition in (0, 1):
            write_topic(archive.kafka, archive.commands, POISON, partition)
        service.submit(job_id, unversioned(*NAMES))
        for partition in (0, 1):
            write_topic(archive.kafka, archive.commands, POISON, partition)
        assert_all_succeeded(service.wait_completed(job_id), NAMES)

        def everything_committed() -> bool:
            offsets, ends = committed(archive.kafka, archive.commands, archive.group)
            return offsets == ends

        service.wait("all commands committed", everything_committed)
    sent = {(each.partition, each.offset): each for each in read_topic(archive.kafka, archive.commands)}
    letters = read_topic(archive.kafka, archive.dead_letters)
    places = [(int(letter.header("dlq-partition")), int(letter.header("dlq-offset"))) for letter in letters]
    assert len(places) == len(set(places)) == 4 * len(POISON)
    for place, letter in zip(places, letters, strict=True):
        assert letter.header("dlq-reason")
        assert letter.header("dlq-topic") == archive.commands
        assert_kept(letter, sent[place])
    assert_one_effect_each(archive, job_id, NAMES)


def assert_kept(letter: Record, original: Record) -> None:
    if not original.header("h").startswith("large"):
        assert (letter.key, letter.value) == (original.key, original.value)
        return
    assert letter.header("dlq-truncated") == "true"
    assert letter.key == (None if original.key is None else original.key[:KEPT])
    assert letter.value == (None if original.value is None else original.value[:KEPT])
    assert letter.header("dlq-sha256") == hashlib.sha256(original.value or b"").hexdigest()
    assert letter.header("dlq-key-sha256") == hashlib.sha256(original.key or b"").hexdigest()
