"""Avro schemas compiled to a walk over the encoded bytes: strict, without building values, bounded in depth and time.

fastavro reads the schemas; documents are not decoded with it, because a few crafted bytes (arrays of nulls, deep
recursion) would take its memory or stack, and because it reads over negative lengths and union indexes.
"""

import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType

from app.avro.logical_types import without_wrong_logical_types

Walk = Callable[[bytes, int, int], int]
"""(document, position, depth left) → position behind the value. Raises AvroMismatch."""

MAX_DEPTH = 100
"""Values inside values; only recursive schemas reach it, and fastavro reads as deep without harm."""

MAX_EMPTY_ITEMS = 65_536
"""Values without bytes (nulls) in the arrays of a document: a length of five bytes could else stand for billions."""

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class AvroMismatch(Exception):
    """The bytes are not a value of the schema; `path` grows from the inside out, the text holds no value."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.path: list[str] = []


def compile_avro(root: Any, type_name: str) -> Callable[[bytes], str | None]:
    """A check `document → None or "<path>: <rule>"` for the record named like the type, of a schema or a protocol.

    Raises ValueError with the reason when the schema is not valid or has no such record.
    """
    name, named = read_types(root, type_name)
    return compile_check(name, named)


def compile_check(name: str, named: Mapping[str, Any]) -> Callable[[bytes], str | None]:
    """As `compile_avro`, for the record with this full name among parsed types."""
    compiler = Compiler(named)
    walk = compiler.compile(name)

    def check(document: bytes) -> str | None:
        compiler.empty_items.left = MAX_EMPTY_ITEMS
        try:
            end = walk(document, 0, MAX_DEPTH)
        except AvroMismatch as error:
            return "".join(["$", *reversed(error.path)]) + f": {error.rule}"
        return None if end == len(document) else f"$: {len(document) - end} bytes behind the record"

    return check


def read_types(root: Any, type_name: str) -> tuple[str, dict[str, Any]]:
    """The full name of the record named like the type, and all named types. Raises ValueError like `compile_avro`."""
    named: dict[str, Any] = {}
    for each in _types(root):
        parse_types(each, named)
    found = [name for name, schema in named.items() if name.rpartition(".")[2] == type_name and _is_record(schema)]
    if len(found) != 1:
        raise ValueError(f"has {'no' if not found else 'more than one'} record named {type_name}")
    return found[0], named


def parse_types(schema: Any, named: dict[str, Any]) -> Any:
    """The parsed schema. Its named types are added to `named`; it may use those that are there. Raises ValueError."""
    try:
        return parse_schema(without_wrong_logical_types(schema), named_schemas=named)
    except (SchemaParseException, UnknownType) as error:
        raise ValueError(f"not a valid Avro schema: {error}") from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a valid Avro schema ({type(error).__name__}: {error})") from error


def _types(root: Any) -> list[Any]:
    """The types a file defines: one, a list, or those of a protocol with its namespace."""
    if isinstance(root, dict) and "protocol" in root:
        types = root.get("types")
        if not isinstance(types, list):
            raise ValueError("the protocol has no types")
        namespace = {"namespace": root["namespace"]} if isinstance(root.get("namespace"), str) else {}
        return [{**namespace, **each} if isinstance(each, dict) else each for each in types]
    return root if isinstance(root, list) else [root]


def _is_record(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") in ("record", "error")


class _EmptyItems(threading.local):
    """How many values without bytes the rest of a document may still have."""

    left = MAX_EMPTY_ITEMS

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise AvroMismatch(f"more than {MAX_EMPTY_ITEMS:,} items without content")


class Compiler:
    """Turns a parsed schema into nested functions; named types are compiled once and may contain themselves."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self.named = named
        self.done: dict[str, Walk] = {}
        self.empty: dict[str, int] = {}
        self.empty_items = _EmptyItems()

    def compile(self, schema: Any) -> Walk:
        if isinstance(schema, list):
            return _union([self.compile(each) for each in schema])
        if isinstance(schema, str):
            return _PRIMITIVE[schema] if schema in PRIMITIVES else self._compile_named(schema)
        kind = schema["type"]
        if isinstance(kind, dict | list):
            return self.compile(kind)
        match kind:
            case "record" | "error" | "enum" | "fixed":
                return self._compile_named(schema["name"])
            case "array":
                empty = self.empty_values(schema["items"])
                return self._array_of_nothing(empty) if empty else _array(self.compile(schema["items"]))
            case "map":
                return _map(self.compile(schema["values"]))
            case _:
                return self.compile(kind)

    def _compile_named(self, name: str) -> Walk:
        if name not in self.done:
            walk: Walk | None = None

            def later(document: bytes, position: int, depth: int) -> int:
                assert walk is not None  # noqa: S101 - set before the first document comes
                return walk(document, position, depth)

            self.done[name] = later
            schema = self.named[name]
            match schema["type"]:
                case "enum":
                    walk = _enum(len(schema["symbols"]))
                case "fixed":
                    walk = _fixed(schema["size"])
                case _:
                    if self.empty_values(name) > MAX_EMPTY_ITEMS:
                        raise ValueError(f"{name} has more than {MAX_EMPTY_ITEMS:,} values without content")
                    walk = _record([(field["name"], self.compile(field["type"])) for field in schema["fields"]])
            self.done[name] = walk
        return self.done[name]

    def _array_of_nothing(self, values: int) -> Walk:
        """An array whose items take no bytes, each with this number of values: they are counted only."""

        def walk(document: bytes, position: int, depth: int) -> int:
            if depth <= 0:
                raise AvroMismatch("nested too deeply")
            while True:
                count, position = _block(document, position)
                if count == 0:
                    return position
                self.empty_items.take(count * values)

        return walk

    def is_empty(self, schema: Any) -> bool:
        """Whether every value of the schema takes no bytes at all."""
        return self.empty_values(schema) > 0

    def empty_values(self, schema: Any) -> int:
        """Of a schema whose values take no bytes: how many values one consists of, itself included. Of others 0."""
        if isinstance(schema, str):
            if schema in PRIMITIVES:
                return int(schema == "null")
            if schema not in self.empty:
                self.empty[schema] = 0  # a record within itself needs a union or array, which takes bytes
                self.empty[schema] = self.empty_values(self.named[schema])
            return self.empty[schema]
        if isinstance(schema, list):
            return 0
        match schema["type"]:
            case "record" | "error":
                members = [self.empty_values(field["type"]) for field in schema["fields"]]
                return 1 + sum(members) if all(members) else 0
            case "fixed":
                return int(schema["size"] == 0)
            case "enum" | "array" | "map":
                return 0
            case _:
                return self.empty_values(schema["type"])


