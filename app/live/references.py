"""Reads of a message what it is about: the reference of the data, and the process that it belongs to."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.domain.errors import InvalidMessage
from app.domain.extraction import extract
from app.domain.jobs import Reference
from app.domain.live_rules import PythonFunction, ReferencePaths
from app.domain.paths import Path
from app.domain.reference_rules import BLANK, MAX_ID, MAX_VERSION, id_fault, text_fault
from app.live.python_calls import called, kind_of

RETURNED = ("id", "version")


def reference_of(
    rule: ReferencePaths | PythonFunction, message: Mapping[str, Any], *, versioned: bool | None
) -> Reference:
    """The reference, by the rules of a submitted one.

    `versioned`: whether it must have a version or none, as the template of the source says; None: as it comes.
    Raises InvalidMessage where there is none, or none that can be used.
    """
    if isinstance(rule, PythonFunction):
        where = f"reference.python: {rule.name}"
        return called("reference", rule, message, lambda value: _returned(where, value, versioned))
    version = None if rule.version is None else extract(rule.version, message)
    places = f"reference.id: {rule.id}", f"reference.version: {rule.version}"
    versioned = rule.version is not None if versioned is None else versioned
    return _reference(places, extract(rule.id, message), version, versioned)


def process_id_of(rule: Path | PythonFunction, message: Mapping[str, Any]) -> str | None:
    """The process of the event; None where the message has none. Raises InvalidMessage for what cannot be one."""
    if isinstance(rule, PythonFunction):
        place = f"processId.python: the result of {rule.name}"
        return called("processId", rule, message, lambda value: _process_id(place, value))
    return _process_id(f"processId: {rule}", extract(rule, message))


def _process_id(place: str, value: Any) -> str | None:
    if value is None:
        return None
    text = _text(place, value)
    fault = text_fault(text, MAX_ID)
    if fault == BLANK:
        return None
    if fault is not None:
        raise InvalidMessage(f"{place} {fault}")
    return text


def _returned(where: str, value: Any, versioned: bool | None) -> Reference:
    """Of what a function returned: the id, or an object with id and version."""
    identifier, version = value, None
    if isinstance(value, Mapping):
        if "id" not in value or not set(value) <= set(RETURNED):
            raise InvalidMessage(f"{where} returned an object that does not have id, and version, and nothing else")
        identifier, version = value["id"], value.get("version")
    return _reference((f"{where}: the id", f"{where}: the version"), identifier, version, versioned)


def _reference(places: tuple[str, str], identifier: Any, version: Any, versioned: bool | None) -> Reference:
    """`places` of id and version, for messages."""
    number = None if version is None else _version(places[1], version)
    if versioned is not None and versioned != (number is not None):
        raise InvalidMessage(
            f"{places[1]} is not there" if versioned else f"{places[1]} is given, but uri has no {{version}}"
        )
    return Reference(_id(places[0], identifier), number)


def _id(place: str, value: Any) -> str:
    text = _text(place, value)
    fault = id_fault(text)
    if fault is not None:
        raise InvalidMessage(f"{place} {fault}")
    return text


def _text(place: str, value: Any) -> str:
    """The text of a text or a whole number; 1.0 and 1e3 are none, as nobody can say which text they stand for."""
    if value is None:
        raise InvalidMessage(f"{place} is not there")
    if isinstance(value, str):
        return str.__str__(value)
    number = _whole(value)
    if number is None:
        raise InvalidMessage(f"{place} is {kind_of(value)}, not text or a whole number")
    if number.bit_length() > 4 * MAX_ID:
        raise InvalidMessage(f"{place} is a number with more than {MAX_ID} digits")
    return str(number)


def _version(place: str, value: Any) -> int:
    number = _whole(value)
    if number is None:
        raise InvalidMessage(f"{place} is {kind_of(value)}, not a whole number")
    if not 1 <= number <= MAX_VERSION:
        raise InvalidMessage(f"{place} is not a number from 1 to {MAX_VERSION}")
    return number


def _whole(value: Any) -> int | None:
    """A number that was written without fraction and exponent: an int, and a decimal of Avro with the scale 0."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() <= MAX_ID:
        return int(value) if value.as_tuple().exponent == 0 else None
    return None
