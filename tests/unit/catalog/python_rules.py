"""Functions that archive type configurations of the tests name, and things that are none."""

from collections.abc import AsyncIterator
from typing import Any

NUMBER = 7


def takes_the_message(message: dict[str, Any]) -> Any:
    return message["id"]


def takes_two(message: Any, more: Any) -> Any:
    return message, more


async def waits(message: Any) -> Any:
    return message


async def many(message: Any) -> AsyncIterator[Any]:
    yield message


class Rules:
    @staticmethod
    def keep(message: dict[str, Any]) -> bool:
        return bool(message)
