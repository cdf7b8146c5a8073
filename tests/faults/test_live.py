"""The live flow under kills, rebalances and at midnight: each message has one effect, none is missed or there twice."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.faults.conftest import Scale
from tests.faults.making import MakeArchive
from tests.faults.test_killed_at_random import moments
from tests.support.archive import SHORT_SESSION, Archive
from tests.support.archive_types import OSV
from tests.support.live_archive import (
    DECREE_ISSUED,
    advisory,
    advisory_type,
    artifact_id,
    decree_issued,
    decree_types,
    framed,
    send,
    write_types,
)
from tests.support.objects import versions_in
from tests.support.records import committed, read_topic
from tests.support.service import Service, pas

PARTITIONS = 4
TASKS = "SELECT state, count(*) AS number FROM backfill_task GROUP BY state"


def live_archive(
    make_archive: MakeArchive, settings: Mapping[str, Any] | None = None, **servers: Any
) -> tuple[Archive, str]:
    """Every third message brings its document, the others name one of the source."""
    archive = make_archive(**servers)
    topic = f"{archive.bucket}-live"
    archive.kafka.create_topic(topic, PARTITIONS)
    archive.configure({"jeap.processarchive.live.start": "earliest", **(settings or {})})
    [decree, *_] = decree_types(topic)
    write_types(archive, [advisory_type(topic, archive.source), decree])
    return archive, topic


def message(number: int, schema_id: int | None) -> bytes:
    if number % 3:
        return advisory(f"m-{number}", f"a-{number}")
    with_document = decree_issued(f"m-{number}", f"d-{number}", 1)
    return json.dumps(with_document).encode() if schema_id is None else framed(schema_id, with_document)


def expected(number: int) -> str:
    """The idempotence id of its event."""
    if number % 3:
        return f"{artifact_id(OSV.name, f'm-{number}', 'PSF', 'OsvRecord', f'a-{number}')}-event"
    return f"{artifact_id(DECREE_ISSUED, f'm-{number}', 'DEMO', 'DecreeDocument', f'd-{number}', 1)}-event"


def send_all(archive: Archive, topic: str, numbers: Sequence[int], schema_id: int | None = None) -> None:
    """With `schema_id` those that bring a document are Avro."""
    for partition in range(PARTITIONS):
        here = [message(each, schema_id) for each in numbers if each % PARTITIONS == partition]
        send(archive, topic, partition, *here)


@contextmanager
def flowing(archive: Archive, topic: str, numbers: Sequence[int], parts: int = 20) -> Iterator[None]:
    """Messages come in so many parts while the block runs; all of them at its end, a tenth of them a second time."""

    def flow() -> None:
        for part in range(parts):
            send_all(archive, topic, numbers[part::parts])
            time.sleep(0.2)
        send_all(archive, topic, numbers[::10])

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def done(archive: Archive) -> int:
    states = {row["state"]: row["number"] for row in archive.query(TASKS)}
    assert states.get("failed", 0) == 0
    return int(states.get("succeeded", 0))


def wait_done(archive: Archive, service: Service, number: int, seconds: float = 300) -> None:
    service.wait(f"{number} messages archived", lambda: done(archive) >= number, seconds)


def assert_one_effect_of_each_message(archive: Archive, numbers: Sequence[int]) -> None:
    assert {row["state"]: row["number"] for row in archive.query(TASKS)} == {"succeeded": len(numbers)}
    jobs = archive.query("SELECT sum(total) AS total, sum(open) AS open, sum(failed) AS failed FROM backfill_job")
    assert jobs == [{"total": len(numbers), "open": 0, "failed": 0}]
    versions = Counter(version.key for version in versions_in(archive.s3, archive.bucket))
    assert (len(versions), set(versions.values())) == (len(numbers), {1})
    told = {record.json["identity"]["idempotenceId"] for record in read_topic(archive.kafka, archive.events)}
    assert told == {expected(each) for each in numbers}
    assert read_topic(archive.kafka, archive.dead_letters) == []


def test_each_message_has_one_effect_after_kills_at_random_moments(
    make_archive: MakeArchive, scale: Scale, dice: random.Random
) -> None:
    (archive, topic), numbers = live_archive(make_archive), range(scale.live)
    with archive.service(constants=SHORT_SESSION) as service:
        with flowing(archive, topic, numbers):
            for count, delay in moments(dice, scale.kills, len(numbers)):
                wait_done(archive, service, count)
                time.sleep(delay)
                service.kill()
                service.start()
        wait_done(archive, service, len(numbers))
        settled(archive, service, topic)
    assert_one_effect_of_each_message(archive, numbers)
    checked = pas("verify", "--config", str(archive.config), timeout=900)
    assert checked.returncode == 0, checked.stdout


def settled(archive: Archive, service: Service, topic: str) -> None:
    """Waits until the flow has taken every record of the topic, those that came again too."""

    def all_committed() -> bool:
        offsets, ends = committed(archive.kafka, topic, f"{archive.group}-live")
        return offsets == ends

    service.wait("all live messages are committed", all_committed)


def test_a_process_joins_and_leaves_and_the_day_ends_in_the_middle(make_archive: MakeArchive, scale: Scale) -> None:
    """The jobs of yesterday end; what comes later, and what is in flight, is archived once."""
    (archive, topic), numbers = live_archive(make_archive), range(scale.live)
    with archive.service() as service, archive.service() as other:
        other.terminate()
        assert other.exit_code() == 0
        before, after = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        with flowing(archive, topic, before):
            wait_done(archive, service, len(before) // 3)
            other.start()
            wait_done(archive, service, len(before) // 2)
        archive.query("UPDATE backfill_job SET takes_until = now()")
        with flowing(archive, topic, after):
            wait_done(archive, service, len(before) + len(after) // 3)
            other.terminate()
            assert other.exit_code() == 0
        wait_done(archive, service, len(numbers))
        settled(archive, service, topic)
        ended = "SELECT count(*) AS number FROM backfill_job WHERE takes_until < now() AND state <> 'completed'"
        service.wait("the jobs of yesterday ended", lambda: archive.query(ended) == [{"number": 0}])
    days = archive.query("SELECT resolved_config_id, count(*) AS days FROM backfill_job GROUP BY 1")
    assert {row["days"] for row in days} == {2}
    assert_one_effect_of_each_message(archive, numbers)
