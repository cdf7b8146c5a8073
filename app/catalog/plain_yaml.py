"""Makes plain Python values of what the YAML reader returns, whose texts and numbers remember how they were written."""

import math
from collections.abc import Mapping
from typing import Any

from ruamel.yaml.scalarbool import ScalarBoolean

from app.domain.live_rules import Scalar

MAX_DEPTH = 50


class NotPlainYaml(Exception):
    """A value that JSON has no word for; `place` is where it is, like `.items[0]`."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(problem)
        self.place = place
        self.problem = problem


def plain_scalar(value: Any, place: str = "") -> Scalar | None:
    """Raises NotPlain for what is neither text, number, true, false nor null."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, ScalarBoolean):
        return bool(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    kind = "a list" if isinstance(value, list) else "an object" if isinstance(value, Mapping) else "no JSON value"
    raise NotPlainYaml(place, f"is {kind}; it must be text (dates in quotes), a number, true or false")
