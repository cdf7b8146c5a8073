"""What the tests of this folder share beside fixtures."""

from typing import Any, Protocol

from tests.support.archive import Archive


class MakeArchive(Protocol):
    def __call__(self, **arguments: Any) -> Archive: ...


def references(number: int) -> list[str]:
    return [f"ref-{each}" for each in range(number)]
