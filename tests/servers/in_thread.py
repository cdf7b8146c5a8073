"""A small HTTP server in a thread of the test, for stores that misbehave."""

import asyncio
import threading
from abc import ABC, abstractmethod
from typing import Self

from tests.servers.http import Answer, Request, serving


class InThread(ABC):
    """Serves while its `with` block lasts."""

    def __init__(self) -> None:
        self.port = 0
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with serving(self._answer) as port:
            self.port = port
            self._started.set()
            await self._end.wait()

    @abstractmethod
    def _answer(self, request: Request) -> Answer: ...
