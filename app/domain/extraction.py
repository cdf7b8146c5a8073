"""Extracts metadata: the values at the extraction paths of a document, in the form that is stored and searched."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from app.domain.archive_types import ExtractionPath
from app.domain.exact_json import read_json, write_json
from app.domain.paths import Path, Step, parse_path

MAX_NUMBER = Decimal("1.7976931348623157e308")
MAX_NUMBER_DIGITS = 1000
MIN_NUMBER_PLACE = -1000
"""Numbers beyond these compare with nothing: neither a double nor each NUMERIC holds them. Their JSON is exact."""

KeyedPath = tuple[str, Path]
"""A metadata key and the path its value is read from."""


class ValueKind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class MetadataValue:
    """A value of an artifact's metadata as it is kept.

    `json` is the value itself, exact, the same text for equal values. `text` is what text operators compare: the text
    (`searchable`), the JSON of anything else, None for null. `number` is what numeric operators compare: set for
    numbers only, and not for those beyond `MAX_NUMBER`. No length is cut. All texts are UTF-8 without NUL.
    """

    kind: ValueKind
    json: str
    text: str | None = None
    number: Decimal | None = None

    @property
    def value(self) -> Any:
        """The value as it was extracted; a number may be an int, a float or a Decimal."""
        return read_json(self.json.encode())


NULL = MetadataValue(ValueKind.NULL, "null")


def compile_paths(paths: Iterable[ExtractionPath]) -> tuple[KeyedPath, ...]:
    """Keys with parsed paths, once for each definition. Raises ValueError with the key where a path is wrong."""
    found = []
    for each in paths:
        try:
            found.append((each.key, parse_path(each.path)))
        except ValueError as error:
            raise ValueError(f"{each.key}: {error}") from None
    return tuple(found)


def document_values(content: bytes, content_type: str, read_avro: Callable[[bytes], Any] | None = None) -> Any:
    """The plain values of a JSON or Avro document; None where nothing can be extracted. Never raises.

    `read_avro` is that of the document's schema (`Registry.values` has it) and takes documents that were validated.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        if media_type == "application/json" or media_type.endswith("+json"):
            return read_json(content)
        return read_avro(content) if read_avro is not None and media_type == "avro/binary" else None
    except Exception:  # metadata is never a reason to fail an archiving
        return None


def extract(path: Path, document: Any) -> Any:
    """The value at the path: str, int, float, Decimal, bool, list, dict or None. Never raises.

    A missing key, another type on the way, and JSON null are None. `[*]` of a list is the list of what the rest of
    the path finds in each element, None where it finds nothing; each further `[*]` is a list inside that one, so that
    the structure of the document is kept. Of anything but a list it is None.
    """
    return _at(document, path.steps, 0)


def _at(value: Any, steps: tuple[Step, ...], first: int) -> Any:
    for place in range(first, len(steps)):
        step = steps[place]
        if isinstance(step, str):
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        elif not isinstance(value, list):
            return None
        elif isinstance(step, int):
            if step >= len(value):
                return None
            value = value[step]
        else:
            return [_at(item, steps, place + 1) for item in value]
    return value


def metadata_values(paths: Sequence[KeyedPath], document: Any) -> dict[str, MetadataValue]:
    """The value of each key as it is kept; null where the document has none. Never raises."""
    return {key: metadata_value(extract(path, document)) for key, path in paths}


def metadata_value(value: Any) -> MetadataValue:
    """An extracted value in the shape in which it is kept. Never raises."""
    if value is None:
        return NULL
    text = write_json(value)
    if isinstance(value, str):
        return MetadataValue(ValueKind.TEXT, text, searchable(value))
    if isinstance(value, bool):
        return MetadataValue(ValueKind.BOOLEAN, text, text)
    if isinstance(value, dict | list):
        return MetadataValue(ValueKind.JSON, text, text)
    if text == "null":  # not a number, infinity
        return NULL
    return MetadataValue(ValueKind.NUMBER, text, text, comparable(value))


def comparable(value: int | float | Decimal) -> Decimal | None:
    """The exact number, None for a number that cannot be compared (`MAX_NUMBER`)."""
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if isinstance(value, int):
        return Decimal(value) if value.bit_length() <= 1024 and abs(value) <= MAX_NUMBER else None
    if not value.is_finite() or value.copy_abs() > MAX_NUMBER:
        return None
    if value.is_zero():
        return Decimal(0)
    _, digits, exponent = value.as_tuple()
    return value if len(digits) <= MAX_NUMBER_DIGITS and int(exponent) >= MIN_NUMBER_PLACE else None


def searchable(text: str) -> str:
    """The text in a form that a database can hold: NUL and half surrogate pairs become U+FFFD.

    For stored values and for the operands of a search, so that both agree; the JSON of a value keeps such characters.
    """
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
