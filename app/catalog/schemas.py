"""Compiled schemas: check a document against its schema and its content type."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.avro.check import compile_avro
from app.avro.values import compile_avro_values
from app.avro.write import compile_avro_writer
from app.catalog.bundles import NOWHERE, bundle
from app.catalog.json_documents import NotKept, number
from app.catalog.json_schema import compile_json_schema
from app.catalog.lanes import LARGE_DOCUMENT, Lane
from app.catalog.schema_graph import Retrieve
from app.domain.archive_types import SchemaFile

AVRO_CONTENT_TYPE = "avro/binary"
AVRO_BYTES_PER_SECOND = 1024 * 1024
"""Half of what is checked in a second where each byte is a value."""

EXTENSIONS = ("schema.json", "avsc", "avpr")


class Check(Protocol):
    """`check(document)` is None for a valid document, else `<path>: <rule>` without any value of it.

    `lane(document)` is the lane that must do the check, None for the event loop. `where` is the lane that does it:
    Later is raised when the check turns out to belong to another lane. `on_mismatch` is called once it is certain that
    the document does not match.
    """

    def lane(self, document: bytes) -> Lane | None: ...

    def more_seconds(self, document: bytes) -> float:
        """Seconds beyond the deadline of a check in a lane."""

    def __call__(
        self, document: bytes, where: Lane | None = ..., on_mismatch: Callable[[], None] | None = ...
    ) -> str | None: ...


@dataclass(frozen=True, slots=True)
class AvroCheck:
    """The check of Avro: its time depends on the size of the document only, whatever the schema."""

    walk: Callable[[bytes], str | None]

    def more_seconds(self, document: bytes) -> float:
        return len(document) / AVRO_BYTES_PER_SECOND

    def lane(self, document: bytes) -> Lane | None:
        return Lane.LARGE if len(document) > LARGE_DOCUMENT else None

    def __call__(
        self,
        document: bytes,
        where: Lane | None = None,
        on_mismatch: Callable[[], None] | None = None,
    ) -> str | None:
        return self.walk(document)


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema version: the file as it is stored beside the data, and the check of a document.

    `read_avro` gives the values of a valid document; None for JSON Schema, and for Avro whose documents cannot be read
    into values. `write_avro` is its inverse, None for JSON Schema.
    """

    file: SchemaFile
    check: Check
    read_avro: Callable[[bytes], Any] | None = None
    write_avro: Callable[[Any], bytes] | None = None

    def describes(self, content_type: str) -> bool:
        """Whether the schema fits the content type: JSON Schema application/json and +json, Avro avro/binary.
        Parameters do not matter."""
        media_type = content_type.partition(";")[0].strip().lower()
        if self.file.extension == "schema.json":
            kind, _, subtype = media_type.partition("/")
            return media_type == "application/json" or (bool(kind) and len(subtype) > 5 and subtype.endswith("+json"))
        return media_type == AVRO_CONTENT_TYPE


def compile_schema(content: bytes, extension: str, type_name: str, base_uri: str, retrieve: Retrieve) -> CompiledSchema:
    """The compiled schema of one file of the registry.

    `base_uri` is where the file lies, `retrieve(uri)` gives what it refers to. Raises ValueError with the reason.
    """
    if extension != "schema.json":
        schema = parse_strict(content)
        check = AvroCheck(compile_avro(schema, type_name))
        read, write = compile_avro_values(schema, type_name), compile_avro_writer(schema, type_name)
        return CompiledSchema(_schema_file(content, extension), check, read, write)
    schema = parse_strict(content, exact=True)
    json_check = compile_json_schema(schema, base_uri, retrieve)
    bundled = bundle(schema, base_uri, retrieve)
    if bundled is not schema:
        content = _written(bundled)
        try:
            compile_json_schema(parse_strict(content, exact=True), NOWHERE, _nothing_else)
        except ValueError as error:
            raise ValueError(f"cannot be stored in one piece with what it refers to: {error}") from None
    return CompiledSchema(_schema_file(content, extension), json_check)


def _nothing_else(uri: str) -> Any:
    raise LookupError(uri)


def parse_strict(content: bytes, *, exact: bool = False) -> Any:
    """JSON in UTF-8 without duplicate keys, NaN and Infinity. Raises ValueError with the reason.

    `exact`: a fraction that no float prints as is a Decimal.
    """
    fraction = _fraction if exact else float
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=fraction)
        if _HALF_PAIR.search(text):
            json.dumps(found, ensure_ascii=False, default=str).encode()
        return found
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError(
            "a text has half of a surrogate pair, it has no UTF-8 (in a pattern, write \\\\ud800)"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} (line {error.lineno})") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate key {again}")
    return found


def _fraction(token: str) -> Any:
    try:
        return number(token)
    except NotKept as problem:
        raise ValueError(str(problem)) from None


_HALF_PAIR = re.compile(r"\\u[Dd][89A-Fa-f]")
"""Of a text that may have one."""

_DECIMAL = re.compile(r'"\\u0000decimal:([^"]*)"')


def _written(schema: Any) -> bytes:
    """JSON text; Decimals as they are."""
    text = json.dumps(schema, ensure_ascii=False, indent=2, default=lambda value: f"\0decimal:{value}")
    return (_DECIMAL.sub(r"\1", text) + "\n").encode()


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _schema_file(content: bytes, extension: str) -> SchemaFile:
    return SchemaFile(content, extension, hashlib.sha256(content).hexdigest())
