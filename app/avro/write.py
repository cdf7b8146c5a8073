"""Writes plain values, as `values.py` reads them, as Avro: the inverse of reading, strict, no value in its errors."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from app.avro.check import MAX_DEPTH, MAX_EMPTY_ITEMS, PRIMITIVES, AvroMismatch, Compiler, read_types
from app.avro.write_union import Out, Write, union_writer
from app.avro.write_values import long_bytes, raw_value_writer, text_bytes, value_writer


def compile_avro_writer(root: Any, type_name: str) -> Callable[[Any], bytes]:
    """A writer `value → document` for the record named like the type; `root` is a schema `compile_avro` accepts.

    The writer takes what `compile_avro_values` reads. It raises ValueError with path and rule, without a value, for
    what would read as another value: a record must have a member for each field without a default, and no others; a
    number must be kept with all its digits. Times may be written in other forms of ISO 8601. Of a union, it is the
    first type that keeps the value; bytes are the last one a text is taken for.
    """
    name, named = read_types(root, type_name)
    write = _Writers(named).of(name)

    def written(value: Any) -> bytes:
        out = Out()
        try:
            write(value, out, MAX_DEPTH)
        except AvroMismatch as error:
            raise ValueError("".join(["$", *reversed(error.path)]) + f": {error.rule}") from None
        return bytes(out.data)

    return written


class _Writers:
    """Turns a parsed schema into nested functions; named types are compiled once and may contain themselves."""

    def __init__(self, named: Mapping[str, Any], *, raw: bool = False) -> None:
        """`raw`: for defaults, as a schema has them."""
        self.named = named
        self.raw = raw
        self.compiler = Compiler(named)
        self.done: dict[str, Write] = {}
        self.defaults = self if raw else _Writers(named, raw=True)

    def of(self, schema: Any) -> Write:
        if isinstance(schema, list):
            return union_writer([(each, self.of(each)) for each in map(self._resolved, schema)])
        if isinstance(schema, str):
            return self._scalar({"type": schema}) if schema in PRIMITIVES else self._of_named(schema)
        kind = schema["type"]
        if isinstance(kind, dict | list):
            return self.of(kind)
        match kind:
            case "record" | "error" | "enum" | "fixed":
                return self._of_named(schema["name"])
            case "array":
                return _array(self.of(schema["items"]), empty=self.compiler.is_empty(schema["items"]))
            case "map":
                return _map(self.of(schema["values"]))
            case _:
                return self._scalar(schema) if kind in PRIMITIVES else self.of(kind)

    def _resolved(self, schema: Any) -> Any:
        """A type of a union as a mapping with its `type`."""
        while True:
            if isinstance(schema, str):
                schema = {"type": schema} if schema in PRIMITIVES else self.named[schema]
            elif isinstance(schema["type"], dict):
                schema = schema["type"]
            else:
                kind = schema["type"]
                if kind in PRIMITIVES or kind in ("record", "error", "enum", "fixed", "array", "map"):
                    return schema
                schema = kind

    def _of_named(self, name: str) -> Write:
        if name not in self.done:
            write: Write | None = None

            def later(value: Any, out: Out, depth: int) -> None:
                assert write is not None  # noqa: S101 - set before the first value comes
                write(value, out, depth)

            self.done[name] = later
            schema = self.named[name]
            match schema["type"]:
                case "enum":
                    write = _enum(schema["symbols"])
                case "fixed":
                    write = self._scalar(schema)
                case _:
                    members = schema["fields"]
                    write = _record([(each["name"], self.of(each["type"]), self._default(each)) for each in members])
            self.done[name] = write
        return self.done[name]

    def _scalar(self, schema: Mapping[str, Any]) -> Write:
        to_bytes = raw_value_writer(schema) if self.raw else value_writer(schema)

        def write(value: Any, out: Out, depth: int) -> None:  # noqa: ARG001 - a Write
            out.data += to_bytes(value)

        return write

    def _default(self, member: Mapping[str, Any]) -> Callable[[], bytes] | None:
        """The bytes of a field's default, made when a value lacks the field for the first time."""
        if "default" not in member:
            return None

        @cache
        def default() -> bytes:
            out = Out()
            self.defaults.of(member["type"])(member["default"], out, MAX_DEPTH)
            return bytes(out.data)

        return default


def _enum(symbols: list[str]) -> Write:
    places = {symbol: long_bytes(place) for place, symbol in enumerate(symbols)}

    def write(value: Any, out: Out, depth: int) -> None:  # noqa: ARG001 - a Write
        if not isinstance(value, str) or value not in places:
            raise AvroMismatch("must be one of the symbols of the enum")
        out.data += places[value]

    return write


def _record(members: list[tuple[str, Write, Callable[[], bytes] | None]]) -> Write:
    names = frozenset(name for name, _, _ in members)

    def write(value: Any, out: Out, depth: int) -> None:
        if not isinstance(value, Mapping):
            raise AvroMismatch("must be a record")
        if depth <= 0:
            raise AvroMismatch("nested too deeply")
        if not names.issuperset(value):
            others = sum(each not in names for each in value)
            raise AvroMismatch(f"has {others} member{'' if others == 1 else 's'} that the record has no field for")
        name = ""
        try:
            for name, member, default in members:
                if name in value:
                    member(value[name], out, depth - 1)
                elif default is not None:
                    out.data += default()
                else:
                    raise AvroMismatch("is missing")
        except AvroMismatch as error:
            error.path.append(f".{name}")
            raise

    return write


def _array(item: Write, *, empty: bool) -> Write:
    def write(value: Any, out: Out, depth: int) -> None:
        if not isinstance(value, list):
            raise AvroMismatch("must be a list")
        if depth <= 0:
            raise AvroMismatch("nested too deeply")
        if empty and len(value) > MAX_EMPTY_ITEMS:
            raise AvroMismatch(f"more than {MAX_EMPTY_ITEMS:,} items without content")
        if value:
            out.data += long_bytes(len(value))
        for index, each in enumerate(value):
            try:
                item(each, out, depth - 1)
            except AvroMismatch as error:
                error.path.append(f"[{index}]")
                raise
        out.data.append(0)

    return write


def _map(item: Write) -> Write:
    def write(value: Any, out: Out, depth: int) -> None:
        if not isinstance(value, Mapping):
            raise AvroMismatch("must be a map")
        if depth <= 0:
            raise AvroMismatch("nested too deeply")
        if value:
            out.data += long_bytes(len(value))
        try:
            for key, each in value.items():
                out.data += text_bytes(key)
                item(each, out, depth - 1)
        except AvroMismatch as error:
            error.path.append(".*")  # the key is content of the document
            raise
        out.data.append(0)

    return write
