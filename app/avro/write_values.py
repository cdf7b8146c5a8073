"""Turns single plain values into the bytes of Avro's types: whole numbers, fractions, decimals, times, texts, bytes.

The inverse of what `values.py` reads: what is written here reads as the same value, or it is refused.
"""

import base64
import binascii
import re
import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.avro.check import AvroMismatch
from app.avro.values import EPOCH, MAX_DIGITS, MAX_SCALE, SECOND, logical_reader, single

ToBytes = Callable[[Any], bytes]
"""A value → its bytes. Raises AvroMismatch."""

_MOMENT = re.compile(
    r"(?:(\d{4}-\d\d-\d\d)T)?(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,18}))?)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INT, _LONG = 32, 64


def value_writer(schema: Mapping[str, Any]) -> ToBytes:
    """The writer of a primitive or fixed type, by its logical type."""
    kind, logical = schema["type"], schema.get("logicalType")
    if kind in ("bytes", "fixed"):
        size = schema.get("size")
        if logical == "decimal" and isinstance(schema.get("scale", 0), int) and schema.get("scale", 0) <= MAX_SCALE:
            return _decimal(schema.get("scale", 0), min(schema["precision"], MAX_DIGITS), size)
        return _uuid if logical == "uuid" and size == 16 else _base64(size)
    if kind in ("int", "long"):
        bits = _INT if kind == "int" else _LONG
        read = logical_reader(kind, logical)
        return _whole(bits) if read is None else _time(str(logical), bits)
    return _PLAIN[str(kind)]


def raw_value_writer(schema: Mapping[str, Any]) -> ToBytes:
    """The same for defaults as a schema has them: bytes are texts of their characters, logical types do not matter."""
    kind = schema["type"]
    if kind in ("bytes", "fixed"):
        return _characters(schema.get("size"))
    if kind in ("float", "double"):
        return _nearest("<f" if kind == "float" else "<d")
    return _whole(_INT if kind == "int" else _LONG) if kind in ("int", "long") else _PLAIN[str(kind)]


def keeps(schema: Mapping[str, Any], value: Any, written: bytes) -> bool:
    """Whether what was written as a time or UUID reads as the very same text or number."""
    if schema["type"] == "fixed":
        return bool(str(UUID(bytes=written)) == value)
    read = logical_reader(schema["type"], schema.get("logicalType"))
    return read is None or bool(read(_number(written)) == value)


def long_bytes(value: int) -> bytes:
    """Zigzag, seven bits a byte, the lowest first."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _number(written: bytes) -> int:
    rest = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(written))
    return (rest >> 1) ^ -(rest & 1)


def sized(data: bytes) -> bytes:
    return long_bytes(len(data)) + data


def text_bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise AvroMismatch("must be text")
    try:
        return sized(value.encode())
    except UnicodeEncodeError:
        raise AvroMismatch("a text has half of a surrogate pair, which has no UTF-8") from None


def _null(value: Any) -> bytes:
    if value is not None:
        raise AvroMismatch("must be null")
    return b""


def _boolean(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise AvroMismatch("must be boolean")
    return b"\1" if value else b"\0"


def _whole(bits: int) -> ToBytes:
    smallest, largest = -(1 << bits - 1), (1 << bits - 1) - 1

    def write(value: Any) -> bytes:
        number = _whole_number(value)
        if not smallest <= number <= largest:
            raise AvroMismatch(f"a number does not fit into {bits} bits")
        return long_bytes(number)

    return write


def _whole_number(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < _LONG:
        number = int(value)
        if number == value:
            return number
    raise AvroMismatch("must be a whole number")


def _double(value: Any) -> bytes:
    number = _float_of(value)
    if not isinstance(value, float) and _exact(number) != _exact(value):
        raise AvroMismatch("a number has more digits than a double keeps")
    return struct.pack("<d", number)


def _float(value: Any) -> bytes:
    number = _float_of(value)
    try:
        written = struct.pack("<f", number)
    except OverflowError:
        raise AvroMismatch("a number is too large for a float") from None
    read = single(struct.unpack("<f", written)[0])
    if read == read and _exact(read) != _exact(value):
        raise AvroMismatch("a number has more digits than a float keeps")
    return written


def _nearest(form: str) -> ToBytes:
    def write(value: Any) -> bytes:
        try:
            return struct.pack(form, _float_of(value))
        except OverflowError:
            raise AvroMismatch("a number is too large") from None

    return write


def _float_of(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise AvroMismatch("must be a number")
    try:
        return float(value)
    except OverflowError:
        raise AvroMismatch("a number is too large for a double") from None


def _exact(number: int | float | Decimal) -> int | Decimal:
    return Decimal(repr(number)) if isinstance(number, float) else number


def _decimal(scale: int, precision: int, size: int | None) -> ToBytes:
    def write(value: Any) -> bytes:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise AvroMismatch("must be a number")
        number = unscaled(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
        if size is None:
            return sized(number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "big", signed=True))
        return number.to_bytes(size, "big", signed=True)  # the precision of a valid schema fits into its size

    def unscaled(number: Decimal) -> int:
        if not number.is_finite():
            raise AvroMismatch("must be a number")
        sign, digits, exponent = number.as_tuple()
        shift = int(exponent) + scale
        if any(digits[shift:] if shift < 0 else ()):
            raise AvroMismatch(f"a number has more than {scale} digits behind the point")
        if not any(digits):
            return 0
        if number.adjusted() + scale >= precision:
            raise AvroMismatch(f"a number has more than {precision} digits")
        kept = digits[:shift] if shift < 0 else digits + (0,) * shift
        return int(Decimal((sign, kept, 0)))

    return write


def _time(logical: str, bits: int) -> ToBytes:
    """A date, time or timestamp as text in ISO 8601; a number stays what it is."""
    kind, _, unit = logical.rpartition("-")
    whole, ticks = _whole(bits), _days if logical == "date" else _ticks(kind, SECOND.get(unit, 1))

    def write(value: Any) -> bytes:
        return whole(ticks(value) if isinstance(value, str) else value)

    return write


def _days(text: str) -> int:
    try:
        if _DAY.fullmatch(text) is None:
            raise ValueError
        return (date.fromisoformat(text) - EPOCH.date()).days
    except ValueError:
        raise AvroMismatch("must be a date like 2024-01-31") from None


def _ticks(kind: str, per_second: int) -> Callable[[str], int]:
    example = {
        "time": "a time like 10:15:30",
        "timestamp": "a time with its zone like 2024-01-31T10:15:30Z",
        "local-timestamp": "a local time like 2024-01-31T10:15:30",
    }[kind]

    def ticks(text: str) -> int:
        found = _MOMENT.fullmatch(text)
        if found is None or (found[1] is None) != (kind == "time") or (found[5] is None) != (kind != "timestamp"):
            raise AvroMismatch(f"must be {example}")
        day, minute, second, fraction, zone = found.groups()
        try:
            moment = datetime.fromisoformat(f"{day or EPOCH.date()}T{minute}:{second or '00'}{_zone(zone)}")
            since = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta()) - EPOCH
        except (ValueError, OverflowError):
            raise AvroMismatch(f"must be {example}") from None
        whole, rest = divmod(int((fraction or "").ljust(18, "0")), 10**18 // per_second)
        if rest:
            raise AvroMismatch(f"a time has more digits than {per_second:,} parts of a second")
        return (since.days * 86_400 + since.seconds) * per_second + whole

    return ticks


def _zone(text: str | None) -> str:
    return "" if text is None or text in "Zz" else text


def _base64(size: int | None) -> ToBytes:
    def write(value: Any) -> bytes:
        if not isinstance(value, str):
            raise AvroMismatch("must be base64 text")
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise AvroMismatch("must be base64 text") from None
        if base64.b64encode(data).decode() != value:
            raise AvroMismatch("must be base64 text")
        return _of_size(data, size)

    return write


def _characters(size: int | None) -> ToBytes:
    def write(value: Any) -> bytes:
        try:
            return _of_size(str.encode(value, "latin-1"), size)
        except (TypeError, UnicodeEncodeError):
            raise AvroMismatch("must be text of bytes") from None

    return write


def _of_size(data: bytes, size: int | None) -> bytes:
    if size is None:
        return sized(data)
    if len(data) != size:
        raise AvroMismatch(f"must have {size} bytes")
    return data


def _uuid(value: Any) -> bytes:
    try:
        if isinstance(value, str) and len(value) == 36:
            return UUID(value).bytes
    except ValueError:
        pass
    raise AvroMismatch("must be a UUID")


_PLAIN: dict[str, ToBytes] = {
    "null": _null,
    "boolean": _boolean,
    "float": _float,
    "double": _double,
    "string": text_bytes,
}
