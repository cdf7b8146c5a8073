"""Reads YAML with all digits of its numbers, and makes plain Python values of what the reader returns, whose texts and
numbers remember how they were written."""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.scalarbool import ScalarBoolean
from typing_extensions import override

from app.domain.live_rules import Scalar

MAX_DEPTH = 50


class _ExactConstructor(RoundTripConstructor):
    @override
    def construct_yaml_float(self, node: Any) -> Any:
        return exact_number(self.construct_scalar(node).replace("_", ""))


_ExactConstructor.add_constructor("tag:yaml.org,2002:float", _ExactConstructor.construct_yaml_float)


def load_yaml(text: str) -> Any:
    """Raises YAMLError."""
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor = _ExactConstructor
    return yaml.load(text)


def exact_number(written: str) -> float | Decimal:
    """A double, or where a double would change the number, the number as it is written."""
    text = written.lower().replace(".inf", "inf").replace(".nan", "nan")
    number = float(text)
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent of more than 18 digits
        return number
    return exact if exact.is_finite() and (math.isinf(number) or Decimal(repr(number)) != exact) else number


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
    if isinstance(value, Decimal):
        return value
    kind = "a list" if isinstance(value, list) else "an object" if isinstance(value, Mapping) else "no JSON value"
    raise NotPlainYaml(place, f"is {kind}; it must be text (dates in quotes), a number, true or false")
