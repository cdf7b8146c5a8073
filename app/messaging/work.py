"""Work: what one command in hand still needs, as an object that is run in a slot, put back or forgotten."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable

from typing_extensions import override

from app.messaging.slot_policy import PUTTING_BACK

Free = Callable[[], None]
"""Gives the slot of a piece of work back before the work ends: what is left asks neither source nor store."""


class Work(ABC):
    """One command in hand. `lane` is the source that the work will ask, `turn` the job or run that it belongs to."""

    __slots__ = ()

    lane: str
    turn: Hashable

    @abstractmethod
    async def run(self, free: Free) -> None:
        """Does the work; returns once its command is settled. Cancelled, it puts its task back where it can."""

    @property
    def can_be_put_back(self) -> bool:
        """Whether `put_back` may be called."""
        return False

    async def put_back(self, seconds: float) -> None:
        """Settles the command of work that was not started: it is published again, not before so many seconds."""
        raise NotImplementedError

    @property
    def is_void(self) -> bool:
        """True once the partition of the command was taken away: its next owner gets the command."""
        return False


class PuttingBack(Work):
    """Work that is put back for some seconds instead of being done; this asks the database only."""

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
