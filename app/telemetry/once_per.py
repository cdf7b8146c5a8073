"""Decides whether a repeated message is logged again: once in a while."""

import time
from collections.abc import Hashable

_MOST_KEYS = 1000
"""Clocks that are kept; when there are more all begin anew."""


class OncePer:
    """`if outage("database"): log.warning(…)`: true once in `seconds`. Each key has its own clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: dict[Hashable, float] = {}

    def __call__(self, key: Hashable = None) -> bool:
        now = time.monotonic()
        last = self._last.get(key)
        if last is not None and now - last < self._seconds:
            return False
        if len(self._last) >= _MOST_KEYS:
            self._last.clear()
        self._last[key] = now
        return True
