"""The rate limit, with a clock that only sleeping moves."""

import asyncio

from app.verify.read_rate import ReadRate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_no_more_than_the_rate_is_read() -> None:
    clock = Clock()
    pace = ReadRate(1000, clock, clock.sleep)
    for _ in range(50):
        await pace.take(200)
    assert abs(clock.now - 110.0) < 1e-6


async def test_all_readers_share_one_rate() -> None:
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    pace = ReadRate(1000, lambda: 0.0, sleep)
    await asyncio.gather(*(pace.take(500) for _ in range(4)))
    assert asked == [0.5, 1.0, 1.5, 2.0]


async def test_time_that_nobody_used_is_not_saved_up() -> None:
    clock = Clock()
    pace = ReadRate(100, clock, clock.sleep)
    await pace.take(100)
    clock.now += 3600
    await pace.take(100)
    assert clock.now == 100 + 1 + 3600 + 1


async def test_without_a_rate_nothing_waits() -> None:
    async def never(_seconds: float) -> None:
        raise AssertionError

    await ReadRate(None, sleep=never).take(1 << 40)
