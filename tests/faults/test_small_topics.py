"""Topics whose `max.message.bytes` is too small for some of what is sent: it waits, named, and all else goes on."""

from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.faults.making import MakeArchive, references
from tests.servers import Kafka
from tests.servers.process import run_sync
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.records import committed, read_topic, write_topic

LONG = [f"{'x' * 500}-{number}" for number in range(30)]
SHORT = references(30)

SOON = {
    "app.messaging.relay:LEASE": 5.0,
    "app.messaging.relay:OWE_AGAIN_EVERY": 3.0,
    "app.archiver.announce:REFUSED_PAUSE": 3.0,
    "app.broker.kafka_producer:REMEMBERED": 3.0,
    "app.outages:LONGEST_PAUSE": 1.0,
}
"""Seconds until what a topic refused is sent again, in the place of 30, 30, 60, 10 and 5."""


def set_most(kafka: Kafka, topic: str, most: int) -> None:
    """What an operator does about it."""

    async def alter() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            configs = {"max.message.bytes": str(most)}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
        finally:
            await admin.close()

    run_sync(alter())


def all_committed(archive: Archive) -> bool:
    offsets, ends = committed(archive.kafka, archive.commands, archive.group)
    return offsets == ends


def test_commands_and_dead_letters_that_are_too_large_wait_for_their_topic(make_archive: MakeArchive) -> None:
    archive, large, small = make_archive(make=("database", "bucket")), uuid4(), uuid4()
    kafka = archive.kafka
    kafka.create_topic(archive.commands, 2, {"max.message.bytes": "1300"})
    kafka.create_topic(archive.dead_letters, 1, {"max.message.bytes": "500"})
    kafka.create_topic(archive.events)
    topic, letters = f"topic {archive.commands}", f"topic {archive.dead_letters}"
    with archive.service(constants=SOON) as service:
        service.submit(large, unversioned(*LONG))
        service.wait("the command topic is named", lambda: "max.message.bytes" in service.problem(topic))
        write_topic(kafka, archive.commands, [(b"k", b"garbage" * 100, [])], 0)
        service.wait("the dead letter topic is named", lambda: "max.message.bytes" in service.problem(letters))
        service.submit(small, unversioned(*SHORT))
        assert_all_succeeded(service.wait_completed(small), SHORT)
        assert service.problem(topic)
        assert service.problem(letters)
        assert service.job(large)["counts"]["open"] == len(LONG)
        offsets, ends = committed(kafka, archive.commands, archive.group)
        assert offsets[0] < ends[0], "the offset of a record counts once its dead letter is acknowledged"

        set_most(kafka, archive.dead_letters, 1_000_000)
        service.wait("the dead letter is there", lambda: len(read_topic(kafka, archive.dead_letters)) == 1, 30)
        service.wait("and its topic is well", lambda: not service.problem(letters), 5)
        set_most(kafka, archive.commands, 1_000_000)
        assert_all_succeeded(service.wait_completed(large, 60), LONG)
        service.wait("all is committed", lambda: all_committed(archive))


def test_events_that_are_too_large_wait_for_their_topic(make_archive: MakeArchive) -> None:
    archive, job = make_archive(make=("database", "bucket")), uuid4()
    kafka = archive.kafka
    kafka.create_topic(archive.commands, 2)
    kafka.create_topic(archive.dead_letters)
    kafka.create_topic(archive.events, 1, {"max.message.bytes": "2000"})
    topic = f"topic {archive.events}"
    with archive.service(constants=SOON) as service:
        service.submit(job, unversioned(*LONG[:5], *SHORT))
        service.wait_counts(job, succeeded=len(SHORT))
        service.wait("the event topic is named", lambda: "max.message.bytes" in service.problem(topic))
        assert service.job(job)["counts"] | {"failed": 0, "open": 5} == service.job(job)["counts"]
        set_most(kafka, archive.events, 1_000_000)
        assert_all_succeeded(service.wait_completed(job, 90), [*LONG[:5], *SHORT])
