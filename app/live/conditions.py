"""Whether the conditions of a live archive type hold for a message."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.domain.errors import InvalidMessage
from app.domain.extraction import extract
from app.domain.live_rules import Exists, MessageCondition, OneOf, PythonFunction
from app.live.python_calls import called, kind_of


def holds(conditions: tuple[MessageCondition, ...] | PythonFunction, message: Mapping[str, Any]) -> bool:
    """Whether all hold. Raises InvalidMessage where that cannot be said."""
    if isinstance(conditions, PythonFunction):
        return called("condition", conditions, message, lambda answer: _answered(conditions.name, answer))
    return all(_holds(place, each, message) for place, each in enumerate(conditions))


def _answered(function: str, answer: Any) -> bool:
    if not isinstance(answer, bool):
        raise InvalidMessage(f"condition.python: {function} returned {kind_of(answer)}, it must return true or false")
    return answer


def _holds(place: int, condition: MessageCondition, message: Mapping[str, Any]) -> bool:
    value = extract(condition.path, message)
    test = condition.test
    if isinstance(test, Exists):
        return (value is not None) == test.wanted
    if isinstance(test, OneOf):
        return any(equal(value, each) for each in test.values) != test.negated
    if not isinstance(value, str):
        return False
    try:
        return test.matches(value)
    except ValueError as error:
        raise InvalidMessage(f"condition[{place}].matches: {error} at {condition.path}") from None


def equal(value: Any, wanted: Any) -> bool:
    """Equality of JSON: numbers are equal by what they are worth (1, 1.0, 1.00), and true is no number."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, str) and isinstance(wanted, str):
        return value == wanted
    if isinstance(value, int | float | Decimal) and isinstance(wanted, int | float | Decimal):
        return bool(_exact(value) == _exact(wanted))
    return False


def _exact(number: int | float | Decimal) -> int | Decimal:
    """A float as the shortest number that reads as it: 0.1 is one tenth, as in the text of the message."""
    return Decimal(repr(number)) if isinstance(number, float) else number
