"""Many messages to Kafka in few batches: one future for each batch in the place of one for each message."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from app.broker import Message
from app.broker.kafka_connection import ProducerConnection
from app.broker.kafka_errors import FATAL, TOO_LARGE
from app.broker.kafka_options import reason_of
from app.broker.kafka_partitioner import partition_of


class BatchedSends:
    """Messages with a key, to topics that exist; each under its position among all that are sent.

    `sent` has the positions of those that were acknowledged so far, `small` the topics that refused a batch of
    several for its size.
    """

    def __init__(self, connection: ProducerConnection, messages: Mapping[int, Message]) -> None:
        self.sent: set[int] = set()
        self.small: set[str] = set()
        self._connection = connection
        self._messages = messages

    async def run(self) -> None:
        """Returns when each batch is acknowledged or has failed. Raises Unavailable without a producer."""
        producer = await self._connection.producer()
        placed: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for at, message in self._messages.items():
            partitions = producer.client.cluster.partitions_for_topic(message.topic)
            if partitions and message.key is not None:
                placed[message.topic, partition_of(message.key, sorted(partitions), ())].append(at)
        await asyncio.gather(*(self._to_partition(producer, *place, of) for place, of in placed.items()))

    async def _to_partition(self, producer: AIOKafkaProducer, topic: str, partition: int, of: Sequence[int]) -> None:
        positions: Sequence[int] = ()
        try:
            for batch, positions in self._batches(producer, of):
                await self._connection.acknowledged(await producer.send_batch(batch, topic, partition=partition))
                self.sent.update(positions)
        except (*FATAL, *TOO_LARGE) as error:  # a refused batch has used up sequence numbers
            self._connection.replace(producer, reason_of(error))
            if isinstance(error, TOO_LARGE) and len(positions) > 1:
                self.small.add(topic)
        except KafkaError:
            return

    def _batches(self, producer: AIOKafkaProducer, of: Sequence[int]) -> Iterator[tuple[BatchBuilder, list[int]]]:
        """Batches as large as the producer makes them, with the positions of their messages."""
        rest = list(of)
        while rest:
            batch, taken = producer.create_batch(), 0
            for at in rest:
                message = self._messages[at]
                headers = list(message.headers)
                if batch.append(key=message.key, value=message.value, timestamp=None, headers=headers) is None:
                    break
                taken += 1
            if not taken:
                return  # no batch takes it: it is sent alone
            batch.close()
            yield batch, rest[:taken]
            rest = rest[taken:]
