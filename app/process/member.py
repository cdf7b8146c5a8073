"""One of several equal processes: what its parent gives it, what it tells its parent, how it sees that this is gone."""

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from typing_extensions import override

OPTION = "--member"
"""The hidden option of `pas serve` with which a parent starts its processes."""


@dataclass(frozen=True, slots=True)
class Member:
    """`number` counts from 1 and stays with the place of a process: the one that is started again has it too."""

    number: int
    count: int
    listener: int
    """Descriptor of the socket that all accept from."""
    lifeline: int
    """Descriptor of a pipe whose other end only the parent holds."""
    report: int
    """Descriptor of a pipe that takes what the parent prints once this process listens."""
    directory: Path
    """For sockets; only these processes may look into it."""

    @override
    def __str__(self) -> str:
        numbers = (self.number, self.count, self.listener, self.lifeline, self.report)
        return ":".join([*map(str, numbers), str(self.directory)])

    @classmethod
    def of(cls, text: str) -> Self:
        """The member that `str` wrote. Raises ValueError."""
        *numbers, directory = text.split(":", 5)
        number, count, listener, lifeline, report = map(int, numbers)
        return cls(number, count, listener, lifeline, report, Path(directory))

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(each for each in range(1, self.count + 1) if each != self.number)

    def take(self) -> socket.socket:
        """The socket to accept from. No process that this one starts gets it, nor the pipes."""
        for descriptor in (self.listener, self.lifeline, self.report):
            os.set_inheritable(descriptor, False)
        return socket.socket(fileno=self.listener)

    def tell(self, text: str) -> None:
        """Tells the parent, once, that this process listens, with what a person shall read."""
        with contextlib.suppress(BrokenPipeError), os.fdopen(self.report, "w") as report:
            report.write(text)

    @property
    def has_parent(self) -> bool:
        ended = select.poll()
        ended.register(self.lifeline, select.POLLIN)
        return not ended.poll(0)

    def watch_parent(self, gone: Callable[[], None]) -> None:
        """Calls `gone` once the parent has ended, however it did."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self.lifeline)
            gone()

        loop.add_reader(self.lifeline, ended)
