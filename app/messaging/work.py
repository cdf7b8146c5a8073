"""Work: the handling of one command, as an object that is run in a slot, put back or forgotten."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable

from typing_extensions import override

from app.messaging.slot_policy import PUTTING_BACK

Free = Callable[[], None]
"""Gives back the slot of a piece of work before the work ends: what is left to do asks neither source nor store."""


class Work(ABC):
    """The handling of one command.

    `lane` is the source that the work will ask, `turn` the job or run that it belongs to.
    """

    __slots__ = ()

    lane: str
    turn: Hashable

    @property
    def is_urgent(self) -> bool:
        """Whether it starts before the other work of its lane: what messages name; a job of a person can wait."""
        return False

    @abstractmethod
    async def run(self, free: Free) -> None:
        """Does the work; returns once its command is settled. When cancelled, it tries to put its task back."""

    @property
    def can_be_put_back(self) -> bool:
        """Whether `put_back` may be called."""
        return False

    async def put_back(self, seconds: float) -> None:
        """Settles the command of work that was not started: the command is published again, after so many seconds or
        later."""
        raise NotImplementedError

    @property
    def is_void(self) -> bool:
        """True once the partition of the command was revoked: the next owner of the partition gets the command."""
        return False


class PuttingBack(Work):
    """Puts work back for some seconds instead of doing it; asks only the database."""

    __slots__ = ("_seconds", "_work", "turn")

    lane = PUTTING_BACK

    def __init__(self, work: Work, seconds: float) -> None:
        self.turn = work.turn
        self._work = work
        self._seconds = seconds

    @override
    async def run(self, free: Free) -> None:
        await self._work.put_back(self._seconds)

    @override
    @property
    def is_void(self) -> bool:
        return self._work.is_void
