"""A PUT of many references beside what it cannot do without: the events of its YAML, and a bare COPY of its rows."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from yaml import CSafeLoader
from yaml.events import ScalarEvent, StreamEndEvent

from bench.machine import until_quiet
from bench.service import body_of
from bench.world import WARM_UP, World

COLUMNS = ("job_id", "position", "reference_key", "reference_id", "reference_version")
TABLE = "floor_task"


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds: of the PUT until its answer; of the events alone; of the COPY until its commit."""

    put: float
    events: float
    copy: float

    @property
    def ratio(self) -> float:
        return self.put / (self.events + self.copy)


async def submissions(
    servers: World, store: str, count: int, repetitions: int, patience: float, ids: Callable[[int], list[str]]
) -> dict[str, Any]:
    """By turns, on the database of the service. Each job is paused once it is accepted: nothing else runs then."""
    found: list[Round] = []
    async with servers.service(store, 64, traces=True) as client:
        await client.measure(ids(WARM_UP))
        database = await asyncpg.connect(client.service.database_url)
        # INCLUDING ALL: with its indexes and conditions; foreign keys are not among them.
        await database.execute(f"CREATE TABLE {TABLE} (LIKE backfill_task INCLUDING ALL)")
        for _ in range(repetitions):
            await until_quiet(patience)
            names = ids(count)
            started = time.perf_counter()
            job_id = await client.submit(names)
            put = time.perf_counter() - started
            await client.pause(job_id)
            await until_quiet(patience)
            body = body_of(names)
            started = time.perf_counter()
            read = _scalars(body)
            events = time.perf_counter() - started
            if read < count:
                raise RuntimeError(f"{read} scalars of {count} references")
            started = time.perf_counter()
            await database.copy_records_to_table(TABLE, records=_rows(names), columns=COLUMNS)
            found.append(Round(put, events, time.perf_counter() - started))
        await database.close()
    put, events, copy = (median(getattr(each, part) for each in found) for part in ("put", "events", "copy"))
    print(f"\nA PUT of {count:,} references (medians of {repetitions} alternating runs)\n")
    print("| PUT | YAML events | bare COPY | PUT ÷ both | rounds |\n|---|---|---|---|---|")
    ratios = sorted(each.ratio for each in found)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"| {put:.2f} s | {events:.2f} s | {copy:.2f} s | {median(ratios):.2f} | {spread} |", flush=True)
    return {"rounds": [asdict(each) for each in found]}


def _scalars(body: bytes) -> int:
    parser, seen = CSafeLoader(BytesIO(body)), 0
    while type(event := parser.get_event()) is not StreamEndEvent:
        seen += type(event) is ScalarEvent
    return seen


def _rows(names: list[str]) -> Iterator[tuple[UUID, int, UUID, str, None]]:
    job_id = uuid4()
    for position, name in enumerate(names):
        yield job_id, position, UUID(int=random.getrandbits(128)), name, None
