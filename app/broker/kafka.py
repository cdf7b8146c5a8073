"""The broker on Kafka: one producer, one group member per consumer; finds topics and creates them where allowed."""

import asyncio
import logging
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from app.broker import Beginnings, Consumer, Message
from app.broker.kafka_connection import ProducerConnection
from app.broker.kafka_consumer import KafkaConsumer
from app.broker.kafka_options import KafkaOptions, client_arguments, reason_of
from app.broker.kafka_producer import Producer
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER
from app.telemetry.once_per import OncePer

log = logging.getLogger(__name__)

START_SECONDS = 2.0
"""How long `start` waits for the first connection, so that a service beside a running broker starts with one."""

LOOK_SECONDS = 10.0

__all__ = ["KafkaBroker", "KafkaOptions"]


class KafkaBroker:
    """Made and used within one event loop."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._connection = ProducerConnection(options)
        self._producer = Producer(options, self._connection)
        self._log_due = OncePer(30.0)

    async def start(self) -> None:
        """Connects; returns also when no broker can be reached yet, and goes on trying in the background."""
        self._connection.connect()
        try:
            await self._connection.producer(START_SECONDS)
        except Unavailable as unavailable:
            log.warning("started without Kafka: %s", unavailable.reason, extra={"component": BROKER})

    async def send(self, message: Message) -> None:
        """See Broker. Bounded by `send_timeout`."""
        await self._producer.send(message)

    async def send_all(self, messages: Sequence[Message]) -> Sequence[BaseException | None]:
        """See Broker. Bounded by twice the `send_timeout`."""
        return await self._producer.send_all(messages)

    def consumer(self, topics: Sequence[str], group: str, beginnings: Beginnings | None = None) -> Consumer:
        return KafkaConsumer(self._options, topics, group, beginnings)

    async def missing_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Which of these do not exist, or may not be seen; made first where the options allow it."""
        producer = await self._connection.producer()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                cluster = await producer.client.fetch_all_metadata()
                missing = [topic for topic in topics if topic not in cluster.topics()]
                if missing and self._options.create_topics:
                    missing = await self._create(missing)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(BROKER, f"topics cannot be listed: {reason_of(error)}") from error
        return missing

    async def close(self) -> None:
        await self._connection.close()

    async def _create(self, topics: Sequence[str]) -> list[str]:
        """Creates topics with the broker's default replication; returns those that the broker refuses, which are
        logged."""
        admin = AIOKafkaAdminClient(**client_arguments(self._options))
        refused = []
        try:
            await admin.start()
            # -1 is the broker's default; aiokafka takes it only beside an assignment, which may be empty
            wanted = [NewTopic(topic, self._options.create_partitions, -1, replica_assignments={}) for topic in topics]
            answer = await admin.create_topics(wanted)
            for topic, code, *message in answer.topic_errors:
                error = for_code(code)
                if code == 0:
                    log.info("topic %s was made", topic, extra={"component": BROKER})
                elif error is not TopicAlreadyExistsError:  # another process may have been faster
                    refused.append(topic)
                    if self._log_due(topic):
                        reason = (message[0] if message else None) or error.__name__
                        log.warning("topic %s cannot be made: %s", topic, reason, extra={"component": BROKER})
        finally:
            await admin.close()
        return refused