def _long(document: bytes, position: int, bits: int = 64) -> tuple[int, int]:
    end = len(document)
    if position < end and document[position] < 0x80:  # most numbers
        value = document[position]
        return (value >> 1) ^ -(value & 1), position + 1
    value = shift = 0
    while True:
        if position >= end:
            raise AvroMismatch("the document ends too early")
        byte = document[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise AvroMismatch("a number has too many bytes")
    if value >> bits:
        raise AvroMismatch(f"a number does not fit into {bits} bits")
    return (value >> 1) ^ -(value & 1), position


def _null(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
    return position


def _boolean(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
    if position >= len(document):
        raise AvroMismatch("the document ends too early")
    if document[position] > 1:
        raise AvroMismatch("must be boolean")
    return position + 1


def _int(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
    return _long(document, position, 32)[1]


def _any_long(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
    return _long(document, position)[1]


def _bytes(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
    length, position = _long(document, position)
    if length < 0:
        raise AvroMismatch("a length is negative")
    if position + length > len(document):
        raise AvroMismatch("the document ends too early")
    return position + length


def _string(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
    length, start = _long(document, position)
    end = start + length
    if length < 0:
        raise AvroMismatch("a length is negative")
    if end > len(document):
        raise AvroMismatch("the document ends too early")
    try:
        document[start:end].decode()
    except UnicodeDecodeError:
        raise AvroMismatch("a text is not UTF-8") from None
    return end


def _fixed(size: int) -> Walk:
    def walk(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
        if position + size > len(document):
            raise AvroMismatch("the document ends too early")
        return position + size

    return walk


def _enum(symbols: int) -> Walk:
    def walk(document: bytes, position: int, depth: int) -> int:  # noqa: ARG001 - a Walk
        index, position = _long(document, position, 32)
        if not 0 <= index < symbols:
            raise AvroMismatch("must be one of the symbols of the enum")
        return position

    return walk


def _union(branches: list[Walk]) -> Walk:
    def walk(document: bytes, position: int, depth: int) -> int:
        index, position = _long(document, position)
        if not 0 <= index < len(branches):
            raise AvroMismatch("must be one of the types of the union")
        return branches[index](document, position, depth)

    return walk


def _record(members: list[tuple[str, Walk]]) -> Walk:
    def walk(document: bytes, position: int, depth: int) -> int:
        if depth <= 0:
            raise AvroMismatch("nested too deeply")
        name = ""
        try:
            for name, member in members:  # noqa: B007 - used where a member does not match
                position = member(document, position, depth - 1)
        except AvroMismatch as error:
            error.path.append(f".{name}")
            raise
        return position

    return walk


def _array(item: Walk) -> Walk:
    def walk(document: bytes, position: int, depth: int) -> int:
        if depth <= 0:
            raise AvroMismatch("nested too deeply")
        index = 0
        while True:
            count, position = _block(document, position)
            if count == 0:
                return position
            try:
                for _ in range(count):
                    position = item(document, position, depth - 1)
                    index += 1
            except AvroMismatch as error:
                error.path.append(f"[{index}]")
                raise

    return walk


def _map(value: Walk) -> Walk:
    def walk(document: bytes, position: int, depth: int) -> int:
        if depth <= 0:
            raise AvroMismatch("nested too deeply")
        try:
            while True:
                count, position = _block(document, position)
                if count == 0:
                    return position
                for _ in range(count):
                    position = value(document, _string(document, position, depth), depth - 1)
        except AvroMismatch as error:
            error.path.append(".*")  # the key is content of the document
            raise

    return walk


def _block(document: bytes, position: int) -> tuple[int, int]:
    """Number of items in the next block of an array or map; negative ones carry the size of the block."""
    count, position = _long(document, position)
    if count < 0:
        count = -count
        size, position = _long(document, position)
        if size < 0 or position + size > len(document):
            raise AvroMismatch("a block has a wrong size")
    if count > len(document) + MAX_EMPTY_ITEMS:
        raise AvroMismatch("more items than bytes")
    return count, position


_PRIMITIVE: dict[str, Walk] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _any_long,
    "float": _fixed(struct.calcsize("<f")),
    "double": _fixed(struct.calcsize("<d")),
    "bytes": _bytes,
    "string": _string,
}
