"""What runs beside requests begins when its servers were seen and ends with a stop; where one part breaks, all end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from app.domain.errors import StartRefused, Unavailable
from app.domain.readiness import BROKER, DATABASE, OBJECT_STORE, Readiness
from app.process import supervision
from app.process.supervision import Supervision
from app.process.watch import Watch


@pytest.fixture(autouse=True)
def spared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In the place of a whole round of the collector, which takes 0.1 s."""
    calls: list[str] = []
    monkeypatch.setattr(supervision, "spare_the_collector", lambda: calls.append("spared"))
    return calls


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0)


class Part:
    """Stands for relay, command loop, reload and keys: notes what it was given, and ends as it is told."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        self.arguments: Any = None
        self.breaks: Exception | None = None
        self.lingers = False
        self.break_now = asyncio.Event()

    async def run(self, *arguments: Any, **more: Any) -> None:
        self.log.append(f"{self.name} begins")
        self.arguments = (arguments, more)
        stop = arguments[0] if arguments else asyncio.Event()
        try:
            waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(self.break_now.wait())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
            if self.breaks is not None:
                raise self.breaks
            if self.lingers:
                await asyncio.Event().wait()
            self.log.append(f"{self.name} ends")
        except asyncio.CancelledError:
            self.log.append(f"{self.name} is cancelled")
            raise

    async def end(self) -> None:
        self.log.append(f"{self.name} are brought to an end")
        if self.breaks is not None:
            raise self.breaks
        if self.lingers:
            await asyncio.Event().wait()


class World:
    def __init__(self, shutdown_timeout: float = 20) -> None:
        self.log: list[str] = []
        self.away: dict[str, Exception] = {}
        self.relay, self.work, self.reload, self.keys = (
            Part(self.log, name) for name in ("relay", "work", "reload", "keys")
        )
        self.failures, self.telling, self.rows = (Part([], name) for name in ("failures", "events", "rows"))
        self.readiness = Readiness((DATABASE, BROKER, OBJECT_STORE))
        watch = Watch(
            self.readiness,
            {each: self.look(each) for each in (DATABASE, BROKER, OBJECT_STORE)},
            refusal=StartRefused,
            soon=0,
        )
        self.stop = asyncio.Event()
        self.supervision = Supervision(
            watch,
            cast("Any", self.keys),
            [cast("Any", self.relay)],
            cast("Any", self.telling),
            [cast("Any", Part([], "proofs"))],
            cast("Any", self.work),
            cast("Any", self.reload),
            cast("Any", self.failures),
            [cast("Any", self.rows)],
            cast("Any", Part([], "waiting jobs")),
            None,
            shutdown_timeout,
            relays_forget=True,
        )

    def look(self, component: str) -> Callable[[], Awaitable[None]]:
        async def look() -> None:
            if component in self.away:
                raise self.away[component]

        return look

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.supervision.run(self.stop))
        yield task
        self.stop.set()
        await asyncio.wait({task})

    def begun(self) -> set[str]:
        return {line.split()[0] for line in self.log if line.endswith("begins")}


async def test_everything_begins_once_its_servers_were_seen_and_ends_with_the_stop(spared: list[str]) -> None:
    world = World()
    async with world.running() as task:
        await until(lambda: len(world.begun()) == 4)
    assert task.exception() is None
    assert {"relay ends", "work ends", "reload is cancelled"} <= set(world.log)
    assert world.relay.arguments == ((world.stop,), {"forgotten": True})
    assert spared == ["spared"]


async def test_failures_are_counted_from_when_the_database_was_seen_until_the_stop() -> None:
    world = World()
    world.away[DATABASE] = Unavailable("database", "away")
    async with world.running():
        await until(lambda: world.begun() == {"keys"})
        assert world.failures.log == []
        world.away.clear()
        await until(lambda: world.failures.log == ["failures begins"])
    assert world.failures.log == ["failures begins", "failures is cancelled"]


async def test_rows_of_the_process_are_kept_from_when_the_database_was_seen_and_ended_after_the_work() -> None:
    world = World()
    world.rows.log = world.log
    world.away[DATABASE] = Unavailable("database", "away")
    async with world.running():
        await until(lambda: world.begun() == {"keys"})
        world.away.clear()
        await until(lambda: "rows begins" in world.log)
        await until(lambda: "work begins" in world.log)
    assert world.log[-1] == "rows are brought to an end"
    assert {"rows is cancelled", "work ends"} <= set(world.log)


@pytest.mark.parametrize("failure", [Unavailable("database", "away"), None], ids=["away", "hangs"])
async def test_a_database_that_is_away_at_the_end_holds_up_no_stop(
    failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "LAST_ROWS", 0.01)
    world = World()
    async with world.running() as task:
        await until(lambda: len(world.begun()) == 4)
        world.rows.breaks, world.rows.lingers = failure, failure is None
    assert task.exception() is None
    assert world.rows.log[-1] == "rows are brought to an end"


async def test_a_process_that_breaks_leaves_its_rows() -> None:
    world = World()
    world.work.breaks = ZeroDivisionError("a bug")
    async with world.running() as task:
        await until(lambda: len(world.begun()) == 4)
        world.work.break_now.set()
        await asyncio.wait({task})
    assert "rows are brought to an end" not in world.rows.log


@pytest.mark.parametrize(
    ("away", "begun"),
    [
        (OBJECT_STORE, {"relay", "reload", "keys"}),
        (BROKER, {"reload", "keys"}),
        (DATABASE, {"keys"}),
    ],
)
async def test_what_needs_a_server_waits_for_it(away: str, begun: set[str]) -> None:
    world = World()
    world.away[away] = Unavailable(away, "connection refused")
    async with world.running():
        await until(lambda: world.begun() >= begun and away in world.readiness.problems)
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.begun() == begun
        assert world.readiness.problems[away] == "connection refused"
        world.away.clear()
        await until(lambda: len(world.begun()) == 4)


async def test_a_stop_before_anything_was_seen_ends_at_once() -> None:
    world = World()
    for component in (DATABASE, BROKER, OBJECT_STORE):
        world.away[component] = Unavailable(component, "connection refused")
    async with world.running() as task:
        await until(lambda: world.begun() == {"keys"})
    assert task.exception() is None
    assert world.begun() == {"keys"}


async def test_a_refusal_ends_everything_with_its_own_error() -> None:
    world = World()
    world.away[DATABASE] = StartRefused("the database is older")
    async with world.running() as task:
        await asyncio.wait({task})
    assert isinstance(task.exception(), StartRefused)
    assert str(task.exception()) == "the database is older"


@pytest.mark.parametrize("part", ["relay", "work", "reload", "keys"])
async def test_a_bug_in_one_part_ends_all_and_is_raised(part: str) -> None:
    world = World()
    broken: Part = getattr(world, part)
    broken.breaks = ZeroDivisionError("a bug")
    async with world.running() as task:
        await until(lambda: len(world.begun()) == 4)
        broken.break_now.set()
        await asyncio.wait({task})
    assert isinstance(task.exception(), ZeroDivisionError)
    assert sum(line.endswith("is cancelled") for line in world.log) == 3


async def test_keys_that_never_change_need_no_keeping() -> None:
    world = World()
    async with world.running() as task:
        await until(lambda: len(world.begun()) == 4)
        world.keys.break_now.set()
        await until(lambda: "keys ends" in world.log)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()


async def test_work_that_does_not_end_in_time_is_cut_off() -> None:
    world = World(shutdown_timeout=0.01)
    world.work.lingers = True
    async with world.running() as task:
        await until(lambda: len(world.begun()) == 4)
    assert task.exception() is None
    assert "work is cancelled" in world.log


@pytest.mark.parametrize(("timeout", "for_work"), [(30.0, 30 - 8.5), (4.0, 2.0)])
async def test_work_gets_most_of_the_shutdown_timeout(timeout: float, for_work: float) -> None:
    world = World(shutdown_timeout=timeout)
    async with world.running():
        await until(lambda: len(world.begun()) == 4)
    (_, seconds), _ = world.work.arguments
    assert for_work <= seconds < timeout
