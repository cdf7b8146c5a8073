"""Compiled schemas: is this document what its schema, and its content type, say it is?"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.catalog.avro import compile_avro
from app.catalog.avro_values import compile_avro_values
from app.catalog.json_schema import Retrieve, bundle, compile_json_schema
from app.domain.archive_types import SchemaFile

AVRO_CONTENT_TYPE = "avro/binary"
EXTENSIONS = ("schema.json", "avsc", "avpr")


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema version: the file as it is stored beside the data, and the check of a document.

    `problem(document)` is None for a valid document, else `<path>: <rule>` without any value of it. `read_avro` gives
    the values of a valid one; None for JSON Schema, and for Avro whose documents are not read.
    """

    file: SchemaFile
    problem: Callable[[bytes], str | None]
    read_avro: Callable[[bytes], Any] | None = None

    def describes(self, content_type: str) -> bool:
        """JSON Schema describes application/json and +json, Avro avro/binary; parameters do not matter."""
        media_type = content_type.partition(";")[0].strip().lower()
        if self.file.extension == "schema.json":
            kind, _, subtype = media_type.partition("/")
            return media_type == "application/json" or (bool(kind) and len(subtype) > 5 and subtype.endswith("+json"))
        return media_type == AVRO_CONTENT_TYPE


def compile_schema(content: bytes, extension: str, type_name: str, base_uri: str, retrieve: Retrieve) -> CompiledSchema:
    """The compiled schema of one file of the registry.

    `base_uri` is where the file lies, `retrieve(uri)` gives what it refers to. Raises ValueError with the reason.
    """
    schema = parse_strict(content)
    if extension != "schema.json":
        check = compile_avro(schema, type_name)
        return CompiledSchema(_schema_file(content, extension), check, compile_avro_values(schema, type_name))
    problem = compile_json_schema(schema, base_uri, retrieve)
    bundled = bundle(schema, base_uri, retrieve)
    if bundled is not schema:
        content = (json.dumps(bundled, ensure_ascii=False, indent=2) + "\n").encode()
    return CompiledSchema(_schema_file(content, extension), problem)


def parse_strict(content: bytes) -> Any:
    """JSON in UTF-8 without duplicate keys, NaN and Infinity. Raises ValueError with the reason."""
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
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


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _schema_file(content: bytes, extension: str) -> SchemaFile:
    return SchemaFile(content, extension, hashlib.sha256(content).hexdigest())
