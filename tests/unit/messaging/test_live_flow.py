"""The loop over the live topics: it ends and begins anew when other topics are configured."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from app.broker import Consumer
from app.messaging import live_flow
from app.messaging.consumer import CommandLoop
from app.messaging.live_flow import LiveFlow, LiveLoop
from app.messaging.live_messages import LiveReceiver
from app.telemetry.metrics import REGISTRY
from tests.unit.messaging.fakes import until


class Loop:
    """Stands for the loop and for its consumer."""

    def __init__(self, topics: frozenset[str], breaks: Exception | None) -> None:
        self.topics = topics
        self.ended = False
        self.behind = 3
        self.breaks = breaks

    async def run(self, stop: asyncio.Event, shutdown_timeout: float) -> None:
        assert shutdown_timeout == 5
        if self.breaks is not None:
            raise self.breaks
        await stop.wait()
        self.ended = True

    def lag(self) -> Mapping[str, int]:
        return dict.fromkeys(self.topics, self.behind)


class World:
    def __init__(self, *topics: str, breaks: Exception | None = None) -> None:
        self.topics = frozenset(topics)
        self.loops: list[Loop] = []
        self.stop = asyncio.Event()
        self.breaks = breaks
        self.flow = LiveFlow(cast("LiveReceiver", self), lambda: self.topics, self.begin)

    def begin(self, topics: frozenset[str]) -> LiveLoop:
        self.loops.append(Loop(topics, self.breaks))
        return LiveLoop(cast("CommandLoop", self.loops[-1]), cast("Consumer", self.loops[-1]))

    def age(self, topic: str) -> float:
        return 12.0


def lag(topic: str) -> list[Any]:
    return [REGISTRY.get_sample_value(f"pas_live_lag_{name}", {"topic": topic}) for name in ("messages", "seconds")]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_flow, "LOOK_EVERY", 0.001)


async def test_it_consumes_the_topics_until_the_stop() -> None:
    world = World("a", "b")
    running = asyncio.create_task(world.flow.run(world.stop, 5))
    await until(lambda: lag("a") == [3, 12])
    world.loops[0].behind = 0
    await until(lambda: lag("b") == [0, 0])
    world.stop.set()
    await running
    assert [(loop.topics, loop.ended) for loop in world.loops] == [(frozenset({"a", "b"}), True)]


async def test_new_topics_begin_a_new_loop_and_removed_ones_are_measured_no_more() -> None:
    world = World("c")
    running = asyncio.create_task(world.flow.run(world.stop, 5))
    await until(lambda: lag("c") == [3, 12])
    world.topics = frozenset({"d"})
    await until(lambda: lag("d") == [3, 12])
    assert world.loops[0].ended
    assert lag("c") == [None, None]
    world.stop.set()
    await running


async def test_without_live_types_it_waits_for_the_first() -> None:
    world = World()
    running = asyncio.create_task(world.flow.run(world.stop, 5))
    await asyncio.sleep(0.01)
    assert not world.loops
    world.topics = frozenset({"e"})
    await until(lambda: world.loops)
    world.stop.set()
    await running


async def test_what_breaks_in_the_loop_is_raised() -> None:
    world = World("f", breaks=ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await world.flow.run(world.stop, 5)
