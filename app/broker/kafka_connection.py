"""The one idempotent producer of a process: connected in the background, replaced when it is broken."""

import asyncio
import contextlib
import logging
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, ProducerClosed

from app.broker.kafka_options import KafkaOptions, client_arguments, ended, reason_of, why_unreachable
from app.broker.kafka_partitioner import partition_of
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER
from app.telemetry.once_per import OncePer

log = logging.getLogger(__name__)

BATCH_SIZE = 65_536
"""Bytes of a batch. A larger one has a single message, so a refusal for its size is about that very message."""

CONNECT_SECONDS = 2.0
"""How long a send waits for a first or new connection."""

STOP_SECONDS = 5.0

CLOSE_SECONDS = 1.0
"""For the last producer: who sends has waited for the acknowledgement, so nothing that counts is pending."""


class ProducerConnection:
    """Holds the producer in use, or the reason why there is none."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._arguments = client_arguments(options)
        self._current: AIOKafkaProducer | None = None
        self._ready = asyncio.Event()
        self._connector: asyncio.Task[None] | None = None
        self._discards: set[asyncio.Task[None]] = set()
        self._reason = "not connected yet"
        self._log_due = OncePer(30.0)
        self.pending: set[asyncio.Future[Any]] = set()
        """Sends that wait for an acknowledgement; they get ProducerClosed when the producer is replaced."""

    def connect(self) -> None:
        """Connects in the background and keeps trying."""
        if self._connector is None or self._connector.done():
            self._ready.clear()
            self._connector = asyncio.create_task(self._connect(), name="kafka-producer-connect")

    async def producer(self, timeout: float = CONNECT_SECONDS) -> AIOKafkaProducer:
        """The producer in use. Raises Unavailable with the reason when there is none after `timeout` seconds."""
        if self._current is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._ready.wait()
        if self._current is None:
            raise Unavailable(BROKER, self._reason)
        return self._current

    def replace(self, broken: AIOKafkaProducer, reason: str) -> None:
        """Opens a new producer, unless another send did so already; sends that wait for the broken one fail."""
        if broken is not self._current:
            return
        log.warning("Kafka producer is replaced: %s", reason, extra={"component": BROKER})
        self._current = None
        self._reason = reason
        pending, self.pending = self.pending, set()
        for future in pending:
            if not future.done():
                future.set_exception(ProducerClosed())
        discard = asyncio.create_task(_discard(broken))
        self._discards.add(discard)
        discard.add_done_callback(self._discards.discard)
        self.connect()

    async def acknowledged(self, batch: "asyncio.Future[Any]") -> None:
        """Returns when the batch of a `send_batch` is acknowledged. Raises what made it fail, or ProducerClosed.

        Who waits no longer leaves nobody to whom the client could tell an error: it is taken note of here.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(batch: "asyncio.Future[Any]") -> None:
            error = ProducerClosed() if batch.cancelled() else batch.exception()
            if waiter.done():
                return
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

        batch.add_done_callback(done)
        await self.answered(waiter)

    async def answered(self, sent: "asyncio.Future[Any]") -> None:
        """Waits for the future of a send. Raises what made it fail, or ProducerClosed."""
        self.pending.add(sent)
        try:
            await sent
        finally:
            self.pending.discard(sent)

    async def close(self) -> None:
        """Ends the producer, without waiting long for a broker that is away."""
        if self._connector is not None:
            self._connector.cancel()
            await asyncio.gather(self._connector, return_exceptions=True)
        current, self._current = self._current, None
        if current is not None:
            await _discard(current, CLOSE_SECONDS)
        for discard in self._discards:
            discard.cancel()
        await asyncio.gather(*self._discards, return_exceptions=True)

    async def _connect(self) -> None:
        pause = 0.2
        while True:
            producer = AIOKafkaProducer(
                **self._arguments,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=BATCH_SIZE,
                # the size is compared before, with a text that names the topic
                max_request_size=2 * self._options.max_request_size,
                compression_type=self._options.compression,
                partitioner=partition_of,
            )
            try:
                await producer.start()
            except asyncio.CancelledError:
                await _discard(producer)
                raise
            except Exception as error:  # whatever it is, the next try may succeed, and nobody else would try again
                await _discard(producer)
                is_unreachable = isinstance(error, KafkaConnectionError)
                self._reason = await why_unreachable(self._arguments) if is_unreachable else reason_of(error)
                if self._log_due(self._reason):
                    log.warning("no Kafka broker: %s", self._reason, extra={"component": BROKER})
            else:
                self._current = producer
                self._ready.set()
                log.info("connected to Kafka", extra={"component": BROKER})
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)


async def _discard(producer: AIOKafkaProducer, seconds: float = STOP_SECONDS) -> None:
    """Stops a producer. Its own `stop` waits without end for a broker that is away."""
    if await ended(producer.stop(), seconds):
        return
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    await ended(producer.client.close(), seconds)
