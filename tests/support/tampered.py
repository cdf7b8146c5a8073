"""Parts of the service whose calls are as they are, but for what a test puts in before, within or after them."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Act = BaseException | Callable[[], Awaitable[None]]
"""What happens there: an exception that is raised, or a function that is awaited."""


class Died(asyncio.CancelledError):
    """The process ended here. Nothing takes it for a failure that could be handled."""


class Life:
    """Whether a process still lives: once it died, no call of its parts arrives anywhere any more."""

    def __init__(self) -> None:
        self.is_over = False

    async def end(self) -> None:
        """The crash, as an act."""
        self.is_over = True
        raise Died

    def check(self) -> None:
        if self.is_over:
            raise Died


@dataclass
class _Planned:
    when: str
    act: Act
    which: Callable[..., bool]
    times: int


class Tampered:
    """Stands in the place of `inner`: coroutine methods and what was planned for them. `calls` counts them by name."""

    def __init__(self, inner: Any, life: Life) -> None:
        self.calls: Counter[str] = Counter()
        self._inner = inner
        self._life = life
        self._plans: dict[str, list[_Planned]] = {}

    def before(self, method: str, act: Act, *, which: Callable[..., bool] = lambda *_: True, times: int = 1) -> None:
        """`which` is asked with the arguments of a call; the plan holds for so many calls."""
        self._plans.setdefault(method, []).append(_Planned("before", act, which, times))

    def after(self, method: str, act: Act, *, which: Callable[..., bool] = lambda *_: True, times: int = 1) -> None:
        """The call has done its work, and its caller is not told."""
        self._plans.setdefault(method, []).append(_Planned("after", act, which, times))

    def within(self, method: str, act: Act, *, times: int = 1) -> None:
        """Of a transaction: its statements are done, and it is not committed. For `run` and `once` of a database."""
        self._plans.setdefault(method, []).append(_Planned("within", act, lambda *_: True, times))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*arguments: Any) -> Any:
            self._life.check()
            self.calls[name] += 1
            await self._act("before", name, arguments)
            if (within := self._due("within", name, arguments)) is not None:
                arguments = (_with(arguments[0], within), *arguments[1:])
            answer = await found(*arguments)
            await self._act("after", name, arguments)
            return answer

        return call

    async def _act(self, when: str, name: str, arguments: tuple[Any, ...]) -> None:
        if (planned := self._due(when, name, arguments)) is not None:
            await _do(planned.act)

    def _due(self, when: str, name: str, arguments: tuple[Any, ...]) -> _Planned | None:
        for planned in self._plans.get(name, []):
            if planned.when == when and planned.times > 0 and planned.which(*arguments):
                planned.times -= 1
                return planned
        return None


def _with(work: Callable[[Any], Awaitable[Any]], planned: _Planned) -> Callable[[Any], Awaitable[Any]]:
    async def both(connection: Any) -> Any:
        answer = await work(connection)
        await _do(planned.act)
        return answer

    return both


async def _do(act: Act) -> None:
    if isinstance(act, BaseException):
        raise act
    await act()
