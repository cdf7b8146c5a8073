"""The live flow: messages a second beside references of a backfill, and the time from a message to its event."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.service import MESSAGE, TOPIC, Client, Measured, cpu_seconds
from bench.world import World

EVERY = 0.05
"""Seconds between two messages whose time is taken."""

FIRST = 60.0
"""Seconds that the service may take until it archives the first message."""


@dataclass
class Latencies:
    """Seconds from the send of a message to its event."""

    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Messages:
    """Sends messages of the live topic, and sees the events that come of them."""

    def __init__(self, client: Client, producer: AIOKafkaProducer, events: AIOKafkaConsumer) -> None:
        self._client = client
        self._producer = producer
        self._events = events
        self._sent: dict[str, float] = {}
        self._announced: dict[str, float] = {}

    @classmethod
    @asynccontextmanager
    async def of(cls, servers: World, client: Client) -> AsyncIterator["Messages"]:
        kafka = servers.kafka.bootstrap
        producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", linger_ms=2)
        events = AIOKafkaConsumer(client.service.topics[2], bootstrap_servers=kafka, auto_offset_reset="earliest")
        await producer.start()
        await events.start()
        messages = cls(client, producer, events)
        watching = asyncio.create_task(messages._watch())
        try:
            yield messages
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await events.stop()
            await producer.stop()

    async def warm_up(self, ids: Sequence[str]) -> None:
        """Messages until the first one is archived: a topic that is new begins behind its last record."""
        deadline = time.monotonic() + FIRST
        for id_ in ids:
            await self._send(id_)
            await asyncio.sleep(0.2)
            if self._announced:
                return
            if time.monotonic() > deadline:
                break
        raise TimeoutError(f"no message was archived\n{self._client.service.log_tail(5)}")

    async def measure(self, ids: Sequence[str]) -> Measured:
        """From before the first message until the last event, all messages sent at once."""
        cpu, cpu_children = cpu_seconds(self._client.service.pid)
        started = time.perf_counter()
        await asyncio.gather(*map(self._send, ids))
        await self._archived(ids)
        wall = time.perf_counter() - started
        await asyncio.sleep(0.2)
        cpu_after, cpu_children_after = cpu_seconds(self._client.service.pid)
        return Measured(len(ids), wall, cpu_after - cpu, cpu_children_after - cpu_children)

    async def latencies(self, ids: Sequence[str]) -> Latencies:
        """One message after the other, at a steady rate."""
        for id_ in ids:
            await self._send(id_)
            await asyncio.sleep(EVERY)
        await self._archived(ids)
        return Latencies([self._announced[id_] - self._sent[id_] for id_ in ids])

    async def _archived(self, ids: Sequence[str], timeout: float = 300) -> None:
        deadline = time.monotonic() + timeout
        while missing := [id_ for id_ in ids if id_ not in self._announced]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(missing)} events are missing\n{self._client.service.log_tail(5)}")
            await asyncio.sleep(0.02)

    async def _send(self, id_: str) -> None:
        message = {
            "identity": {"idempotenceId": f"message-{id_}"},
            "type": {"name": MESSAGE, "version": "1.0.0"},
            "references": {"record": {"id": id_}},
            "processId": id_,
        }
        self._sent[id_] = time.perf_counter()
        await self._producer.send_and_wait(TOPIC, json.dumps(message).encode(), key=id_.encode())

    async def _watch(self) -> None:
        async for record in self._events:
            process = json.loads(record.value)["processId"]
            self._announced.setdefault(process, time.perf_counter())


async def live(servers: World, store: str, tasks: int, repetitions: int, large: int) -> dict[str, Any]:
    """Backfill and live flow by turns in one service; then the time to the event, alone and beside a job."""
    numbers = iter(range(1_000_000_000))

    def ids(count: int) -> list[str]:
        run = next(numbers)
        return [f"PSF-L{run}-{number:06}" for number in range(count)]

    await asyncio.to_thread(servers.kafka.create_topic, TOPIC, 8)
    async with servers.service(store, 64, traces=True, live=True) as client, Messages.of(servers, client) as messages:
        await messages.warm_up(ids(300))
        await client.measure(ids(600))
        await messages.measure(ids(600))
        backfill: list[Measured] = []
        flow: list[Measured] = []
        for _ in range(repetitions):
            backfill.append(await client.measure(ids(tasks)))
            flow.append(await messages.measure(ids(tasks)))
        alone = await messages.latencies(ids(500))
        job_id = await client.submit(ids(large))
        beside = await messages.latencies(ids(500))
        left = await client.open_tasks(job_id)
    _print(store, backfill, flow)
    print(f"\n| from a message to its event | p50 | p99 |\n|---|---|---|\n{_line('alone', alone)}")
    print(_line(f"while a job of {large:,} runs ({left:,} of it open at the end)", beside), flush=True)
    return {
        "backfill": [asdict(each) for each in backfill],
        "live": [asdict(each) for each in flow],
        "alone": alone.seconds,
        "beside": beside.seconds,
    }


def _print(store: str, backfill: Sequence[Measured], flow: Sequence[Measured]) -> None:
    rate = statistics.median(m.rate / b.rate for m, b in zip(flow, backfill, strict=True))
    cost = statistics.median(m.cost / b.cost for m, b in zip(flow, backfill, strict=True))
    print(f"\nLive flow beside backfill ({store}, 64, traces on; medians of {len(flow)} alternating runs)\n")
    print("| run | CPU/task | tasks/s | CPU ÷ backfill | rate ÷ backfill |\n|---|---|---|---|---|")
    for name, measured, ratios in (("backfill", backfill, (1.0, 1.0)), ("live", flow, (cost, rate))):
        cpu, pace = (statistics.median(getattr(m, of) for m in measured) for of in ("cost", "rate"))
        print(f"| {name} | {cpu:.0f} µs | {pace:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def _line(what: str, found: Latencies) -> str:
    return f"| {what} | {found.quantile(0.5):.2f} s | {found.quantile(0.99):.2f} s |"
