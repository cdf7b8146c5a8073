"""Functions of live archive types in the tests; `RETURNS` is what `given` returns next."""

import sys
import threading
from typing import Any

RETURNS: list[Any] = []
SEEN: list[Any] = []
RELEASED = threading.Event()
"""What `hangs` waits for."""


def given(message: dict[str, Any]) -> Any:
    SEEN.append(message)
    return RETURNS[-1]


def spoils(message: dict[str, Any]) -> Any:
    message["references"]["decree"]["id"] = "spoiled"
    message.clear()
    return True


def fails(message: dict[str, Any]) -> Any:
    return _deeper(message)["secret"]


def _deeper(message: dict[str, Any]) -> Any:
    raise KeyError(message["references"]["decree"]["id"])


def elsewhere(message: dict[str, Any]) -> Any:
    return int(str(message) + "x")


def leaves(message: dict[str, Any]) -> Any:
    sys.exit(str(message))


def hangs(message: dict[str, Any]) -> Any:
    if message["identity"]["idempotenceId"].startswith("hangs"):
        RELEASED.wait(60)
    return True
